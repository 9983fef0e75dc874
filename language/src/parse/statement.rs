//! The kinds of statements that are answered: a query, and EXPLAIN of a query. Every other kind is refused.
//!
//! Invariants: the `match` names every statement, so that a parser that learns a new one does not compile until somebody
//! has decided about it. EXPLAIN shows the private query and its price; there is no other form of it, because a plan that
//! has run tells row counts.

use sqlparser::ast::{DescribeAlias, Query, Spanned, Statement};

use super::walk::SHAPE;
use crate::error::{Refusal, Rule};

/// One query, nothing resolved yet.
pub(crate) struct Parsed {
    pub(crate) explain: bool,
    pub(crate) query: Query,
}

/// The query of a statement.
pub(super) fn query(statement: Statement) -> Result<Parsed, Refusal> {
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

/// Every statement that is not answered.
#[rustfmt::skip] // lists of names, packed
fn refused(statement: &Statement) -> Refusal {
    let message = match statement {
        Statement::Query(_) | Statement::Explain { .. } => "Only SELECT is answered, once.",
        Statement::ShowFunctions { .. } | Statement::ShowVariable { .. } | Statement::ShowStatus { .. }
        | Statement::ShowVariables { .. } | Statement::ShowCreate { .. } | Statement::ShowColumns { .. }
        | Statement::ShowCatalogs { .. } | Statement::ShowDatabases { .. } | Statement::ShowProcessList { .. }
        | Statement::ShowSchemas { .. } | Statement::ShowCharset(..) | Statement::ShowObjects(..)
        | Statement::ShowTables { .. } | Statement::ShowViews { .. } | Statement::ShowCollation { .. } => {
            "Only SELECT is answered. What can be asked is listed by the public schema (GET /v1/tables)."
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
