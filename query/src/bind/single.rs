//! The statement with one SELECT over one table, as the engine runs it itself: [`ParsedQuery`] -> [`PrivateQuery`] and
//! what stands above it ([`Free`]).
//!
//! Invariants: as the module above. Not here: every wider statement (`question/`).

use datafusion::sql::sqlparser::ast::{Expr, Ident, Spanned, Value as SqlValue, ValueWithSpan};
use datafusion::sql::sqlparser::tokenizer::Span;
use shoal_schemas::{Kind, Region, Registry, columns};

use super::aggregate::{Bounds, is_aggregate};
use super::answer::Answer;
use super::columns::{Columns, plain_name};
use super::keys::{groups_of_a_day, key};
use super::scope;
use super::{CELLS_MAX, DRAWS_MAX, KEYS_MAX};
use crate::error::{QueryError, Refusal, Rule};
use crate::expr::{Public, Scalar, normal};
use crate::free::{Free, FreeItem, FreeOrder};
use crate::parse::{Item, ParsedQuery};
use crate::private_query::{Key, KeyKind, PrivateQuery, Shape};

/// A private query, and what stands above its release.
pub struct Bound {
    pub(crate) query: PrivateQuery,
    pub(crate) free: Free,
}

impl Bound {
    /// The private query.
    pub fn query(&self) -> &PrivateQuery {
        &self.query
    }

    /// The private query, to be charged.
    pub fn into_query(self) -> PrivateQuery {
        self.query
    }
}

/// Resolves a statement for a key that may ask `regions`, at `now_ms`.
///
/// # Errors
/// [`QueryError::Refused`], and [`QueryError::NotAllowed`] for a region that the key does not reach.
pub fn bind(
    parsed: &ParsedQuery,
    registry: &Registry,
    regions: &[Region],
    now_ms: i64,
) -> Result<Bound, QueryError> {
    let kind = kind(&parsed.table)?;
    let table = registry.table(kind);
    let columns = Columns::of(registry, table, parsed.alias.clone(), now_ms);
    let filter = match &parsed.filter {
        Some(filter) => crate::expr::filter(columns.condition(filter)?),
        None => None,
    };
    let regions = asked_regions(filter.as_ref(), regions)?;
    let public = Public::of(registry, kind);
    let keys = keys(parsed, &columns, &public, filter.as_ref())?;
    let is_event = |key: &Key| matches!(&key.scalar, Scalar::Column { name, .. } if name == columns::EVENT);
    let mut answer = Answer {
        scope: &columns,
        bounds: Bounds {
            registry,
            filter: filter.as_ref(),
            by_event: keys.iter().any(is_event),
            rows_max: None,
        },
        keys: &keys,
        names: Vec::new(),
        aggregates: Vec::new(),
    };
    let free = free(parsed, &mut answer)?;
    let aggregates = answer.aggregates;
    if aggregates.is_empty() {
        let message = "A query needs an aggregate.";
        let suggestion = "SELECT os, COUNT(*) FROM usage GROUP BY os";
        return Err(Refusal::new(Rule::Aggregate, Span::empty(), message, suggestion).into());
    }
    let readable = scope::unexpired(registry, kind, filter.as_ref(), now_ms)?;
    let mut notes = readable.notes;
    let l0 = groups_of_a_day(&keys, &public, &mut notes);
    if regions.len() > 1 && !keys.iter().any(|key| key.kind == KeyKind::Region) {
        notes.push("Each region is released by itself; the numbers are their sums.".to_owned());
    }
    let query = PrivateQuery {
        table: kind,
        regions,
        days: readable.days,
        cutoffs: readable.cutoffs,
        shape: Shape::Events,
        filter,
        members: Vec::new(),
        keys,
        aggregates,
        l0,
        notes,
    };
    size(&query)?;
    Ok(Bound { query, free })
}

pub(crate) fn kind(name: &Ident) -> Result<Kind, Refusal> {
    let plain = plain_name(name);
    Kind::ALL.iter().copied().find(|k| k.as_str() == plain).ok_or_else(|| {
        let names: Vec<&str> = Kind::ALL.iter().map(|k| k.as_str()).collect();
        let message = "There is no such table.";
        Refusal::new(Rule::Table, name.span, message, format!("one of {}", names.join(", ")))
    })
}

pub(crate) fn asked_regions(filter: Option<&Scalar>, granted: &[Region]) -> Result<Vec<Region>, QueryError> {
    let refuse = |message: &str| Refusal::new(Rule::Range, Span::empty(), message, "region = 'DE'");
    let mut regions = match scope::pinned(filter, "region") {
        None => granted.to_vec(),
        Some(names) => {
            let mut regions = Vec::new();
            for name in names {
                let region = Region::parse(&name).filter(|region| region.as_str() == name);
                let region = region.ok_or_else(|| refuse("There is no such region."))?;
                if !granted.contains(&region) {
                    return Err(QueryError::NotAllowed(region.to_string()));
                }
                regions.push(region);
            }
            regions
        }
    };
    regions.sort_unstable();
    regions.dedup();
    if regions.is_empty() {
        return Err(refuse("No region is left.").into());
    }
    Ok(regions)
}

/// The keys: expressions, positions or names of SELECT items.
fn keys(
    parsed: &ParsedQuery,
    columns: &Columns<'_>,
    public: &Public<'_>,
    filter: Option<&Scalar>,
) -> Result<Vec<Key>, Refusal> {
    let mut keys: Vec<Key> = Vec::new();
    for expr in &parsed.keys {
        let expr = key_expression(expr, parsed, columns)?;
        let refuse =
            |message: &str, suggestion: &str| Err(Refusal::new(Rule::Key, expr.span(), message, suggestion));
        if matches!(expr, Expr::Function(function) if is_aggregate(function)) {
            return refuse("A group cannot be made from an aggregate.", "HAVING COUNT(*) > 100");
        }
        let scalar = normal(columns.scalar(expr, None)?);
        if matches!(scalar, Scalar::Value(_)) {
            return refuse("A constant is no key.", "a column");
        }
        let Key { scalar, kind } = key(scalar, columns, public, filter, expr.span())?;
        let is_time = |kind: &KeyKind| matches!(kind, KeyKind::Time(_));
        if is_time(&kind) && keys.iter().any(|key| is_time(&key.kind)) {
            return refuse("A query has one key of time.", "date_trunc('hour', time) alone");
        }
        let key = Key { scalar, kind };
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    if keys.len() > KEYS_MAX {
        let message = format!("A query has at most {KEYS_MAX} keys.");
        return Err(Refusal::new(Rule::Key, Span::empty(), message, "fewer keys"));
    }
    Ok(keys)
}

/// A key of GROUP BY may be the position or the name of a SELECT item.
fn key_expression<'p>(
    expr: &'p Expr,
    parsed: &'p ParsedQuery,
    columns: &Columns<'_>,
) -> Result<&'p Expr, Refusal> {
    if let Some(at) = position(expr) {
        return match parsed.items.get(at) {
            Some(item) => Ok(&item.expr),
            None => Err(no_such_position(expr)),
        };
    }
    if let Expr::Identifier(name) = expr
        && columns.column(name).is_err()
        && let Some(item) = named(parsed, name)
    {
        return Ok(&item.expr);
    }
    Ok(expr)
}

fn named<'p>(parsed: &'p ParsedQuery, name: &Ident) -> Option<&'p Item> {
    let plain = plain_name(name);
    parsed.items.iter().find(|item| item.alias.as_deref() == Some(plain.as_str()))
}

/// The index of a position such as `ORDER BY 2`.
pub(crate) fn position(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(ValueWithSpan { value: SqlValue::Number(text, false), span: _ }) => {
            Some(text.parse::<usize>().ok()?.wrapping_sub(1))
        }
        _ => None,
    }
}

pub(crate) fn no_such_position(expr: &Expr) -> Refusal {
    let message = "SELECT has no item of this position.";
    Refusal::new(Rule::Name, expr.span(), message, "1 for the first item")
}

fn free(parsed: &ParsedQuery, answer: &mut Answer<'_>) -> Result<Free, Refusal> {
    let mut items: Vec<FreeItem> = Vec::with_capacity(parsed.items.len());
    for item in &parsed.items {
        let expr = answer.rewrite(&item.expr)?;
        let name = match &item.alias {
            Some(alias) => alias.clone(),
            None => fresh_name(&item.expr, parsed, &items),
        };
        let unit = answer.unit(&item.expr);
        items.push(FreeItem { name, expr, unit });
    }
    let suffixed = |name: &str| ["_sd", "_low", "_high"].map(|suffix| format!("{name}{suffix}"));
    for (at, item) in items.iter().enumerate() {
        let others = || items.iter().enumerate().filter(|(i, _)| *i != at);
        if others().any(|(_, o)| o.name == item.name || suffixed(&o.name).contains(&item.name)) {
            let message = format!("Two columns of the answer would be called `{}`.", item.name);
            let span = parsed.items.get(at).map_or(Span::empty(), |i| i.expr.span());
            return Err(Refusal::new(Rule::Name, span, message, "COUNT(*) AS clicks"));
        }
    }
    answer.names = items
        .iter()
        .zip(&parsed.items)
        .filter(|(_, parsed)| parsed.alias.is_some())
        .map(|(item, _)| (item.name.clone(), item.expr.clone()))
        .collect();
    let having = match &parsed.having {
        Some(having) => Some(answer.rewrite(having)?),
        None => None,
    };
    let mut order = Vec::with_capacity(parsed.order.len());
    for by in &parsed.order {
        let expr = match position(&by.expr) {
            Some(at) => match items.get(at) {
                Some(item) => item.expr.clone(),
                None => return Err(no_such_position(&by.expr)),
            },
            None => answer.rewrite(&by.expr)?,
        };
        order.push(FreeOrder { expr, options: by.options });
    }
    let (limit, offset) = (parsed.limit, parsed.offset);
    Ok(Free { items, having, order, limit, offset })
}

/// The default name, numbered when it is taken: `count`, `count_2`.
fn fresh_name(expr: &Expr, parsed: &ParsedQuery, before: &[FreeItem]) -> String {
    let name = default_name(expr);
    let is_taken = |name: &str| {
        let given = parsed.items.iter().any(|item| item.alias.as_deref() == Some(name));
        given || before.iter().any(|item| item.name == name)
    };
    let numbered = |n| if n == 1 { name.clone() } else { format!("{name}_{n}") };
    (1..=before.len() + 2).map(numbered).find(|name| !is_taken(name)).unwrap_or(name.clone())
}

/// The name of an item without AS, as PostgreSQL has it.
pub(crate) fn default_name(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(name) => plain_name(name),
        Expr::CompoundIdentifier(parts) => parts.last().map(plain_name).unwrap_or_default(),
        Expr::Function(function) => function.name.to_string().to_ascii_lowercase(),
        Expr::Nested(inner) => default_name(inner),
        Expr::Case { .. } => "case".to_owned(),
        _ => "value".to_owned(),
    }
}

/// Bounds what an answer holds and what it takes to make it.
pub(crate) fn size(query: &PrivateQuery) -> Result<(), Refusal> {
    let refuse = |message: String| {
        let suggestion = "fewer keys, or a filter on a key's values";
        Err(Refusal::new(Rule::Cells, Span::empty(), message, suggestion))
    };
    let regions = query.regions.len() as u64;
    let buckets = query.buckets().len() as u64;
    let Some(cells) = query.public_cells() else {
        return Ok(());
    };
    let rows = cells.saturating_mul(buckets).saturating_mul(regions);
    if rows > CELLS_MAX {
        return refuse(format!("The answer would have {rows} groups; {CELLS_MAX} is the most."));
    }
    let draws = cells
        .saturating_mul(query.days.len().saturating_mul(regions))
        .saturating_mul(query.aggregates.len() as u64);
    if draws > DRAWS_MAX {
        return refuse("The days and groups of this query are too many.".to_owned());
    }
    Ok(())
}
