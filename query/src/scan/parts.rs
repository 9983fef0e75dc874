//! What an expression is made of. Exhaustive: an expression that is added must say what its parts are.

use shoal_language::{Scalar, Shared};

/// The expressions that an expression is made of, in order.
pub(super) fn parts(scalar: &Scalar) -> Vec<&Scalar> {
    match scalar {
        Scalar::Column { .. }
        | Scalar::Region
        | Scalar::Day
        | Scalar::Time(_)
        | Scalar::Value(_)
        | Scalar::Part(_)
        | Scalar::Person { .. }
        | Scalar::PersonKey { .. }
        | Scalar::Step
        | Scalar::Cohort
        | Scalar::Period => Vec::new(),
        Scalar::Not(item)
        | Scalar::In(item, _)
        | Scalar::IsNull(item)
        | Scalar::Like { item, .. }
        | Scalar::Upper(item)
        | Scalar::Lower(item)
        | Scalar::Bucket { item, .. } => vec![&**item],
        Scalar::Compare(_, left, right)
        | Scalar::And(left, right)
        | Scalar::Or(left, right)
        | Scalar::Arithmetic(_, left, right) => vec![&**left, &**right],
        Scalar::Coalesce(items) | Scalar::Least(items) | Scalar::Greatest(items) => {
            items.iter().map(|item| &**item).collect()
        }
        Scalar::Case { branches, otherwise } => {
            let branches = branches.iter().flat_map(|(when, then)| [&**when, &**then]);
            branches.chain(otherwise.as_deref()).collect()
        }
    }
}

/// The same expression with other parts, of which there are as many, in the same order.
pub(super) fn with_parts(scalar: &Scalar, parts: Vec<Scalar>) -> Scalar {
    let mut parts = parts.into_iter();
    let mut next = |old: &Shared<Scalar>| parts.next().map_or_else(|| old.clone(), Shared::new);
    match scalar {
        Scalar::Column { .. }
        | Scalar::Region
        | Scalar::Day
        | Scalar::Time(_)
        | Scalar::Value(_)
        | Scalar::Part(_)
        | Scalar::Person { .. }
        | Scalar::PersonKey { .. }
        | Scalar::Step
        | Scalar::Cohort
        | Scalar::Period => scalar.clone(),
        Scalar::Not(item) => Scalar::Not(next(item)),
        Scalar::In(item, list) => Scalar::In(next(item), list.clone()),
        Scalar::IsNull(item) => Scalar::IsNull(next(item)),
        Scalar::Like { item, pattern, any_case } => {
            let (item, pattern) = (next(item), pattern.clone());
            Scalar::Like { item, pattern, any_case: *any_case }
        }
        Scalar::Upper(item) => Scalar::Upper(next(item)),
        Scalar::Lower(item) => Scalar::Lower(next(item)),
        Scalar::Bucket { item, edges, labels } => {
            let (edges, labels) = (edges.clone(), labels.clone());
            Scalar::Bucket { item: next(item), edges, labels }
        }
        Scalar::Compare(op, left, right) => Scalar::Compare(*op, next(left), next(right)),
        Scalar::And(left, right) => Scalar::And(next(left), next(right)),
        Scalar::Or(left, right) => Scalar::Or(next(left), next(right)),
        Scalar::Arithmetic(op, left, right) => Scalar::Arithmetic(*op, next(left), next(right)),
        Scalar::Coalesce(items) => Scalar::Coalesce(items.iter().map(&mut next).collect()),
        Scalar::Least(items) => Scalar::Least(items.iter().map(&mut next).collect()),
        Scalar::Greatest(items) => Scalar::Greatest(items.iter().map(&mut next).collect()),
        Scalar::Case { branches, otherwise } => {
            let branches = branches.iter().map(|(when, then)| (next(when), next(then))).collect();
            Scalar::Case { branches, otherwise: otherwise.as_ref().map(&mut next) }
        }
    }
}

#[cfg(test)]
mod tests {
    use shoal_language::{Compare, Value};

    use super::*;

    #[test]
    fn with_its_own_parts_an_expression_is_the_same() {
        let column = |name: &str| Scalar::Column { name: name.to_owned(), ty: shoal_language::Type::Text };
        let text = |text: &str| Scalar::Value(Value::Text(text.to_owned()));
        let test = Scalar::Compare(Compare::Lt, column("os").into(), text("b").into());
        let like = Scalar::Like { item: column("os").into(), pattern: "a%".to_owned(), any_case: false };
        let all = [
            Scalar::And(test.clone().into(), Scalar::Not(like.clone().into()).into()),
            Scalar::Case {
                branches: vec![(test.into(), text("x").into()), (like.into(), column("country").into())],
                otherwise: None,
            },
            Scalar::Case { branches: Vec::new(), otherwise: Some(text("y").into()) },
            Scalar::Coalesce(vec![column("os").into(), text("none").into()]),
            Scalar::Day,
        ];
        for scalar in all {
            let own = parts(&scalar).into_iter().cloned().collect();
            assert_eq!(with_parts(&scalar, own), scalar);
        }
    }
}
