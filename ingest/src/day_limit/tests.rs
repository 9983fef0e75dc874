//! The limit, with the log, the flush and a table: the same decisions as a plain map, whatever happens in between.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::prelude::*;
use shoal_schemas::{
    Registry,
    calendar::{DAY_MS, day_of},
};

use super::DayLimit;
use crate::{
    config::DayLimitConfig,
    flush::{
        Branch, Flusher,
        tests::{Memory, flusher},
    },
    log::tests::{Faulty, NOW_MS, clean, head, metrics},
    stages::row::RowHead,
};

/// What happens to the service.
#[derive(Clone, Debug)]
enum Step {
    /// Events: id, subject, days before today.
    Batch(Vec<(u64, u8, u8)>),
    Flush,
    /// A flush whose commit is answered with an error, before or after the table has the rows.
    FailedFlush(bool),
    /// A power cut and a start.
    Cut,
    /// An orderly stop and a start.
    Stop,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let event = (0..80u64, 0..3u8, 0..2u8);
    let step = prop_oneof![
        6 => proptest::collection::vec(event, 1..8).prop_map(Step::Batch),
        2 => Just(Step::Flush),
        1 => any::<bool>().prop_map(Step::FailedFlush),
        1 => Just(Step::Cut),
        1 => Just(Step::Stop),
    ];
    proptest::collection::vec(step, 1..24)
}

/// What should be kept.
#[derive(Default)]
struct Model {
    ids: BTreeSet<u64>,
    rows: BTreeMap<(i32, [u8; 16]), u64>,
}

impl Model {
    /// The word for what becomes of an event.
    fn decide(&mut self, id: u64, event: &RowHead, events_max: u32) -> &'static str {
        let rows = self.rows.entry((day_of(event.time_ms), event.subject)).or_default();
        if self.ids.contains(&id) {
            return "duplicate";
        }
        if *rows >= u64::from(events_max) {
            return "withheld";
        }
        *rows += 1;
        self.ids.insert(id);
        "accepted"
    }
}

/// A process: it opens what an earlier one left.
struct Process {
    medium: Faulty,
    sink: Memory,
    branch: Arc<Branch>,
    flusher: Flusher<Memory>,
    limit: DayLimit<Memory>,
}

impl Process {
    fn start(medium: Faulty, sink: Memory, registry: &Arc<Registry>, config: DayLimitConfig) -> Process {
        let (branch, flusher) = flusher(&medium, &sink, registry).unwrap();
        let limit = DayLimit::new(sink.clone(), config, metrics());
        Process { medium, sink, branch, flusher, limit }
    }

    async fn send(&self, events: &[RowHead]) -> Vec<&'static str> {
        let batch = self.limit.open(&self.branch, clean(events.iter().copied())).await.unwrap();
        let receipt = self.branch.log.append(batch).await.unwrap();
        let word = |slot: u32| match slot {
            slot if receipt.duplicates.contains(&slot) => "duplicate",
            slot if receipt.over_limit.contains(&slot) => "withheld",
            _ => "accepted",
        };
        (0..events.len() as u32).map(word).collect()
    }
}

fn event((id, subject, days_ago): (u64, u8, u8)) -> RowHead {
    let time_ms = NOW_MS - i64::from(days_ago) * DAY_MS;
    RowHead { subject: [subject; 16], time_ms, ..head(id) }
}

async fn decisions_are_those_of_a_map(steps: Vec<Step>, config: DayLimitConfig) {
    let registry = Arc::new(Registry::load(None).unwrap());
    let start = |medium, sink| Process::start(medium, sink, &registry, config);
    let mut process = start(Faulty::default(), Memory::default());
    let mut model = Model::default();
    for (at, step) in steps.into_iter().enumerate() {
        match step {
            Step::Batch(list) => {
                let events: Vec<RowHead> = list.iter().map(|e| event(*e)).collect();
                let wanted: Vec<&str> = list
                    .iter()
                    .zip(&events)
                    .map(|((id, ..), event)| model.decide(*id, event, config.events_max))
                    .collect();
                assert_eq!(process.send(&events).await, wanted, "step {at}");
            }
            // A failure that an earlier step asked for may come only now.
            Step::Flush => drop(process.flusher.run_once(NOW_MS, true).await),
            Step::FailedFlush(is_taken) => {
                process.sink.fail_next(is_taken);
                let _ = process.flusher.run_once(NOW_MS, true).await;
            }
            Step::Cut => process = start(process.medium.after_power_cut(at as u64), process.sink.clone()),
            Step::Stop => {
                process.branch.log.stop().await;
                process = start(process.medium.clone(), process.sink.clone());
            }
        }
    }
    // An append that was still to fail does so once.
    while process.flusher.run_once(NOW_MS, true).await.is_err() {}
    let kept = process.sink.subjects();
    model.rows.retain(|_, rows| *rows > 0);
    assert!(kept == model.rows, "the table has what was accepted");
    assert!(kept.values().all(|rows| *rows <= u64::from(config.events_max)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn no_subjects_day_has_more_than_the_limit_and_nothing_below_it_is_withheld(
        steps in steps(),
        events_max in 1..6u32,
        // Nothing may stay in memory, or everything.
        counts_bytes_max in prop_oneof![Just(1), Just(1 << 20)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(decisions_are_those_of_a_map(steps, DayLimitConfig { events_max, counts_bytes_max }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_senders_at_once_share_one_limit_while_days_leave_the_memory() {
    let registry = Arc::new(Registry::load(None).unwrap());
    let config = DayLimitConfig { events_max: 7, counts_bytes_max: 1 };
    let process = Process::start(Faulty::default(), Memory::default(), &registry, config);
    let process = Arc::new(process);
    let flush = {
        let process = Arc::clone(&process);
        tokio::spawn(async move {
            for _ in 0..20 {
                process.flusher.run_once(NOW_MS, true).await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    };
    let senders = (0..8u64).map(|sender| {
        let process = Arc::clone(&process);
        tokio::spawn(async move {
            let mut accepted = 0;
            for at in 0..30 {
                let events: Vec<RowHead> =
                    (0..4).map(|n| event((sender * 1000 + at * 4 + n, 1, (at % 5) as u8))).collect();
                let told = process.send(&events).await;
                accepted += told.iter().filter(|word| **word == "accepted").count();
            }
            accepted
        })
    });
    let mut accepted = 0;
    for sender in senders.collect::<Vec<_>>() {
        accepted += sender.await.unwrap();
    }
    flush.await.unwrap();
    process.flusher.run_once(NOW_MS, true).await.unwrap();
    assert_eq!(accepted, 5 * 7);
    assert!(process.sink.subjects().values().all(|rows| *rows == 7));
}
