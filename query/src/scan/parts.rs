//! What an expression is made of, as lists.

use shoal_language::{Scalar, Shared};

/// The expressions that an expression is made of, in order.
pub(super) fn parts(scalar: &Scalar) -> Vec<&Scalar> {
    let mut parts = Vec::new();
    scalar.each(&mut |part| parts.push(&**part));
    parts
}

/// The same expression with other parts, of which there are as many, in the same order.
pub(super) fn with_parts(scalar: &Scalar, parts: Vec<Scalar>) -> Scalar {
    let mut parts = parts.into_iter();
    scalar.clone().map(&mut |old| parts.next().map_or(old, Shared::new))
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
