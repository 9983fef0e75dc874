//! The callers: batches of events, sent until somebody has told what became of them, and at times again.
//!
//! An answer may be lost, a caller may go away before it comes, and may send the same body twice at the same time.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use shoal_files::host;
use shoal_ingest::{BatchAnswer, Ingest, IngestGrant, KeyKind, Outcome, Refusal, Request};
use shoal_schemas::{Kind, Programme, Protocol, Region, Registry, calendar::day_of};
use tokio::time::{sleep, timeout};

use crate::{
    chance::Chance,
    ledger::{Ledger, Sent},
    power::Power,
};

const DAY_MS: u64 = 86_400_000;

/// A body, and the numbers of the events in it.
#[derive(Clone)]
struct Batch {
    body: String,
    numbers: Vec<u64>,
    /// Nobody was told what became of it.
    is_open: bool,
}

/// One caller, through all processes.
pub struct Caller {
    chance: Chance,
    batches: Vec<Batch>,
    tables: Vec<(Region, Kind)>,
    users: u64,
    /// Batches that are still to be made.
    left: u64,
}

/// What all callers share.
pub struct Callers {
    pub ledger: Arc<Mutex<Ledger>>,
    pub all: Vec<Mutex<Caller>>,
    /// Where their events come to.
    pub tables: Vec<(Region, Kind)>,
    grant: IngestGrant,
}

impl Callers {
    pub fn new(chance: &mut Chance, registry: &Registry) -> Callers {
        let users = chance.within(1, 6);
        let mut tables = vec![(Region::De, Kind::Usage)];
        let more = [(Region::De, Kind::Performance), (Region::Us, Kind::Usage)];
        tables.extend(more.into_iter().filter(|_| chance.one_in(3)));
        let caller = |chance: &mut Chance| Caller {
            batches: Vec::new(),
            tables: tables.clone(),
            users,
            left: chance.within(2, 10),
            chance: chance.fork(),
        };
        let all = (0..chance.within(1, 5)).map(|_| Mutex::new(caller(chance))).collect();
        let programme = registry.programme(Programme::UserExperience);
        let grant = IngestGrant {
            key_id: "k".into(),
            kind: KeyKind::Server,
            app: "app".into(),
            programme: Some(Programme::UserExperience),
            asserted_policy: programme.policy_versions.last().cloned(),
            consent_category: None,
            regions: Region::ALL.to_vec(),
        };
        Callers { ledger: Arc::default(), all, tables, grant }
    }

    /// One caller, until the process ends; when it is to end by itself, until it was told of everything.
    pub async fn run(self: Arc<Self>, at: usize, ingest: Arc<Ingest>, power: Arc<Power>, ends: bool) {
        loop {
            let (next, pause_us) = {
                let mut caller = self.all[at].lock().unwrap();
                let next = caller.next(&mut self.ledger.lock().unwrap(), ends);
                (next, caller.chance.below(4).pow(4) * caller.chance.below(50_000))
            };
            let Some((which, batch, manner)) = next else {
                if ends {
                    return;
                }
                sleep(Duration::from_millis(500)).await;
                continue;
            };
            let answer = self.send(&ingest, &batch, manner).await;
            if power.has_ended().is_some() {
                return;
            }
            if let Some(answer) = answer {
                self.told(at, which, &batch, answer);
            }
            sleep(Duration::from_micros(pause_us)).await;
        }
    }

    /// None when the answer is lost, or the caller goes away.
    async fn send(
        &self,
        ingest: &Ingest,
        batch: &Batch,
        manner: Manner,
    ) -> Option<Result<BatchAnswer, Refusal>> {
        let request = || Request {
            protocol: Protocol::Native,
            content_type: None,
            content_encoding: None,
            message_type: None,
            body: batch.body.as_bytes(),
            peer: None,
            received_ms: host::now_ms(),
        };
        match manner {
            Manner::Waits => Some(ingest.accept(request(), &self.grant).await),
            Manner::Loses => {
                let _ = ingest.accept(request(), &self.grant).await;
                None
            }
            Manner::GoesAway(after) => timeout(after, ingest.accept(request(), &self.grant)).await.ok(),
            Manner::SendsTwice => {
                let twice = [ingest.accept(request(), &self.grant), ingest.accept(request(), &self.grant)];
                futures::future::join_all(twice).await.into_iter().find(Result::is_ok)
            }
        }
    }

    fn told(&self, at: usize, which: usize, batch: &Batch, answer: Result<BatchAnswer, Refusal>) {
        let Ok(answer) = answer else { return };
        let mut ledger = self.ledger.lock().unwrap();
        if answer.events.len() != batch.numbers.len() {
            ledger.note("an answer has another number of events than its request");
            return;
        }
        for (outcome, number) in answer.events.iter().zip(&batch.numbers) {
            if matches!(outcome, Outcome::Accepted | Outcome::Duplicate) {
                ledger.events[*number as usize].is_acknowledged = true;
            }
        }
        let mut caller = self.all[at].lock().unwrap();
        if let Some(batch) = caller.batches.get_mut(which) {
            batch.is_open = false;
        }
    }
}

/// How a batch is sent.
#[derive(Clone, Copy)]
enum Manner {
    Waits,
    /// The answer is lost.
    Loses,
    GoesAway(Duration),
    SendsTwice,
}

impl Caller {
    /// What is sent next, its place among the batches, and how. Only what is open, when it is to come to an end.
    fn next(&mut self, ledger: &mut Ledger, ends: bool) -> Option<(usize, Batch, Manner)> {
        let open = self.batches.iter().position(|batch| batch.is_open);
        let known = self.batches.len() as u64;
        let which = match open {
            Some(at) if ends || self.chance.one_in(2) => at,
            None if ends && self.left == 0 => return None,
            _ if known > 0 && !ends && self.chance.one_in(4) => self.chance.below(known) as usize,
            _ if self.left > 0 => {
                self.left -= 1;
                let batch = self.make(ledger);
                self.batches.push(batch);
                self.batches.len() - 1
            }
            Some(at) => at,
            None if known > 0 => self.chance.below(known) as usize,
            None => return None,
        };
        let manner = match self.chance.below(if ends { 1 } else { 8 }) {
            0..=4 => Manner::Waits,
            5 => Manner::Loses,
            6 => Manner::GoesAway(Duration::from_micros(self.chance.below(20_000))),
            _ => Manner::SendsTwice,
        };
        Some((which, self.batches[which].clone(), manner))
    }

    fn make(&mut self, ledger: &mut Ledger) -> Batch {
        let (mut body, mut numbers) = (String::from("["), Vec::new());
        for at in 0..self.chance.within(1, 8) {
            if at > 0 {
                body.push(',');
            }
            let number = match numbers.last() {
                // The same event twice in a body.
                Some(last) if self.chance.one_in(12) => {
                    let last_one = body[..body.len() - 1]
                        .rfind("{\"id\"")
                        .map(|from| body[from..body.len() - 1].to_owned());
                    body.push_str(&last_one.unwrap_or_default());
                    *last
                }
                _ => self.event(&mut body, ledger),
            };
            numbers.push(number);
        }
        body.push(']');
        Batch { body, numbers, is_open: true }
    }

    fn event(&mut self, body: &mut String, ledger: &mut Ledger) -> u64 {
        let number = ledger.events.len() as u64;
        let now_ms = host::now_ms();
        let old_ms = [1_000, DAY_MS, 3 * DAY_MS][self.chance.below(3) as usize];
        let time_ms = now_ms - self.chance.below(old_ms) as i64;
        let (region, kind) = self.tables[self.chance.below(self.tables.len() as u64) as usize];
        let country = if region == Region::Us { "US" } else { "DE" };
        let user = self.chance.below(self.users);
        let id = match self.chance.one_in(2) {
            true => host::random_id().to_string(),
            false => format!("short-{number}"),
        };
        let (event, more) = match kind {
            Kind::Performance => ("stream_first_frame", ""),
            _ => ("session", r#","result":"ok""#),
        };
        let _ = write!(
            body,
            r#"{{"id":"{id}","event":"{event}","time":{time_ms},"user_id":"kermit-{user}","country":"{country}","properties":{{"duration_ms":{number}{more}}}}}"#,
        );
        let day = day_of(time_ms);
        ledger.events.push(Sent { region, kind, day, user, is_acknowledged: false });
        number
    }
}
