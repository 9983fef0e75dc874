//! `GET /v1/retention/plan` and `POST /v1/retention/runs`: for officers. A run answers with one JSON object a line:
//! `{"progress": ..}` as it goes on, then `{"report": ..}`, or `{"problem": ..}` with the members of a problem document: its
//! status cannot be the answer's any more, which has begun. What is told depends on no event (`retention_told.rs`).

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use shoal_language::calendar::parse_day;
use shoal_retention::{Accepted, Mode, Progress, RetentionError};
use shoal_schemas::calendar::day_of;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use crate::http::auth::{self, Presented};
use crate::http::described::retention::RetentionPlan;
use crate::http::refusals::{self, refusals};
use crate::http::retention_told;
use crate::problem::{Problem, ProblemType};
use crate::retention_line::{Asked, RetentionLine};
use crate::retention_runs::{RunBy, RunError};
use crate::state::State;

refusals!(
    /// Why a plan is not told.
    Plan, Native: refusals::KEY
);

refusals!(
    /// Why a run does not begin.
    Run, Native: refusals::KEY, refusals::BODY, &[ProblemType::BadRequest]
);

/// What a run is asked for.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = RetentionRun)]
struct Wanted {
    dry_run: bool,
    /// The day that the clock says, as `YYYY-MM-DD`, by somebody who knows that it is right.
    #[schema(format = Date)]
    accept_clock: Option<String>,
    /// The run may remove any share of the rows.
    accept_share: bool,
}

impl Wanted {
    fn asked(&self, now_ms: i64) -> Result<Asked, Problem> {
        let clock = self.accept_clock.as_deref().map(|day| parse_day(day) == Some(day_of(now_ms)));
        if clock == Some(false) {
            let reason = "accept_clock must be the day that the clock of the service says, as YYYY-MM-DD";
            return Err(Problem::new(ProblemType::BadRequest, reason));
        }
        let accepted = Accepted { clock: clock.is_some(), share: self.accept_share };
        Ok(Asked { dry_run: self.dry_run, accepted })
    }
}

/// What a run would do.
#[utoipa::path(get, path = "/v1/retention/plan", tag = "retention", summary = "What a run would do",
    operation_id = "plan_retention",
    responses(
        (status = 200, description = "The first day that is kept, per region of the key, programme and kind: a run removes what is before it. \
            Keys that may ask questions are not told how much that is", body = RetentionPlan),
        Plan),
    security(("key" = []), ("basic" = [])))]
pub(super) async fn plan(http: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let officer = match auth::officer(&state.keys, Presented::in_header(&http)) {
        Ok(officer) => officer,
        Err(problem) => return problem.response(),
    };
    let plan = retention_told::plan(&state.definitions.current(), state.look().0, &officer.regions);
    HttpResponse::Ok().json(plan)
}

/// Runs retention now.
#[utoipa::path(post, path = "/v1/retention/runs", tag = "retention", summary = "Make expired days gone, now",
    operation_id = "run_retention",
    request_body(content = Option<Wanted>,
        example = json!({"dry_run": false, "accept_clock": "2026-11-22", "accept_share": true})),
    responses(
        (status = 200, description = "One `RetentionRunLine` a line: `{\"progress\"}`, then `{\"report\"}`, or `{\"problem\"}` when the run fails",
            body = String, content_type = "application/x-ndjson"),
        Run),
    security(("key" = []), ("basic" = [])))]
pub(super) async fn run(http: HttpRequest, payload: web::Payload, state: web::Data<State>) -> HttpResponse {
    let (now_ms, _) = state.look();
    let wanted = async {
        let officer = auth::officer(&state.keys, Presented::in_header(&http))?;
        let body = state.bodies.read(payload).await?;
        let wanted = match body.is_empty() {
            true => Wanted::default(),
            false => serde_json::from_slice::<Wanted>(&body).map_err(|_| {
                let form = "the body must be {\"dry_run\": true or false}, with accept_clock or accept_share if need be";
                Problem::new(ProblemType::BadRequest, form)
            })?,
        };
        Ok::<_, Problem>((officer, wanted.asked(now_ms)?))
    };
    let (officer, asked) = match wanted.await {
        Ok(wanted) => wanted,
        Err(problem) => return problem.response(),
    };
    let mode = if asked.dry_run { Mode::Dry } else { Mode::Real(state.permit(asked.accepted)) };
    let (lines, receiver) = mpsc::unbounded_channel::<Bytes>();
    let line = RetentionLine::begin(&state.audit, officer.actor(), now_ms, asked);
    let background = state.background.clone();
    // On its own task: a client that goes away does not stop a run half-way.
    background.spawn(async move {
        let send = |value: serde_json::Value| {
            let _ = lines.send(Bytes::from(format!("{value}\n")));
        };
        let mut progress = |p: Progress| {
            send(json!({"progress": {"tables_done": p.tables_done, "tables": p.tables}}));
        };
        let problem = |of, detail: &str| json!({"problem": Problem::new(of, detail).document()});
        let failed = |detail: &str| problem(ProblemType::Failed, detail);
        let registry = state.definitions.current();
        match state.retention_runs.run_once(now_ms, RunBy::Officer, mode, &mut progress).await {
            Ok(report) => match line.done(&report).await {
                Ok(()) if !asked.dry_run && state.ran(now_ms, asked.accepted).await.is_err() => {
                    send(failed("the mark of the run could not be written; see the log"));
                }
                Ok(()) => {
                    send(json!({"report": retention_told::report(&registry, &report, &officer.regions)}));
                }
                Err(error) => {
                    tracing::error!(%error, "a run of retention is not in the audit");
                    send(failed("the audit could not be written; see the log"));
                }
            },
            Err(error) => {
                tracing::error!(%error, "retention failed");
                if let Err(error) = line.failed(&error).await {
                    tracing::error!(%error, "a run of retention is not in the audit");
                }
                send(match error {
                    RunError::Retention(RetentionError::Refused(refused)) => {
                        problem(ProblemType::RetentionRefused, &retention_told::refused(&refused))
                    }
                    RunError::Retention(RetentionError::Table { .. }) => {
                        failed("a table could not be read; see the log")
                    }
                    RunError::Unrecorded(_) => {
                        failed("what there is could not be written down, so nothing was removed; see the log")
                    }
                });
            }
        }
    });
    let stream = futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|line| (Ok::<_, actix_web::Error>(line), receiver))
    });
    HttpResponse::Ok().content_type("application/x-ndjson").streaming(stream)
}
