//! The kinds of statements that are answered: a query, EXPLAIN of a query, and SHOW TABLES, SHOW COLUMNS and DESCRIBE, which are
//! queries of the public schema. Every other kind is refused.
//!
//! Invariants: the `match` names every statement, so that a parser that learns a new one does not compile until somebody
//! has decided about it. EXPLAIN shows the private query and its price; there is no other form of it, because a plan that
//! has run tells row counts.

use shoal_schemas::Kind;
use sqlparser::ast::{
    DescribeAlias, ObjectName, ObjectNamePart, Query, ShowStatementOptions, Spanned, Statement,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::walk::SHAPE;
use crate::error::{Refusal, Rule};
use crate::syntax::plain_name;

/// One query, nothing resolved yet.
pub(crate) struct Parsed {
    pub(crate) explain: bool,
    pub(crate) query: Query,
}

/// The query of a statement.
pub(super) fn query(statement: Statement) -> Result<Parsed, Refusal> {
    if let Some(text) = of_the_schema(&statement) {
        let mut parser =
            Parser::new(&PostgreSqlDialect {}).try_with_sql(&text).map_err(|_| refused(&statement))?;
        let query = parser.parse_query().map_err(|_| refused(&statement))?;
        return Ok(Parsed { explain: false, query: *query });
    }
    match statement {
        Statement::Query(query) => Ok(Parsed { explain: false, query: *query }),
        Statement::Explain {
            describe_alias,
            analyze,
            verbose,
            query_plan,
            estimate,
            statement,
            format,
            options,
        } => {
            let is_plain = matches!(describe_alias, DescribeAlias::Explain)
                && !(analyze || verbose || query_plan || estimate)
                && format.is_none()
                && options.is_none();
            match *statement {
                Statement::Query(query) if is_plain => Ok(Parsed { explain: true, query: *query }),
                other => {
                    let message =
                        "EXPLAIN is written before a SELECT, without ANALYZE, VERBOSE, FORMAT or options.";
                    let suggestion = "EXPLAIN SELECT COUNT(*) FROM usage";
                    Err(Refusal::new(Rule::Statement, other.span(), message, suggestion))
                }
            }
        }
        other => Err(refused(&other)),
    }
}

/// The query of the public schema that SHOW TABLES, SHOW COLUMNS or DESCRIBE stands for.
fn of_the_schema(statement: &Statement) -> Option<String> {
    let is_plain = |options: &ShowStatementOptions| {
        let ShowStatementOptions { show_in: _, starts_with, limit, limit_from, filter_position } = options;
        starts_with.is_none() && limit.is_none() && limit_from.is_none() && filter_position.is_none()
    };
    let columns = |name: &ObjectName| {
        let ObjectNamePart::Identifier(name) = name.0.last()? else { return None };
        let kind = Kind::ALL.iter().find(|kind| kind.as_str() == plain_name(name))?;
        Some(format!(
            "SELECT column_name, data_type, is_nullable, usage, unit, description FROM information_schema.columns WHERE \
             table_name = '{kind}' ORDER BY ordinal_position"
        ))
    };
    match statement {
        Statement::ShowTables {
            terse: _,
            history: false,
            extended: _,
            full: _,
            external: false,
            show_options,
        } => is_plain(show_options)
            .then(|| "SELECT table_name FROM information_schema.tables ORDER BY table_name".to_owned()),
        Statement::ShowColumns { extended: _, full: _, show_options } if is_plain(show_options) => {
            columns(show_options.show_in.as_ref()?.parent_name.as_ref()?)
        }
        Statement::ExplainTable { describe_alias, hive_format: None, has_table_keyword: _, table_name } => {
            let is_describe = matches!(describe_alias, DescribeAlias::Describe | DescribeAlias::Desc);
            is_describe.then(|| columns(table_name)).flatten()
        }
        _ => None,
    }
}

/// Every statement that is not answered.
#[rustfmt::skip] // lists of names, packed
fn refused(statement: &Statement) -> Refusal {
    let message = match statement {
        Statement::Query(_) | Statement::Explain { .. } => "Only a single SELECT is answered.",
        Statement::ShowFunctions { .. } | Statement::ShowVariable { .. } | Statement::ShowStatus { .. }
        | Statement::ShowVariables { .. } | Statement::ShowCreate { .. } | Statement::ShowColumns { .. }
        | Statement::ShowCatalogs { .. } | Statement::ShowDatabases { .. } | Statement::ShowProcessList { .. }
        | Statement::ShowSchemas { .. } | Statement::ShowCharset(..) | Statement::ShowObjects(..)
        | Statement::ShowTables { .. } | Statement::ShowViews { .. } | Statement::ShowCollation { .. } => {
            "Only SELECT is answered, and SHOW TABLES, SHOW COLUMNS FROM and DESCRIBE of a table. What can be asked is listed by \
                the public schema (GET /v1/tables)."
        }
        Statement::Set(..) | Statement::AlterSession { .. } | Statement::Use(..) => {
            "Only SELECT is answered; there is nothing to set."
        }
        Statement::Analyze(..) | Statement::Truncate(..) | Statement::Msck(..) | Statement::Insert(..)
        | Statement::Install { .. } | Statement::Load { .. } | Statement::Directory { .. }
        | Statement::Case(..) | Statement::If(..) | Statement::While(..) | Statement::Raise(..)
        | Statement::Call(..) | Statement::Copy { .. } | Statement::CopyIntoSnowflake { .. }
        | Statement::Open(..) | Statement::Close { .. } | Statement::Update(..) | Statement::Delete(..)
        | Statement::CreateView(..) | Statement::CreateTable(..) | Statement::CreateVirtualTable { .. }
        | Statement::CreateIndex(..) | Statement::CreateRole(..) | Statement::CreateSecret { .. }
        | Statement::CreateServer(..) | Statement::CreatePolicy(..) | Statement::CreateConnector(..)
        | Statement::CreateOperator(..) | Statement::CreateOperatorFamily(..)
        | Statement::CreateOperatorClass(..) | Statement::AlterTable(..) | Statement::AlterSchema(..)
        | Statement::AlterIndex { .. } | Statement::AlterView { .. } | Statement::AlterFunction(..)
        | Statement::AlterType(..) | Statement::AlterCollation(..) | Statement::AlterOperator(..)
        | Statement::AlterOperatorFamily(..) | Statement::AlterOperatorClass(..) | Statement::AlterRole { .. }
        | Statement::AlterPolicy(..) | Statement::AlterConnector { .. } | Statement::AttachDatabase { .. }
        | Statement::AttachDuckDBDatabase { .. } | Statement::DetachDuckDBDatabase { .. }
        | Statement::Drop { .. } | Statement::DropFunction(..) | Statement::DropDomain(..)
        | Statement::DropProcedure { .. } | Statement::DropSecret { .. } | Statement::DropPolicy(..)
        | Statement::DropConnector { .. } | Statement::Declare { .. } | Statement::CreateExtension(..)
        | Statement::CreateCollation(..) | Statement::DropExtension(..) | Statement::DropOperator(..)
        | Statement::DropOperatorFamily(..) | Statement::DropOperatorClass(..) | Statement::Fetch { .. }
        | Statement::Flush { .. } | Statement::Discard { .. } | Statement::StartTransaction { .. }
        | Statement::Comment { .. } | Statement::Commit { .. } | Statement::Rollback { .. }
        | Statement::CreateSchema { .. } | Statement::CreateDatabase { .. } | Statement::CreateFunction(..)
        | Statement::CreateTrigger(..) | Statement::DropTrigger(..) | Statement::CreateProcedure { .. }
        | Statement::CreateMacro { .. } | Statement::CreateStage { .. } | Statement::Assert { .. }
        | Statement::Grant(..) | Statement::Deny(..) | Statement::Revoke(..) | Statement::Deallocate { .. }
        | Statement::Execute { .. } | Statement::Prepare { .. } | Statement::Kill { .. }
        | Statement::ExplainTable { .. } | Statement::Savepoint { .. } | Statement::ReleaseSavepoint { .. }
        | Statement::Merge(..) | Statement::Cache { .. } | Statement::UNCache { .. }
        | Statement::CreateSequence { .. } | Statement::CreateDomain(..) | Statement::CreateType { .. }
        | Statement::Pragma { .. } | Statement::Lock(..) | Statement::LockTables { .. }
        | Statement::UnlockTables | Statement::Unload { .. } | Statement::OptimizeTable { .. }
        | Statement::LISTEN { .. } | Statement::UNLISTEN { .. } | Statement::NOTIFY { .. }
        | Statement::LoadData { .. } | Statement::RenameTable(..) | Statement::List(..)
        | Statement::Remove(..) | Statement::RaisError { .. } | Statement::Throw(..) | Statement::Print(..)
        | Statement::WaitFor(..) | Statement::Return(..) | Statement::ExportData(..)
        | Statement::CreateUser(..) | Statement::AlterUser(..) | Statement::Vacuum(..)
        | Statement::Reset(..) => {
            "Only SELECT is answered. Events come in through the ingest API alone, and nothing here changes them."
        }
    };
    Refusal::new(Rule::Statement, statement.span(), message, SHAPE)
}
