//! More is sent than can be judged: some of it is taken, the rest is refused in the word of its protocol, and health is
//! answered. How soon is measured and not tested (`docs/benchmarks.md`).
//!
//! How fast this machine is nobody knows, so the flood is as many senders as keep several times the turns waiting.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::http::{Answer, Client};
use crate::process::{Process, Setup, until};
use crate::stage::{Keys, POLICY, batch, click};

struct Flood {
    server: Process,
    keys: Keys,
    stop: AtomicBool,
    taken: AtomicU64,
    refused: AtomicU64,
    _dir: tempfile::TempDir,
}

impl Flood {
    fn begin() -> Flood {
        let dir = tempfile::tempdir().unwrap();
        let variables = [("SHOAL_INGEST_WAIT_MS_MAX", "50")];
        let setup = Setup { dir: dir.path(), variables: &variables };
        let keys = Keys::create(&setup.data_dir());
        let (server, stop) = (setup.serve(), AtomicBool::new(false));
        let [taken, refused] = [0; 2].map(AtomicU64::new);
        Flood { server, keys, stop, taken, refused, _dir: dir }
    }

    fn client(&self) -> Client {
        self.server.client
    }

    /// Sends one batch after the other until it is told to stop.
    fn send(&self, sender: usize) {
        let mut number = 0;
        while !self.stop.load(Ordering::SeqCst) {
            let events = (0..400).map(|event| click(&format!("{sender}-{number}-{event}"), "u", "a"));
            let body = batch("DE", events.collect()).to_string();
            number += 1;
            let answer = self.client().post("/v1/events", &self.keys.app, body);
            if answer.status == 200 {
                self.taken.fetch_add(1, Ordering::SeqCst);
            } else {
                assert_refused(&answer, "overloaded");
                self.refused.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// Asks until a request is refused, and says how.
    fn refused(&self, path: &str, key: (&str, &str), body: &str) -> Answer {
        until("a refusal", || {
            let answer = self.client().ask("POST", path, &[key], body.as_bytes()).unwrap();
            (answer.status != 200).then_some(answer)
        })
    }
}

fn assert_refused(answer: &Answer, code: &str) {
    assert_eq!((answer.status, answer.json()["code"].as_str()), (429, Some(code)), "{}", answer.text());
    let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=10).contains(&seconds), "{seconds}");
}

#[test]
fn a_flood_is_refused_early_in_each_clients_word_and_keeps_neither_health_nor_withdrawals_waiting() {
    let flood = Flood::begin();
    let events: Vec<Value> = (0..400)
        .map(|_| {
            json!({"type": "track", "userId": "u", "event": "click", "properties": {"element": "a"},
        "context": {"country": "DE", "consent": {"policy_version": POLICY}}})
        })
        .collect();
    let segment = json!({"batch": events}).to_string();
    let crash = "{}\n{\"type\":\"event\"}\n{\"user\":{\"id\":\"u\"},\"exception\":{\"values\":[{\"type\":\"E\",\"value\":\"v\"}]}}\n";
    let bearer = format!("Bearer {}", flood.keys.app);
    let sentry = format!("Sentry sentry_key={}", flood.keys.asserting.reveal_for_dsn());
    let withdrawal =
        json!({"programme": "user-experience", "action": "withdraw", "user_id": "u", "country": "DE"});
    std::thread::scope(|scope| {
        for sender in 0..24 {
            let flood = &flood;
            scope.spawn(move || flood.send(sender));
        }
        until("refusals", || (flood.refused.load(Ordering::SeqCst) > 20).then_some(()));
        assert_refused(&flood.refused("/v1/batch", ("authorization", &bearer), &segment), "overloaded");
        let answer = flood.refused("/api/1/envelope/", ("x-sentry-auth", &sentry), crash);
        assert!(answer.status == 429 && answer.header("retry-after").is_some(), "{}", answer.text());
        for path in ["/healthz", "/readyz"].repeat(10) {
            flood.client().ask("GET", path, &[], b"").unwrap().expect(200);
        }
        flood.client().post("/v1/consents", &flood.keys.app, withdrawal.to_string()).expect(200);
        until("more", || (flood.taken.load(Ordering::SeqCst) > 30).then_some(()));
        flood.stop.store(true, Ordering::SeqCst);
    });
    let memory = flood.server.memory_bytes();
    assert!(memory < 500 << 20, "{memory} bytes");
    // With room again everything is taken.
    let body = batch("DE", vec![click("after", "u2", "a")]);
    assert_eq!(flood.client().events(&flood.keys.app, &body)["accepted"], 1);
    assert!(flood.server.terminate().success());
}
