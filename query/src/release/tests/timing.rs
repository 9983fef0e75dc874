//! When answers and failures leave, and what can be seen before: with a clock that only moves when everybody waits for it.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use shoal_schemas::{Kind, Region};
use shoal_storage::{Block, BudgetLedger};

use super::super::circumstances::{Circumstances, Timing};
use super::super::size::Sizes;
use super::super::size_bounds::{SIZE_PRICE, SizeBounds};
use super::super::{LookedUp, answer};
use super::{After, RowsOnly, World, asked, priced};
use crate::charge::MemoryShare;
use crate::clock::{Clock, TestClock};
use crate::error::{NoAnswer, QueryError};
use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::release::answer::Answered;
use crate::scan::{READING_BYTES_MAX, Reading, Scan};
use crate::schedule::{Latest, Schedule};
use crate::tests::{now_ms, today};

const SQL: &str = "SELECT COUNT(*) FROM usage WHERE day = current_date";
/// What a part of a question costs without its rows is less.
const TURN: Duration = Duration::from_secs(2);
const EVENTS_MAX: u64 = 50;

struct Timed {
    world: World,
    clock: Arc<TestClock>,
    schedule: Schedule,
    metrics: Metrics,
}

impl Timed {
    /// With a clock that stands still.
    fn standing(lanes: usize) -> Timed {
        let clock = Arc::new(TestClock::new());
        let schedule = Schedule::new(Arc::clone(&clock) as Arc<dyn Clock>, lanes, &[2_000]);
        let world = World::new();
        world.budget.ledger().note_day_limit(EVENTS_MAX, today() - 1_000).unwrap();
        let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
        Timed { world, clock, schedule, metrics }
    }

    /// With a clock that moves to whatever is waited for, also while others work.
    fn new(lanes: usize) -> Timed {
        let timed = Timed::standing(lanes);
        timed.clock.races();
        timed
    }

    fn timing<'a>(&'a self, decided_ms: &'a OnceLock<u64>) -> Timing<'a> {
        Timing {
            schedule: &self.schedule,
            row_time_ns: 100,
            sizes: SizeBounds::of(self.world.budget.ledger().day_limits(), EVENTS_MAX),
            reading: Reading { bytes_max: READING_BYTES_MAX, memory: MemoryShare::default() },
            longest: Duration::from_secs(30),
            latest: Latest { begin: self.clock.now() + Duration::from_secs(30), end: None },
            decided_ms,
            metrics: &self.metrics,
        }
    }

    async fn ask(&self, sql: &str, scan: &dyn Scan) -> Result<Answered, NoAnswer> {
        let decided_ms = OnceLock::new();
        let timing = self.timing(&decided_ms);
        let asked = Circumstances { timing: Some(timing), ..asked(&self.world.budget, now_ms()) };
        let queries = [priced(sql, now_ms()).await];
        let looked_up = LookedUp::of(&queries, &self.world.budget, now_ms()).await?;
        answer(looked_up, &asked, scan).await?.sealed().await
    }
}

/// When the size of one block is sealed.
const SIZED: Duration = Duration::from_millis(255);

/// Whether so much time has passed, and that of sizes.
fn is_turns(passed: Duration, turns: u32) -> bool {
    (TURN * turns..=TURN * turns + 2 * SIZED).contains(&passed)
}

#[tokio::test]
async fn nothing_is_sealed_before_the_end_of_the_turn() {
    let timed = Arc::new(Timed::standing(1));
    let asking = tokio::spawn({
        let timed = Arc::clone(&timed);
        async move { timed.ask(SQL, &After(|| async { Ok(()) })).await.map(|answered| answered.paid.blocks) }
    });
    // The size is sealed at its time; then the end of the turn is all that is waited for.
    let sized = timed.clock.next_wait().await;
    timed.clock.move_to(sized);
    let end = timed.clock.next_wait().await;
    assert!(is_turns(end, 1), "{end:?}");
    timed.clock.move_to(end - Duration::from_millis(1));
    assert_eq!(timed.world.quote(SQL, now_ms()).await.parts_found, 0, "it was made long ago");
    timed.clock.move_to(end);
    assert_eq!(asking.await.unwrap().unwrap(), 1);
    assert_eq!(timed.world.quote(SQL, now_ms()).await.parts_found, 1);
    // From the ledger it comes at once.
    timed.ask(SQL, &After(|| async { Err(Failure::Internal) })).await.unwrap();
    assert_eq!(timed.clock.passed(), end);
}

#[tokio::test]
async fn who_asks_the_same_meanwhile_is_answered_no_sooner() {
    let timed = Arc::new(Timed::standing(2));
    timed.clock.runs();
    let asks = (0..2).map(|_| {
        let timed = Arc::clone(&timed);
        tokio::spawn(async move {
            let answered = timed.ask(SQL, &After(|| async { Ok(()) })).await.unwrap();
            (answered.paid.blocks, timed.clock.passed())
        })
    });
    let answers = futures::future::join_all(asks).await;
    let answers: Vec<(u64, Duration)> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().map(|(blocks, _)| blocks).sum::<u64>(), 1);
    assert!(answers.iter().all(|(_, after)| *after >= TURN), "{answers:?}");
}

/// What is late, what fails at once and what panics leave like an answer: at the end of the turn, charged and not sealed.
#[tokio::test]
async fn failures_leave_at_the_end_of_the_turn() {
    let late = After(|| async { std::future::pending().await });
    let at_once = After(|| async { Err(Failure::Storage) });
    let panicking = After(|| async { panic!("a fault in a scan") });
    let cases: [(&dyn Scan, Failure); 3] =
        [(&late, Failure::Time), (&at_once, Failure::Storage), (&panicking, Failure::Panic)];
    for (scan, expected) in cases {
        let timed = Timed::new(1);
        let failed = timed.ask(SQL, scan).await.err().unwrap();
        assert!(matches!(failed, NoAnswer::Failed(cause) if cause == expected), "{failed:?}");
        assert!(is_turns(timed.clock.passed(), 1), "{expected:?} after {:?}", timed.clock.passed());
        let quoted = timed.world.quote(SQL, now_ms()).await;
        assert_eq!((quoted.blocks, quoted.parts_found), (1, 0), "{expected:?}");
        assert_eq!(timed.world.spent(today()), 2_000_000 + SIZE_PRICE.nano());
    }
}

#[tokio::test]
async fn what_would_take_too_long_is_refused_before_it_is_charged() {
    let timed = Timed::new(1);
    // Tens of thousands of patterns on every row.
    let conditions = (0..40).map(|at| format!("app_version LIKE '%{at}%'")).collect::<Vec<_>>().join(" OR ");
    let sql = format!("SELECT COUNT(*) FROM usage WHERE day > current_date - 400 AND ({conditions})");
    let large = RowsOnly::of(|_, _| async { Ok(10_000_000) });
    let refused = timed.ask(&sql, &large).await.err().unwrap();
    let NoAnswer::Told(QueryError::Refused(refusal)) = refused else { panic!("{refused:?}") };
    assert_eq!(refusal.rule.as_str(), "time", "{}", refusal.message);
    assert_eq!(timed.world.spent(today()), SIZE_PRICE.nano(), "only the size of the block is known now");
}

#[tokio::test]
async fn the_size_of_a_block_has_the_noise_that_is_paid_for() {
    let timed = Timed::new(1);
    let (world, decided_ms) = (&timed.world, OnceLock::new());
    let (timing, asked) = (timed.timing(&decided_ms), asked(&world.budget, now_ms()));
    let noise = timing.sizes.noise(today()).unwrap();
    // (50 events)^2 / (2 * 0.0005)
    assert!((noise.variance().to_f64() - 2_500_000.0).abs() < 1.0);
    let block = |ago: i32| Block { region: Region::De, kind: Kind::Usage, day: today() - ago };
    let epochs = |ago: i32| (block(ago), world.budget.epochs.at(today() - ago, now_ms()));
    let blocks = (0..400).map(epochs).collect();
    let first = Sizes::of(&blocks, &timing, &asked, world).await.unwrap();
    let again = Sizes::of(&blocks, &timing, &asked, world).await.unwrap();
    let of = |sizes: &Sizes<'_>, ago: i32| sizes.total(&[(block(ago), 1)].into()) as f64;
    let spread = 8.0 * noise.variance().to_f64().sqrt();
    let mut squares = 0.0;
    for ago in 0..400 {
        assert_eq!(of(&first, ago), of(&again, ago), "released once");
        squares += (of(&first, ago) - spread.ceil() - 100.0).powi(2);
    }
    let ratio = squares / 400.0 / noise.variance().to_f64();
    // 4 standard deviations of the variance of 400.
    assert!((0.7..1.3).contains(&ratio), "{ratio}");
    assert_eq!(world.spent(today()), SIZE_PRICE.nano(), "and paid once");
}

/// A file that is read slowly, one that cannot be read, and a fault in the code tell nothing by the time either.
#[tokio::test]
async fn sizes_that_cannot_be_read_leave_when_they_would_have_been_sealed() {
    for cause in [Failure::Time, Failure::Storage, Failure::Panic] {
        let unread = RowsOnly::of(|_, _| async move {
            match cause {
                Failure::Time => std::future::pending().await,
                Failure::Panic => panic!("a fault while a size is read"),
                other => Err(other),
            }
        });
        let timed = Timed::new(1);
        let failed = timed.ask(SQL, &unread).await.err().unwrap();
        assert!(matches!(failed, NoAnswer::Failed(found) if found == cause), "{failed:?}");
        assert_eq!(timed.clock.passed(), SIZED, "{cause:?}");
        assert_eq!(timed.world.spent(today()), SIZE_PRICE.nano(), "paid and not sealed");
    }
}

/// Rows of a block whose subjects may have any number of them, since nobody knows which limit they came in under.
#[tokio::test]
async fn rows_of_before_any_limit_are_counted_up_to_it_and_take_longer() {
    for (limits, expected, after_ms) in [
        // Nothing was ever noted; a higher limit until five days ago; the same limit for good.
        (vec![], [Some(EVENTS_MAX), Some(EVENTS_MAX)], 1_260),
        (vec![(80, 1_000), (EVENTS_MAX, 5)], [None, None], 260),
        (vec![(EVENTS_MAX, 1_000)], [None, None], 260),
    ] {
        let mut timed = Timed::new(1);
        timed.world = World::new();
        for (limit, ago) in &limits {
            timed.world.budget.ledger().note_day_limit(*limit, today() - ago).unwrap();
        }
        let (world, decided_ms, counted) = (&timed.world, OnceLock::new(), Mutex::new(Vec::new()));
        let old = RowsOnly::of(|_, most_of_one| {
            counted.lock().unwrap().push(most_of_one);
            async { Ok(100) }
        });
        let (timing, asked) = (timed.timing(&decided_ms), asked(&world.budget, now_ms()));
        let of = |ago: i32| {
            let block = Block { region: Region::De, kind: Kind::Usage, day: today() - ago };
            (block, world.budget.epochs.at(block.day, now_ms()))
        };
        Sizes::of(&[of(4), of(0)].into(), &timing, &asked, &old).await.unwrap();
        let counted: Vec<Option<u64>> = std::mem::take(&mut *counted.lock().unwrap());
        assert_eq!(counted, expected);
        assert_eq!(timed.clock.passed(), Duration::from_millis(after_ms), "however many rows there are");
        // The day on which a higher limit ended, and the one after it, may hold more of one subject.
        let sd = |ago: i32| timing.sizes.noise(today() - ago).unwrap().variance().to_f64();
        assert_eq!(sd(4) > sd(0), limits.len() == 2, "{limits:?}");
    }
}

/// A question that could not be paid leaves its lane to the next one, whatever kept it from being paid.
#[tokio::test]
async fn what_is_not_paid_gives_its_turn_back() {
    let (mut unpaid, mut paid) = (0, 0);
    for syncs in 1..40 {
        let Ok(ledger) = BudgetLedger::in_memory_until(syncs) else { continue };
        let mut timed = Timed::standing(1);
        timed.world = World::over(ledger);
        timed.clock.runs();
        let scan = After(|| async { Ok(()) });
        if timed.ask(SQL, &scan).await.is_ok() {
            break;
        }
        let latest = Latest { begin: timed.clock.now() + 9 * TURN, end: None };
        let free = timed.schedule.turn(Duration::from_millis(1), latest).unwrap().begin;
        match timed.clock.passed() < TURN {
            true => {
                assert_eq!(free, timed.clock.now(), "after {syncs} syncs the lane is free");
                unpaid += 1;
            }
            false => paid += 1,
        }
    }
    assert!(unpaid > 0 && paid > 0, "{unpaid} unpaid, {paid} paid");
}

/// A scan makes no more passes over its files than were planned for, which follows from the sizes of its blocks.
#[tokio::test]
async fn a_scan_is_told_how_many_passes_were_planned() {
    for (rows, most) in [(100, 1), (6_000_000, 4)] {
        let scan = RowsOnly::of(|_, _| async move { Ok(rows) });
        assert!(Timed::new(1).ask(SQL, &scan).await.is_err());
        let passes_max = scan.passes_max.into_inner().unwrap();
        assert!(passes_max.len() == 1 && passes_max[0] <= most, "{passes_max:?}");
        assert!(most == 1 || passes_max[0] > 1, "{passes_max:?}");
    }
}
