//! The game with execution and failure in it: each trial is a service of its own over stored events, with real noise and a
//! clock that is moved, and the adversary sees everything but the data: how a question ends, in which words, when, at what
//! price, what the budget and a dry run say then, and the answer itself.
//!
//! Invariants: what an attack may tell is what its trials have charged to the day that differs, as the service itself says.
//! Failures that depend on events are what the noisy limit on groups makes, and what is paid for; every other one is put in by
//! `faults`, in both worlds, at another place and of another kind.
//! Not here: many trials of the noise alone (`play`); equality of two worlds, step by step (`tests/worlds`).

use std::sync::Arc;
use std::time::Duration;

use shoal_anonymity::budget::Precision;
use shoal_schemas::{Kind, Region};
use shoal_storage::BudgetLedger;
use tokio::task::JoinHandle;

use crate::budget::BudgetRequest;
use crate::clock::TestClock;
use crate::config::QueryConfig;
use crate::engine::Engine;
use crate::error::QueryError;
use crate::grant::AnalystGrant;
use crate::release::Released;
use crate::request::QueryRequest;
use crate::tests::faults::{Fault, Faulty};
use crate::tests::stored::{Flush, Stored, timed};
use crate::tests::{grant, now_ms, request};

/// In which order questions are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Each when the one before it has ended.
    OneByOne,
    /// The second one from another key, while the first one is worked at, for whose answer it waits.
    Same,
    /// The second one from another key, while the first one is worked at, in a turn of its own.
    Behind,
}

/// One attack: what is stored, what is asked, and what goes wrong.
pub(super) struct Executed {
    pub(super) name: &'static str,
    /// The rows with and without the person's day.
    pub(super) rows: Box<dyn Fn(bool) -> Flush + Send + Sync>,
    pub(super) statements: Vec<String>,
    pub(super) precision: Precision,
    pub(super) order: Order,
    pub(super) config: QueryConfig,
    /// What goes wrong in each world.
    pub(super) faults: [Fault; 2],
}

/// A service of one trial.
struct Service {
    engine: Arc<Engine>,
    clock: Arc<TestClock>,
    /// Whether what is worked at gets as much time as it needs.
    is_patient: bool,
}

/// How a question ended, and after how long.
struct Ended {
    answer: Result<Released, QueryError>,
    after: Duration,
}

impl Service {
    fn ask(&self, key: AnalystGrant, asked: &QueryRequest) -> JoinHandle<Ended> {
        let (engine, clock, asked) = (Arc::clone(&self.engine), Arc::clone(&self.clock), asked.clone());
        let begun = clock.passed();
        tokio::spawn(async move {
            let answer = engine.answer(&key, &asked, now_ms()).await;
            Ended { answer, after: clock.passed() - begun }
        })
    }

    /// One question, to its end.
    async fn alone(&self, asked: &QueryRequest) -> Ended {
        let mut asking = self.ask(grant(&[Region::De]), asked);
        loop {
            let next = async {
                match self.is_patient {
                    true => self.clock.next_wait().await,
                    false => self.clock.next_end().await,
                }
            };
            tokio::select! {
                biased;
                done = &mut asking => return done.unwrap(),
                next = next => self.clock.move_to(next),
            }
        }
    }

    /// The first question, and from another key the second one, when the first is worked at. The clock goes on when as many
    /// wait for it as will.
    async fn meanwhile(&self, first: &QueryRequest, second: &QueryRequest, waiting: usize) -> Vec<Ended> {
        let own = grant(&[Region::De]);
        let other = AnalystGrant { key_id: "other".to_owned(), ..own.clone() };
        let mut asking = vec![self.ask(own, first)];
        // The size of the block; then the first question is worked at.
        let sized = self.clock.next_wait().await;
        self.clock.move_to(sized);
        self.clock.next_wait().await;
        asking.push(self.ask(other, second));
        let mut ended: [Option<Ended>; 2] = [None, None];
        let [one, two] = &mut asking[..] else { panic!("two questions") };
        loop {
            let left = ended.iter().filter(|ended| ended.is_none()).count();
            tokio::select! {
                biased;
                done = &mut *one, if ended[0].is_none() => ended[0] = Some(done.unwrap()),
                done = &mut *two, if ended[1].is_none() => ended[1] = Some(done.unwrap()),
                next = self.clock.next_of(waiting.min(left)), if left > 0 => self.clock.move_to(next),
                else => return ended.into_iter().flatten().collect(),
            }
        }
    }

    /// What is charged to the table's day, and how many charges have an answer and how many have none.
    async fn spent(&self, kind: Kind) -> [f64; 3] {
        let asked = BudgetRequest { table: Some(kind), ..BudgetRequest::default() };
        let list = self.engine.budget(&grant(&[Region::De]), &asked, now_ms()).await.unwrap();
        let today = list.blocks.last().unwrap();
        let sealed = today.spent_by.iter().filter(|spent| spent.state == "sealed").count();
        [today.rho_spent.parse().unwrap(), sealed as f64, (today.spent_by.len() - sealed) as f64]
    }
}

impl Executed {
    /// The questions.
    fn questions(&self) -> Vec<QueryRequest> {
        let question = |sql: &String| QueryRequest { precision: self.precision, ..request(sql) };
        self.statements.iter().map(question).collect()
    }

    /// What is seen in so many trials in a world, and the most that was charged to the day that differs.
    pub(super) async fn seen(&self, is_there: bool, trials: usize) -> (Vec<Vec<f64>>, f64) {
        let stored = Stored::of(&[&(self.rows)(is_there)]).await;
        let (mut all, mut most) = (Vec::with_capacity(trials), 0.0_f64);
        for _ in 0..trials {
            let (seen, rho) = self.trial(&stored, is_there).await;
            all.push(seen);
            most = most.max(rho);
        }
        (all, most)
    }

    async fn trial(&self, stored: &Stored, is_there: bool) -> (Vec<f64>, f64) {
        let (clock, fault) = (Arc::new(TestClock::new()), self.faults[usize::from(!is_there)]);
        let inner = stored.scan(&self.config).0;
        let scan = Arc::new(Faulty::new(inner, Arc::clone(&clock), fault));
        let ledger = BudgetLedger::in_memory().unwrap();
        let engine = Arc::new(timed(&clock, scan, ledger, &self.config));
        let service = Service { engine, clock, is_patient: !self.faults.contains(&Fault::Never) };
        let questions = self.questions();
        let mut ended: Vec<Ended> = Vec::new();
        match (self.order, questions.as_slice()) {
            (Order::Same, [first, second]) => ended = service.meanwhile(first, second, 1).await,
            (Order::Behind, [first, second]) => ended = service.meanwhile(first, second, 2).await,
            (Order::Same | Order::Behind, _) => panic!("{} asks two questions", self.name),
            (Order::OneByOne, all) => {
                for asked in all {
                    ended.push(service.alone(asked).await);
                }
            }
        }
        let mut seen: Vec<f64> = ended.iter().flat_map(features).collect();
        for asked in &questions {
            let asked = QueryRequest { dry_run: true, ..asked.clone() };
            let dry = service.engine.answer(&grant(&[Region::De]), &asked, now_ms()).await;
            let cost = dry.unwrap().to_json()["cost"].clone();
            seen.extend(["pieces_from_ledger", "blocks_charged"].map(|name| cost[name].as_f64().unwrap()));
        }
        let spent = service.spent(Kind::Usage).await;
        seen.extend(spent);
        (seen, spent[0])
    }
}

/// How it ended, in which words, after how many milliseconds, at what price, with how many rows and numbers.
fn features(ended: &Ended) -> [f64; 6] {
    let after = ended.after.as_secs_f64() * 1e3;
    match &ended.answer {
        Err(error) => {
            let kind = match error {
                QueryError::Refused(_) => 1.0,
                QueryError::NotAllowed(_) => 2.0,
                QueryError::Busy => 3.0,
                QueryError::Failed => 4.0,
            };
            let words = error.to_string().bytes().map(f64::from).sum();
            [kind, words, after, 0.0, 0.0, 0.0]
        }
        Ok(released) => {
            let json = released.to_json();
            let price = json["cost"]["rho_per_block"].as_str().unwrap().parse().unwrap();
            let rows = json["rows"].as_array().unwrap();
            let numbers = rows.iter().map(|row| row["n"].as_f64().unwrap_or(0.0));
            [0.0, 0.0, after, price, rows.len() as f64, numbers.sum()]
        }
    }
}
