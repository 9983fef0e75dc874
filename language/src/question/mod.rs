//! Stage 2: a statement -> the releases it needs and the text that postprocesses them.
//!
//! ```text
//! SELECT os, n FROM (SELECT os, COUNT(*) AS n FROM usage GROUP BY os) AS t WHERE n > 9
//!                    `-------------- one release, r0 ---------------'
//! SELECT "os", "n" FROM (SELECT "k0" AS "os", "a0" AS "n" FROM "r0") AS "t" WHERE "n" > 9
//! ```
//! The private parts of a statement are the SELECTs over a protected table, over a template of one, or over a subquery
//! that has a row for each subject. Each becomes a [`PrivateQuery`], and in the text a SELECT over the table `r<i>` with
//! the keys `k<j>` and the aggregates `a<j>`. Private parts that ask the same are one release.
//!
//! Invariants: after this no name of a protected table or of its columns is left in the text. Everything depends on the
//! text, the public schema, the key's regions and the time of the request. Not here: prices, the plan of the text.
//!
//! - `split`: queries, CTEs and relations; `scope`: what is known of them; `naming`: names of output columns
//! - `semi`, `sides`, `branches`: joins and keys that are memberships; `chosen`: joins that choose among
//!   values; `joins`: what to write instead of another join
//! - `origin`, `source`: what a private SELECT reads; `rows`: which SELECTs have rows of events or of subjects
//! - `person`, `templates`: rows that are not events; `person_rows`: how many one subject has (`template_names`: their list); `members`: which subjects count
//! - `items`: items of SELECT that stand for several; `key_forms`: which expression a key is; `unlisted`: texts that no key has
//! - `private`: one private SELECT; `release`: its [`PrivateQuery`]
//! - `spellings`, `formats`: forms that tools write, in the form that everything else knows
//! - `clocks`, `in_utc`, `zoned`: times on clocks of a zone, conditions on them, and hours that are shown
//! - `series`, `catalogue`: relations that are rows of the text; `size`: how large the text is, written out
//! - `days`: relations whose rows are days; `windows`, `correlated`: events that are read in windows of days; `moving`: windows of
//!   people that cannot be added up
//! - `postprocess`, `formula`: expressions over released rows, and numbers made of aggregates

mod branches;
mod catalogue;
mod chosen;
mod clocks;
mod correlated;
mod days;
mod formats;
mod formula;
mod in_utc;
mod items;
mod joins;
mod key_forms;
mod members;
mod moving;
mod naming;
mod origin;
mod person;
mod person_rows;
mod postprocess;
mod private;
mod release;
mod rows;
mod scope;
mod semi;
mod series;
mod sides;
mod size;
mod source;
mod spellings;
mod split;
mod template_names;
mod templates;
mod unlisted;
mod windows;
mod zoned;

use std::collections::BTreeMap;

use shoal_schemas::{Kind, Region, Registry};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Span;

use self::scope::Split;
use crate::bind::Asking;
use crate::bind::columns::Columns;
use crate::error::{LanguageError, Refusal, Rule};
use crate::expr::Scalar;
use crate::parse::{SHAPE, statement};
use crate::private_query::PrivateQuery;
use crate::work::Work;

pub use self::postprocess::POSTPROCESS_FUNCTIONS;
pub use self::size::{POSTPROCESS_BYTES_MAX, POSTPROCESS_PARTS_MAX};
pub use self::template_names::{TEMPLATES, TemplateForm};

/// A statement, taken apart.
#[derive(Clone, Debug)]
pub struct Question {
    /// Whether only the plan and the price are asked.
    pub explain: bool,
    /// What is asked of events; the text names them `r0`, `r1`, ..
    pub releases: Vec<PrivateQuery>,
    /// The text that postprocesses the releases.
    pub postprocess: PostprocessText,
    /// What the reader of an answer should know.
    pub notes: Vec<String>,
}

/// SQL over released tables only.
#[derive(Clone, Debug, PartialEq)]
pub struct PostprocessText {
    /// One query over the tables `r0`, `r1` ..
    pub sql: String,
}

/// Takes a statement apart, for a key that may ask `regions`, at `now_ms`.
///
/// # Errors
/// [`LanguageError::Refused`], and [`LanguageError::NotAllowed`] for a region that the key does not reach.
pub fn ask(
    text: &str,
    registry: &Registry,
    regions: &[Region],
    now_ms: i64,
) -> Result<Question, LanguageError> {
    let first_days = BTreeMap::new();
    let asking = Asking { regions, first_days: &first_days, now_ms };
    ask_within(text, registry, asking, &Work::default())
}

/// As [`ask`], with what is known of the regions, and with steps that are counted together with those of other statements.
///
/// # Errors
/// Those of [`ask`].
pub fn ask_within(
    text: &str,
    registry: &Registry,
    asking: Asking<'_>,
    work: &Work,
) -> Result<Question, LanguageError> {
    let mut parsed = statement(text)?;
    spellings::plain(&mut parsed.query)?;
    let mut split = Split::new(registry, asking, work);
    split.query(&mut parsed.query)?;
    naming::unique(&parsed.query)?;
    let mut notes: Vec<String> = Vec::new();
    for note in split.releases.iter().flat_map(|query| &query.notes) {
        if !notes.contains(note) {
            notes.push(note.clone());
        }
    }
    let postprocess = PostprocessText { sql: size::text(&mut parsed.query, &split.added)? };
    Ok(Question { explain: parsed.explain, releases: split.releases, postprocess, notes })
}

/// A condition over the events of a table as it is written, names resolved and types checked; see [`crate::normal`] for
/// its normal form.
///
/// # Errors
/// The refusal of the text.
pub fn condition(text: &str, table: Kind, registry: &Registry, now_ms: i64) -> Result<Scalar, Refusal> {
    let dialect = PostgreSqlDialect {};
    let parsed = Parser::new(&dialect).try_with_sql(text).and_then(|mut parser| parser.parse_expr());
    let expr =
        parsed.map_err(|error| Refusal::new(Rule::Syntax, Span::empty(), format!("{error}."), SHAPE))?;
    let work = Work::default();
    let bound = Columns::of(registry, &work, registry.table(table), now_ms).condition(&expr)?;
    Ok(bound.into_node())
}
