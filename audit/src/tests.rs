//! Every act leaves one line, whatever becomes of it, and says who, what, when and how it ended.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;

#[derive(Serialize)]
struct Files {
    files: u64,
}

fn origin(act: Act, key: Option<&str>, role: Role) -> Origin {
    let actor = Actor { key: key.map(str::to_owned), role };
    Origin { at_ms: 1_795_348_800_000, act, id: Uuid::from_u128(7), actor }
}

fn lines(dir: &Path) -> (Whole, Vec<String>) {
    let mut lines = Vec::new();
    let whole = verify(&Audit::place(dir), &mut |line| {
        lines.push(String::from_utf8(line.text.to_vec()).unwrap());
    });
    (whole.unwrap(), lines)
}

#[tokio::test]
async fn an_act_of_any_kind_and_role_leaves_a_line_before_it_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Arc::new(Audit::open(dir.path()).unwrap());
    let mut entry = audit.begin(origin(Act::RetentionRun, None, Role::Operator), Files { files: 0 });
    entry.fields_mut().files = 3;
    assert_eq!(entry.fields().files, 3);
    entry.end(ActOutcome::Done).await.unwrap();
    let (whole, found) = lines(dir.path());
    assert_eq!(whole.count, 1, "durable when it is answered");
    let line: Value = serde_json::from_str(&found[0]).unwrap();
    let expected = json!({"seq": 1, "prev": line["prev"], "at_ms": 1_795_348_800_000_i64, "act": "retention_run",
        "id": Uuid::from_u128(7).to_string(), "key": null, "role": "operator", "outcome": "done", "files": 3,
        "hash": line["hash"]});
    assert_eq!(line, expected);
}

#[tokio::test]
async fn an_act_that_nobody_ends_leaves_a_line_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Arc::new(Audit::open(dir.path()).unwrap());
    drop(audit.begin(origin(Act::RetentionRun, Some("off1"), Role::Officer), Files { files: 1 }));
    drop(audit);
    let (_, found) = lines(dir.path());
    let line: Value = serde_json::from_str(&found[0]).unwrap();
    assert_eq!(
        (found.len(), line["outcome"].as_str(), line["files"].as_u64()),
        (1, Some("abandoned"), Some(1))
    );
    assert_eq!((line["key"].as_str(), line["role"].as_str()), (Some("off1"), Some("officer")));
}

#[tokio::test]
async fn an_act_whose_line_cannot_be_written_is_not_answered_for() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Arc::new(Audit::open(dir.path()).unwrap());
    let too_long =
        audit.begin(origin(Act::Query, Some("ana1"), Role::Analyst), json!({"text": "x".repeat(1 << 20)}));
    assert!(matches!(too_long.end(ActOutcome::Answered).await, Err(AuditError::Chain { .. })));
    let no_object = audit.begin(origin(Act::Query, Some("ana1"), Role::Analyst), json!(7));
    assert!(matches!(no_object.end(ActOutcome::Answered).await, Err(AuditError::Fields)));
    assert_eq!(lines(dir.path()).0.count, 0);
    let kept_nowhere = Arc::new(Audit::none()).begin(origin(Act::Query, None, Role::Analyst), json!({}));
    assert!(!kept_nowhere.is_kept());
    kept_nowhere.end(ActOutcome::Answered).await.unwrap();
}
