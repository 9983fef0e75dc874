//! Acts beside events whose answers bind the service as well: withdrawals, and questions that are paid.
//!
//! Invariants: who withdrew and was told so is withdrawn from then on; what was answered is answered again, the same
//! and for nothing.

use serde_json::{Value, json};
use shoal_faults::letters;

use crate::kill::today;
use crate::run::now_ms;
use crate::service::{Service, Setup, until};

/// A question that was answered.
struct Answered {
    sql: String,
    rows: Value,
    hour: u64,
}

/// The hour by the clock of the machine. A day that is open is answered anew in each.
fn hour() -> u64 {
    now_ms() / 3_600_000
}

/// What was acknowledged.
#[derive(Default)]
pub(crate) struct Acts {
    count: u64,
    withdrawn: Vec<String>,
    answered: Vec<Answered>,
}

impl Acts {
    /// A withdrawal of somebody new.
    pub(crate) fn withdraw(&mut self, service: &Service, setup: &Setup) {
        self.count += 1;
        let user = format!("gone-{}", letters(self.count));
        let act = json!({"action": "withdraw", "programme": "user-experience", "policy_version": "2026-1",
            "user_id": user, "country": "DE"});
        let answer = service.client().post("/v1/consents", &setup.ingest_key, &act);
        if let Ok(answer) = answer {
            assert!(
                matches!(answer.status, 200 | 429 | 500 | 503 | 507),
                "{} {}",
                answer.status,
                answer.text()
            );
            if answer.status == 200 {
                self.withdrawn.push(user);
            }
        }
    }

    /// A question that nobody has asked before.
    pub(crate) fn ask(&mut self, service: &Service, setup: &Setup) {
        self.count += 1;
        let sql = format!(
            "SELECT COUNT(*) AS n FROM usage WHERE day = DATE '{}' AND region = 'DE' AND screen <> '{}'",
            today(),
            letters(self.count)
        );
        let hour = hour();
        if let Ok(answer) = service.client().post("/v1/sql", &setup.officer_key, &question(&sql)) {
            assert!(
                matches!(answer.status, 200 | 429 | 500 | 503 | 507),
                "{} {}",
                answer.status,
                answer.text()
            );
            if answer.status == 200 {
                self.answered.push(Answered { sql, rows: answer.json()["rows"].clone(), hour });
            }
        }
    }

    /// Removes what has expired.
    pub(crate) fn run_retention(service: &Service, setup: &Setup) {
        // A run that fails ends with a problem in its last line, and the next one continues.
        let _ = service.client().post("/v1/retention/runs", &setup.officer_key, &json!({"dry_run": false}));
    }

    /// All of it holds: the last ones and a part of the others.
    pub(crate) fn hold(&self, service: &Service, setup: &Setup) -> Result<(), String> {
        let mut client = service.client();
        let every = |length: usize| (length / 12).max(1);
        for user in self.withdrawn.iter().rev().step_by(every(self.withdrawn.len())) {
            let event =
                json!({"id": user, "event": "click", "user_id": user, "properties": {"element": "gone"}});
            let body = json!({"consent": {"policy_version": "2026-1"}, "country": "DE", "events": [event]});
            let answer = client.post("/v1/events", &setup.ingest_key, &body).map_err(|e| e.to_string())?;
            if answer.json()["events"][0]["code"] != "withdrawn" {
                return Err(format!("{user} has withdrawn: {} {}", answer.status, answer.text()));
            }
        }
        for Answered { sql, rows, hour: of } in self.answered.iter().rev().step_by(every(self.answered.len()))
        {
            // Right after a start the machine may be busy, which is told and means nothing else.
            let answer = until("an answer that is not `busy`", || {
                let answer =
                    client.post("/v1/sql", &setup.officer_key, &question(sql)).map_err(|e| e.to_string());
                answer.as_ref().map_or(true, |answer| answer.status != 429).then_some(answer)
            })?;
            let told = answer.json();
            let is_same =
                answer.status == 200 && told["rows"] == *rows && told["cost"]["blocks_charged"] == 0;
            // In another hour it is another question, which reads events again and may take too long on a machine that does much else.
            if !is_same && *of == hour() {
                return Err(format!("{sql} was answered with {rows}: {} {told}", answer.status));
            }
        }
        Ok(())
    }

    /// How many withdrawals and answers there were.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.withdrawn.len(), self.answered.len())
    }
}

fn question(sql: &str) -> Value {
    json!({"sql": sql, "precision": "low"})
}
