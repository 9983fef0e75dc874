//! A text that is compared with what can never have it: a listed column, or an expression over one, and a value that is not on
//! its list.
//!
//! Such a comparison would be answered with an exact-looking zero (or, with `<>`, with everything), and the reader would take a
//! slip of the hand for a fact. The lists are public.
//! Not here: regions as a whole (`extent`), values that tools write for an empty text (`NULLIF`, in `functions`).

use sqlparser::ast::{Expr, Spanned};

use super::columns::Columns;
use super::literal::literal;
use crate::error::{Refusal, Rule};
use crate::expr::{Public, Scalar, Shared, Type, Value};
use shoal_schemas::nearest::nearest_first;

/// Most values that a message lists.
const SHOWN_MAX: usize = 40;

impl Columns<'_> {
    /// The expression with each key of a subject's row replaced by what it is of the subject's events.
    fn of_events(&self, item: &Shared<Scalar>) -> Shared<Scalar> {
        if !item.any(&|inner| matches!(inner, Scalar::PersonKey { .. })) {
            return item.clone();
        }
        let Scalar::PersonKey { at, .. } = item.as_ref() else {
            return item.as_ref().clone().map(&mut |inner| self.of_events(&inner)).into();
        };
        let inside = self.person.as_ref().and_then(|person| person.keys.get(*at));
        inside.or_else(|| self.keys.get(*at)).unwrap_or(item).clone()
    }

    /// Refuses a text that the operand, which is bound already, never is.
    pub(crate) fn listed_text(&self, item: &Shared<Scalar>, right: &Expr) -> Result<(), Refusal> {
        if item.ty() != Some(Type::Text) {
            return Ok(());
        }
        let Ok(Some(Value::Text(text))) = literal(right, None, self.now_ms) else { return Ok(()) };
        self.work.add(item.size());
        let item = &self.of_events(item);
        let Some(domain) = item.domain(&Public::of(self.registry, self.table.kind)) else { return Ok(()) };
        let texts = domain.iter().filter_map(|value| match value {
            Value::Text(text) => Some(text.as_str()),
            Value::Null | Value::Boolean(_) | Value::Number(..) | Value::Day(_) | Value::Time(_) => None,
        });
        let known = nearest_first(&text, texts);
        if known.contains(&text.as_str()) || known.is_empty() {
            return Ok(());
        }
        let table = self.table.kind;
        let names = item.names();
        let column = names.first().copied().unwrap_or("region");
        let list: Vec<String> =
            known.iter().take(SHOWN_MAX).map(|text| Value::Text((*text).to_owned()).to_string()).collect();
        let more = match known.len().saturating_sub(SHOWN_MAX) {
            0 => String::new(),
            more => format!(" and {more} more, which GET /v1/tables lists"),
        };
        // The text itself is not repeated: nobody knows what it is.
        let list = list.join(", ");
        let (rule, message) = match item.as_ref() {
            Scalar::Region => (Rule::Range, format!("There is no such region; there are {list}.")),
            Scalar::Column { .. } => {
                (Rule::Literal, format!("`{column}` never has this value. Its values are {list}{more}."))
            }
            _ => {
                (Rule::Literal, format!("This expression never has this value. Its values are {list}{more}."))
            }
        };
        let suggestion = format!("SELECT {column}, COUNT(*) AS n FROM {table} GROUP BY {column}");
        Err(Refusal::new(rule, right.span(), message, suggestion))
    }
}
