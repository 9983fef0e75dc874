//! Expressions as nodes, each once, those that others are made of before them; patterns are compiled with them.
//!
//! Not here: their values (`graph`), expressions one by one (`plan`).

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::{Expr, SessionContext};
use shoal_schemas::{Region, columns};

use super::counted::{Counted, What};
use super::patterns::compiled;
use super::plan;
use super::texts::text_type;
use crate::failure::Failure;
use crate::text_bytes::{CASED_BYTES_MAX, TEXT_BYTES_MAX};
use shoal_language::calendar::Grain;
use shoal_language::{Casing, Pattern, Scalar, Shared, Type, Value};

/// One expression over the values of other nodes.
pub(super) struct Node {
    pub(super) step: Step,
    pub(super) inputs: Vec<usize>,
    /// The column of texts that alone decides its value.
    pub(super) texts: Option<usize>,
    /// What its values are given to other nodes as.
    pub(super) ty: Option<DataType>,
    /// The most bytes of it, if it is a text.
    pub(super) text_bytes: usize,
}

/// How a node is made of its inputs.
pub(super) enum Step {
    /// A stored column.
    Stored(usize),
    /// The hour of its input.
    Hour,
    /// Whether its input, a text, matches.
    Matches(Pattern),
    /// Its input, a text, in this case.
    Cased(Casing),
    /// Of its inputs, in this schema.
    Any(SchemaRef, Arc<dyn PhysicalExpr>),
}

/// Makes nodes, each once.
pub(super) struct Builder<'a> {
    session: &'a SessionContext,
    schema: &'a SchemaRef,
    region: Region,
    counted: Counted,
    nodes: Vec<Node>,
    known: HashMap<String, usize>,
    /// Of expressions that others are made of: what several share is looked at once.
    shared: HashMap<Shared<Scalar>, usize>,
}

fn is_digest(name: &str) -> bool {
    [columns::SESSION, columns::SUBJECT].contains(&name)
}

/// As nodes give it to each other.
fn data_type(ty: Type) -> DataType {
    match ty {
        Type::Text => DataType::Utf8,
        Type::Boolean => DataType::Boolean,
        Type::Number { .. } => DataType::Int64,
        Type::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Type::Day => DataType::Date32,
    }
}

/// As what the values of an expression are wanted; none where the type is not known, or as they are.
pub(super) fn wanted(scalar: &Scalar) -> Option<DataType> {
    let is_own = matches!(scalar, Scalar::Column { name, .. } if is_digest(name));
    let ty = scalar.ty().filter(|_| !is_own)?;
    Some(if ty == Type::Text { text_type() } else { data_type(ty) })
}

impl<'a> Builder<'a> {
    /// Over stored columns of this schema.
    pub(super) fn new(
        session: &'a SessionContext,
        schema: &'a SchemaRef,
        region: Region,
        counted: &Counted,
    ) -> Builder<'a> {
        let (known, shared) = (HashMap::new(), HashMap::new());
        Builder { session, schema, region, counted: counted.clone(), nodes: Vec::new(), known, shared }
    }

    /// All nodes that were made.
    pub(super) fn finish(self) -> Vec<Node> {
        self.nodes
    }

    /// The node of an expression; those of its parts come before it.
    pub(super) fn node(&mut self, scalar: &Scalar) -> Result<usize, Failure> {
        let mut parts: Vec<&Shared<Scalar>> = Vec::new();
        scalar.each(&mut |part| parts.push(part));
        let (mut inputs, mut shallow) = (Vec::<usize>::new(), Vec::with_capacity(parts.len()));
        for part in parts {
            shallow.push(match (part.as_ref(), part.ty()) {
                (Scalar::Value(_) | Scalar::Region, _) => part.clone(),
                // What has no type is null, whatever it is made of.
                (_, None) => Scalar::Value(Value::Null).into(),
                (_, Some(ty)) => {
                    let node = self.shared_node(part)?;
                    let at = inputs.iter().position(|known| *known == node).unwrap_or(inputs.len());
                    if at == inputs.len() {
                        inputs.push(node);
                    }
                    Scalar::Column { name: format!("#{at}"), ty }.into()
                }
            });
        }
        let mut shallow = shallow.into_iter();
        let own = scalar.clone().map(&mut |part| shallow.next().unwrap_or(part));
        let name = format!("{own:?} of {inputs:?}");
        if let Some(node) = self.known.get(&name) {
            return Ok(*node);
        }
        let node = self.made(&own, inputs)?;
        self.nodes.push(node);
        self.known.insert(name, self.nodes.len() - 1);
        Ok(self.nodes.len() - 1)
    }

    fn shared_node(&mut self, part: &Shared<Scalar>) -> Result<usize, Failure> {
        if let Some(node) = self.shared.get(part) {
            return Ok(*node);
        }
        let node = self.node(part)?;
        self.shared.insert(part.clone(), node);
        Ok(node)
    }

    fn stored(&mut self, name: &str) -> Result<usize, Failure> {
        let own = format!("stored {name}");
        if let Some(node) = self.known.get(&own) {
            return Ok(*node);
        }
        let at = self.schema.index_of(name).map_err(|_| Failure::Internal)?;
        let ty = self.schema.field(at).data_type().clone();
        let is_text = matches!(ty, DataType::Dictionary(..));
        self.nodes.push(Node {
            step: Step::Stored(at),
            inputs: Vec::new(),
            texts: is_text.then_some(at),
            ty: Some(if is_text { DataType::Utf8 } else { ty }),
            text_bytes: TEXT_BYTES_MAX,
        });
        self.known.insert(own, self.nodes.len() - 1);
        Ok(self.nodes.len() - 1)
    }

    /// The most bytes of a text that is one of these nodes or a constant.
    fn longest_of(&self, inputs: &[usize]) -> usize {
        let bytes = inputs.iter().filter_map(|input| self.nodes.get(*input)).map(|node| node.text_bytes);
        bytes.fold(TEXT_BYTES_MAX, usize::max)
    }

    /// The node of an expression whose parts are columns named by the positions of its inputs, or constants.
    fn made(&mut self, own: &Scalar, mut inputs: Vec<usize>) -> Result<Node, Failure> {
        let ty = own.ty().map(data_type);
        let step = match own {
            Scalar::Column { name, .. } => {
                let at = self.schema.index_of(name).map_err(|_| Failure::Internal)?;
                let is_text = matches!(self.schema.field(at).data_type(), DataType::Dictionary(..));
                let ty = ty.filter(|_| !is_digest(name));
                let texts = is_text.then_some(at);
                return Ok(Node { step: Step::Stored(at), inputs, texts, ty, text_bytes: TEXT_BYTES_MAX });
            }
            Scalar::Time(Grain::Hour) => {
                inputs.push(self.stored(columns::TIME)?);
                Step::Hour
            }
            Scalar::Like { item, pattern, any_case } if matches!(&**item, Scalar::Column { .. }) => {
                self.counted.add(What::Patterns, 1);
                Step::Matches(compiled(pattern, *any_case)?)
            }
            Scalar::Upper(item) if matches!(&**item, Scalar::Column { .. }) => Step::Cased(Casing::Upper),
            Scalar::Lower(item) if matches!(&**item, Scalar::Column { .. }) => Step::Cased(Casing::Lower),
            _ => {
                let plan = plan::plan(own, self.region);
                let mut fields = Vec::new();
                for (at, input) in inputs.iter().enumerate() {
                    let ty = self.nodes.get(*input).and_then(|node| node.ty.clone());
                    fields.push(Field::new(format!("#{at}"), ty.ok_or(Failure::Internal)?, true));
                }
                let mut names: Vec<String> =
                    plan.column_refs().iter().map(|column| column.name.clone()).collect();
                names.retain(|name| !name.starts_with('#'));
                names.sort_unstable();
                for name in names {
                    let node = self.stored(&name)?;
                    let ty = self.nodes.get(node).and_then(|node| node.ty.clone());
                    fields.push(Field::new(name, ty.ok_or(Failure::Internal)?, true));
                    inputs.push(node);
                }
                let schema: SchemaRef = Arc::new(Schema::new(fields));
                let known = DFSchema::try_from(Arc::clone(&schema))?;
                let expr = self.session.create_physical_expr(simple(plan, &schema)?, &known)?;
                Step::Any(schema, expr)
            }
        };
        let mut columns = inputs.iter().map(|input| self.nodes.get(*input).and_then(|node| node.texts));
        let first = columns.next().flatten();
        let texts = first.filter(|first| columns.all(|other| other == Some(*first)));
        let text_bytes = match own {
            Scalar::Upper(_) | Scalar::Lower(_) => CASED_BYTES_MAX,
            _ => self.longest_of(&inputs),
        };
        Ok(Node { step, inputs, texts, ty, text_bytes })
    }
}

/// Some functions (`coalesce`) exist in a simpler form only.
fn simple(plan: Expr, schema: &SchemaRef) -> Result<Expr, Failure> {
    let schema = Arc::new(DFSchema::try_from(Arc::clone(schema))?);
    let context = SimplifyContext::builder().with_schema(Arc::clone(&schema)).build();
    let simplifier = ExprSimplifier::new(context);
    Ok(simplifier.simplify(simplifier.coerce(plan, &schema)?)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What is used twice is one node, and so is what it is made of.
    #[test]
    fn the_same_expression_is_one_node() {
        let session = SessionContext::new();
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("os", text_type(), true)]));
        let column = || Scalar::Column { name: "os".to_owned(), ty: Type::Text };
        let like = |pattern: &str| Scalar::Like {
            item: Scalar::Lower(column().into()).into(),
            pattern: pattern.to_owned(),
            any_case: false,
        };
        let both = Scalar::And(like("a%").into(), Scalar::Not(like("a%").into()).into());
        let mut builder = Builder::new(&session, &schema, Region::De, &Counted::default());
        let first = builder.node(&both).unwrap();
        assert_eq!(builder.node(&both.clone()).unwrap(), first);
        builder.node(&like("a%")).unwrap();
        // The column, its lower case, the pattern, its negation, and both.
        let nodes = builder.finish();
        assert_eq!(nodes.len(), 5);
        assert!(nodes.iter().all(|node| node.texts == Some(0)), "all of one column of texts");
    }
}
