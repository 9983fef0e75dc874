//! Texts that are refused, with the rule.
#![allow(clippy::unwrap_used)]

use super::refused::REFUSED;
use super::*;

#[tokio::test]
async fn what_is_not_on_a_list_is_refused() {
    let postprocessor = Postprocessor::in_process(Limits::default());
    let mut wrong = Vec::new();
    for (sql, rule) in REFUSED {
        match postprocessor.check(sql, &schemas(), in_seconds(20)).await {
            Err(PostprocessError::Refused(refusal)) if refusal.rule == *rule => {
                assert!(!refusal.message.is_empty() && refusal.message.len() < 400, "{refusal}");
            }
            other => wrong.push(format!("{sql}: {other:?}")),
        }
        assert!(postprocessor.run(sql, tables(), in_seconds(20)).await.is_err(), "{sql}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
