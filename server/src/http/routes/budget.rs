//! `GET /v1/budget`: what each table's day in a region may still tell, and what was spent of it on which question.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use shoal_query::{BudgetError, BudgetRequest, QueryError};
use shoal_schemas::{Kind, Region};
use utoipa::IntoParams;

use crate::http::auth::{self, Presented};
use crate::http::described::{KindWord, RegionWord, questions::Budgets};
use crate::http::refusals::{self, refusals};
use crate::problem::{Problem, ProblemType};
use crate::state::State;

refusals!(
    /// Why budgets are not told.
    Budget, Native: refusals::KEY, &[ProblemType::BadRequest, ProblemType::NotAllowed, ProblemType::Failed]
);

/// Which blocks.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct BudgetQuery {
    /// One table
    #[param(value_type = KindWord, required = false)]
    table: Option<String>,
    /// One region
    #[param(value_type = RegionWord, required = false)]
    region: Option<String>,
    /// First day, as 2026-11-22
    #[param(value_type = String, format = Date, required = false)]
    first: Option<String>,
    /// Last day
    #[param(value_type = String, format = Date, required = false)]
    last: Option<String>,
}

/// Lists budgets.
#[utoipa::path(get, path = "/v1/budget", tag = "query", summary = "What is left of each day's privacy budget, and what spent it",
    operation_id = "list_budgets",
    description = "By table, region and day. Without `first` and `last`: the last seven days. `rho_*` is the budget; `delta_*` is \
        what thresholds of keys whose values are not listed take of each block's `delta_block_max`. `state` is `sealed` when an \
        answer is kept, and `reserved` when there is none, for whatever reason. The newest 1,000 charges are listed; `more` says \
        whether there are older ones.",
    params(BudgetQuery),
    responses(
        (status = 200, description = "Caps, epochs, and for each block what was spent, on what, and what is left",
            body = Budgets),
        Budget),
    security(("key" = []), ("basic" = [])))]
pub(super) async fn list(
    http: HttpRequest,
    state: web::Data<State>,
    asked: Result<web::Query<BudgetQuery>, actix_web::Error>,
) -> HttpResponse {
    let grant = match auth::analyst(&state.keys, Presented::in_header(&http)) {
        Ok(grant) => grant,
        Err(problem) => return problem.response(),
    };
    let bad = |reason: &str| Problem::new(ProblemType::BadRequest, reason).response();
    let Ok(web::Query(asked)) = asked else {
        return bad("only `table`, `region`, `first` and `last` can be named");
    };
    let table = match asked.table.as_deref().map(Kind::parse) {
        Some(None) => return bad("there is no such table"),
        table => table.flatten(),
    };
    let region = match asked.region.as_deref().map(Region::parse) {
        Some(None) => return bad("there is no such region"),
        region => region.flatten(),
    };
    let request = BudgetRequest { table, region, first: asked.first, last: asked.last };
    match state.engine.budget(&grant, &request, state.now_ms()).await {
        Ok(list) => HttpResponse::Ok().json(list),
        Err(error @ BudgetError::Days) => bad(&error.to_string()),
        Err(error) => Problem::from(QueryError::from(error)).response(),
    }
}
