//! Tables, answers and budgets (`shoal-query`, `formats.rs`, `release/`, `budget.rs`, `tables.rs`, `running.rs`). Amounts of rho and
//! delta are exact decimals, and so texts.
#![allow(dead_code, reason = "the types are descriptions, and nothing makes them")]

use std::collections::BTreeMap;

use utoipa::ToSchema;

use super::{KindWord, RegionWord, Scalar, TextOrNumber};

/// An anonymous answer. Every number is followed by its standard deviation (`<name>_sd`) and its 95 % interval (`<name>_low`,
/// `<name>_high`).
#[derive(ToSchema)]
pub(in crate::http) struct Answer {
    columns: Vec<AnswerColumn>,
    /// By the names of the columns
    rows: Vec<BTreeMap<String, Scalar>>,
    /// `low`, `normal`, `high`, or `sd_max` and the number
    precision: String,
    cost: Cost,
    /// The noise of each number, known before anything is read
    noise: Vec<NumberNoise>,
    /// What a reader should know
    notes: Vec<String>,
    /// The private query in its canonical form
    query: String,
    /// Nothing was read, and there are no rows
    dry_run: bool,
    /// The answer to an `EXPLAIN`
    explained: bool,
}

/// A column of an answer.
#[derive(ToSchema)]
struct AnswerColumn {
    name: String,
    kind: AnswerColumnKind,
    /// The unit of a number
    #[schema(required = true)]
    unit: Option<String>,
    /// What is known of every number in it
    #[schema(nullable = false)]
    note: Option<String>,
}

/// What a column of an answer is
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum AnswerColumnKind {
    Key,
    Estimate,
    Value,
    Deviation,
    Low,
    High,
}

/// What an answer cost, or would cost.
#[derive(ToSchema)]
struct Cost {
    rho_per_block: String,
    /// Regions and days that the answer is about
    blocks: u64,
    rho_block_max: String,
    blocks_charged: u64,
    /// Released parts that the answer is made of
    pieces: u64,
    /// Those that had been asked before, and cost nothing
    pieces_from_ledger: u64,
    #[schema(required = true)]
    rho_left_min: Option<String>,
    delta_per_block: String,
    #[schema(required = true)]
    delta_left_min: Option<String>,
}

/// The noise of one number of a release.
#[derive(ToSchema)]
struct NumberNoise {
    release: String,
    number: String,
    #[schema(required = true)]
    unit: Option<String>,
    /// Its standard deviation
    sd: f64,
    /// About how many people a group needs to be shown
    #[schema(required = true)]
    shown_from: Option<u64>,
}

/// Queries that are not answered yet, oldest first.
#[derive(ToSchema)]
pub(in crate::http) struct RunningQueries {
    queries: Vec<RunningQuery>,
}

/// A query that is not answered yet.
#[derive(ToSchema)]
struct RunningQuery {
    #[schema(format = "uuid")]
    id: String,
    /// When it was asked, in milliseconds since 1970
    since_ms: i64,
}

/// Everything that can be asked with a key.
#[derive(ToSchema)]
pub(in crate::http) struct Tables {
    /// Regions that the key reaches
    regions: Vec<RegionWord>,
    tables: Vec<Table>,
    /// Aggregates over events: pairs of how each is written, and what it tells
    aggregates: Vec<Vec<String>>,
    /// Tables that are made of another one: pairs of how each is written, and what it tells
    templates: Vec<Vec<String>>,
    /// Functions over released values
    functions: Vec<String>,
    /// Pairs of a precision, and the rho per block that it costs
    precisions: Vec<Vec<String>>,
    rho_block_max: String,
    /// Fewest people of a group whose values are not listed
    k_min: u32,
}

/// A table.
#[derive(ToSchema)]
struct Table {
    name: KindWord,
    /// Pairs of a programme, and the number of days before today that can be read of it
    readable_days: Vec<Vec<TextOrNumber>>,
    columns: Vec<TableColumn>,
    /// Pairs of an event, and what it means
    events: Vec<Vec<String>>,
    /// Statements that work
    examples: Vec<String>,
}

/// A column of a table.
#[derive(ToSchema)]
struct TableColumn {
    name: String,
    doc: String,
    #[schema(rename = "type")]
    of: TableColumnType,
    /// What can be done with it
    usage: String,
    #[schema(required = true)]
    unit: Option<String>,
    /// All values, where they are listed
    #[schema(required = true)]
    values: Option<Vec<String>>,
}

/// The type of a column
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum TableColumnType {
    Text,
    Number,
    Boolean,
    Timestamp,
    Date,
    /// Counted only, in `COUNT(DISTINCT ..)`
    Digest,
}

/// The budgets of blocks.
#[derive(ToSchema)]
pub(in crate::http) struct Budgets {
    rho_block_max: String,
    delta_block_max: String,
    epochs: Vec<Epoch>,
    /// By table, region and day
    blocks: Vec<Block>,
    /// What was asked, each once, in its canonical form; of others' questions without their literals
    queries: Vec<String>,
    /// Whether there are older charges of these blocks, which are not listed
    more: bool,
}

/// One of the times at which a day is answered.
#[derive(ToSchema)]
struct Epoch {
    name: String,
    rho_max: String,
}

/// A table's day in a region.
#[derive(ToSchema)]
struct Block {
    table: KindWord,
    region: RegionWord,
    #[schema(format = Date)]
    day: String,
    /// The epoch that is in force
    epoch: String,
    rho_spent: String,
    rho_left: String,
    delta_spent: String,
    delta_left: String,
    /// The day on which the next epoch begins
    #[schema(required = true, format = Date)]
    next_epoch: Option<String>,
    /// What spent it, oldest first, as far as it is among the newest 1,000 charges of all these blocks
    spent_by: Vec<Charge>,
    /// Whether there are older charges of it
    more: bool,
}

/// One charge.
#[derive(ToSchema)]
struct Charge {
    at: String,
    epoch: String,
    rho: String,
    delta: String,
    state: ChargeState,
    /// The table, region and days of the question's part that it paid for
    part: String,
    /// What was asked: which one of `queries`, from 0
    query: u64,
}

/// Whether an answer is kept
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum ChargeState {
    Sealed,
    Reserved,
}
