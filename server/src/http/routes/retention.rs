//! `GET /v1/retention/plan` and `POST /v1/retention/runs`: for officers. A run answers with one JSON object a line:
//! `{"progress": ..}` as it goes on, then `{"report": ..}`, or `{"problem": ..}` with the members of a problem document: its
//! status cannot be the answer's any more, which has begun.

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use shoal_retention::{Mode, Progress};
use tokio::sync::mpsc;

use crate::http::auth::{self, Presented};
use crate::http::refusals::{self, refusals};
use crate::problem::{Problem, ProblemType};
use crate::retention_line::RetentionLine;
use crate::state::State;

refusals!(
    /// Why a plan is not told.
    Plan, Native: refusals::KEY, &[ProblemType::Failed]
);

refusals!(
    /// Why a run does not begin.
    Run, Native: refusals::KEY, refusals::BODY, &[ProblemType::BadRequest]
);

/// What a run is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    dry_run: bool,
}

/// What a run would do.
#[utoipa::path(get, path = "/v1/retention/plan", tag = "retention", summary = "What a run would do",
    responses(
        (status = 200, description = "Files, rows, bytes and the oldest day per region, programme and kind",
            body = serde_json::Value),
        Plan),
    security(("key" = [])))]
pub(super) async fn plan(http: HttpRequest, state: web::Data<State>) -> HttpResponse {
    if let Err(problem) = auth::officer(&state.keys, Presented::in_header(&http)) {
        return problem.response();
    }
    match state.retention.plan(state.now_ms()).await {
        Ok(plan) => HttpResponse::Ok().json(plan),
        Err(error) => {
            tracing::error!(%error, "retention plan failed");
            Problem::new(ProblemType::Failed, "a table could not be read; see the log").response()
        }
    }
}

/// Runs retention now.
#[utoipa::path(post, path = "/v1/retention/runs", tag = "retention", summary = "Make expired days gone, now",
    request_body(content = serde_json::Value, example = json!({"dry_run": true})),
    responses(
        (status = 200, description = "One JSON object a line: `{\"progress\"}`, then `{\"report\"}`, or `{\"problem\"}` when the run fails",
            content_type = "application/x-ndjson"),
        Run),
    security(("key" = [])))]
pub(super) async fn run(http: HttpRequest, payload: web::Payload, state: web::Data<State>) -> HttpResponse {
    let wanted = async {
        let officer = auth::officer(&state.keys, Presented::in_header(&http))?;
        let body = state.bodies.read(payload).await?;
        if body.is_empty() {
            return Ok::<_, Problem>((officer, Wanted { dry_run: false }));
        }
        let wanted = serde_json::from_slice::<Wanted>(&body).map_err(|_| {
            Problem::new(ProblemType::BadRequest, "the body must be {\"dry_run\": true or false}")
        })?;
        Ok((officer, wanted))
    };
    let (officer, Wanted { dry_run }) = match wanted.await {
        Ok(wanted) => wanted,
        Err(problem) => return problem.response(),
    };
    let mode = if dry_run { Mode::Dry } else { Mode::Real };
    let (lines, receiver) = mpsc::unbounded_channel::<Bytes>();
    let (retention, now_ms) = (state.retention.clone(), state.now_ms());
    let line = RetentionLine::begin(&state.audit, officer.actor(), now_ms, dry_run);
    // On its own task: a client that goes away does not stop a run half-way.
    state.background.spawn(async move {
        let send = |value: serde_json::Value| {
            let _ = lines.send(Bytes::from(format!("{value}\n")));
        };
        let mut progress = |p: Progress| {
            send(json!({"progress": {"tables_done": p.tables_done, "tables": p.tables, "files": p.files}}));
        };
        let failed = |detail: &str| json!({"problem": Problem::new(ProblemType::Failed, detail).document()});
        match retention.run_once(now_ms, mode, &mut progress).await {
            Ok(report) => match line.done(&report).await {
                Ok(()) => send(json!({"report": report})),
                Err(error) => {
                    tracing::error!(%error, "a run of retention is not in the audit");
                    send(failed("the audit could not be written; see the log"));
                }
            },
            Err(error) => {
                tracing::error!(%error, "retention failed");
                if let Err(error) = line.failed().await {
                    tracing::error!(%error, "a run of retention is not in the audit");
                }
                send(failed("a table could not be read; see the log"));
            }
        }
    });
    let stream = futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|line| (Ok::<_, actix_web::Error>(line), receiver))
    });
    HttpResponse::Ok().content_type("application/x-ndjson").streaming(stream)
}
