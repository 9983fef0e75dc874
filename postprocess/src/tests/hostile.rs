//! Texts that want time or memory, workers that die, and what a worker cannot reach.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use rustix::process::{Pid, Signal, kill_process};

use super::*;
use shoal_language::Rule;

/// Thousands of rows of one day, so that a join on the day multiplies them.
fn crowd(name: &str, rows: usize) -> ReleasedTable {
    let one = table(name, 1, |_, _| 0.0);
    let rows = datafusion::arrow::array::UInt32Array::from_iter_values((0..rows).map(|row| row as u32 % 2));
    let batch = datafusion::arrow::compute::take_record_batch(&one.batch, &rows).unwrap();
    ReleasedTable { schema: one.schema, batch }
}

fn crowds() -> Vec<ReleasedTable> {
    vec![crowd("r0", 10_000), crowd("r1", 10_000)]
}

fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

/// Each level is the level before twice.
fn doubled(levels: usize, first: &str, next: &str) -> String {
    let mut sql = format!("WITH c0 AS ({first})");
    for level in 1..=levels {
        let before = format!("c{}", level - 1);
        write!(sql, ", c{level} AS ({})", next.replace("{}", &before)).unwrap();
    }
    write!(sql, " SELECT * FROM c{levels}").unwrap();
    sql
}

/// Stopped at the latest by a deadline; refused before, or failed, or answered.
async fn ends(postprocessor: &Postprocessor, sql: &str, expected: &str) -> &'static str {
    let started = Instant::now();
    let check_in = in_seconds(if expected == "refused" { 2 } else { 6 });
    let outcome = match postprocessor.check(sql, &schemas(), check_in).await {
        Err(PostprocessError::Refused(refusal)) => {
            assert!(matches!(refusal.rule, Rule::Size | Rule::Clause), "{refusal}");
            "refused"
        }
        Err(other) => panic!("{other}"),
        Ok(_) => {
            match postprocessor
                .run(sql, crowds(), in_seconds(if expected == "stopped" { 2 } else { 6 }))
                .await
            {
                Ok(_) => "answered",
                Err(_) => "stopped",
            }
        }
    };
    assert!(started.elapsed() < Duration::from_secs(10), "{sql}");
    outcome
}

#[tokio::test]
async fn what_wants_too_much_is_refused_or_stopped() {
    let postprocessor = workers();
    let before = resident_bytes();
    let tower = (0..30).fold("a0".to_owned(), |inner, _| format!("power({inner}, a0)"));
    let cases =
        (0..20).fold("a0".to_owned(), |inner, _| format!("CASE WHEN a0 > 1 THEN {inner} ELSE a1 END"));
    let everything = "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING";
    let growing = "ROWS BETWEEN 5000 PRECEDING AND 5000 FOLLOWING";
    let texts = [
        ("SELECT count(*) AS n FROM r0 a, r0 b, r0 c, r0 d, r0 e".to_owned(), "stopped"),
        ("SELECT a.a0 + b.a0 AS n FROM r0 a CROSS JOIN r1 b ORDER BY n".to_owned(), "stopped"),
        ("SELECT count(*) AS n FROM r0 a JOIN r0 b USING (k0) JOIN r1 c USING (k0)".to_owned(), "stopped"),
        ("SELECT a.a0 AS n FROM r0 a JOIN r0 b USING (k0) ORDER BY n DESC".to_owned(), "stopped"),
        (doubled(20, "SELECT a0 FROM r0", "SELECT * FROM {} UNION ALL SELECT * FROM {}"), "refused"),
        (doubled(20, "SELECT a0 FROM r0", "SELECT a.a0 FROM {} a JOIN {} b ON a.a0 = b.a0"), "refused"),
        (doubled(30, "SELECT k1 AS s FROM r0", "SELECT s || s AS s FROM {}"), "refused"),
        (doubled(30, "SELECT 'x' AS s", "SELECT s || s AS s FROM {}"), "refused"),
        (
            doubled(20, "SELECT a0 FROM r0", "SELECT CASE WHEN a0 > 1 THEN a0 ELSE a0 + 1 END AS a0 FROM {}"),
            "refused",
        ),
        (format!("SELECT median(a0) OVER (ORDER BY k1 {growing}) AS n FROM r0"), "stopped"),
        (format!("SELECT sum(a0) OVER (ORDER BY k1 {everything}) AS n FROM r0"), "answered"),
        // The planner's time grows with the power of the depth.
        (format!("SELECT {tower} AS n FROM r0"), "refused"),
        (format!("SELECT {cases} AS n FROM r0"), "answered"),
    ];
    for (sql, expected) in texts {
        assert_eq!(ends(&postprocessor, &sql, expected).await, expected, "{sql}");
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 400 << 20, "the parent has grown by {grown} bytes");
    let (_, batch) =
        postprocessor.run("SELECT sum(a0) AS n FROM r0", tables(), in_seconds(20)).await.unwrap();
    assert_eq!(batch.num_rows(), 1, "and the next statement is answered");
}

const LONG: &str = "SELECT count(*) AS n FROM r0 a JOIN r0 b USING (k0) JOIN r1 c USING (k0)";
const SHORT: &str = "SELECT sum(a0) AS n FROM r0";

async fn warm() -> (Postprocessor, u32) {
    let pool = Pool::new(PoolConfig::of(program()));
    pool.warm(in_seconds(20)).await.unwrap();
    let pid = pool.resting()[0];
    (Postprocessor(Place::Workers(pool)), pid)
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_worker_that_dies_in_the_middle_is_an_opaque_failure_and_the_next_request_works() {
    let (postprocessor, pid) = warm().await;
    let (outcome, ()) = tokio::join!(postprocessor.run(LONG, crowds(), in_seconds(60)), async { kill(pid) });
    assert!(outcome.is_err());
    assert!(postprocessor.run(SHORT, tables(), in_seconds(20)).await.is_ok());
    // One that died while it rested is not asked.
    let Place::Workers(pool) = &postprocessor.0 else { return };
    kill(pool.resting()[0]);
    while pool.has_one_alive() {
        tokio::task::yield_now().await;
    }
    assert!(postprocessor.run(SHORT, tables(), in_seconds(20)).await.is_ok());
}

#[tokio::test]
async fn an_asker_who_goes_away_takes_the_worker_along() {
    let (postprocessor, pid) = warm().await;
    tokio::select! {
        biased;
        _ = postprocessor.run(LONG, crowds(), in_seconds(60)) => panic!("it takes hours"),
        () = std::future::ready(()) => (),
    }
    while !is_gone(pid) {
        tokio::task::yield_now().await;
    }
    assert!(postprocessor.run(SHORT, tables(), in_seconds(20)).await.is_ok());
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let mut config = PoolConfig::of(program());
    config.answer_bytes_max = 2_000;
    let postprocessor = Postprocessor::in_workers(config);
    assert!(postprocessor.run("SELECT k0, k1, a0, a1 FROM r0", tables(), in_seconds(20)).await.is_err());
    let few = "SELECT 1 AS n";
    assert!(postprocessor.run(few, tables(), in_seconds(20)).await.is_ok());
}

#[tokio::test]
async fn without_a_worker_the_question_is_told_to_come_again() {
    let postprocessor = Postprocessor::in_workers(PoolConfig::of("/nonexistent/shoal".into()));
    assert_eq!(postprocessor.check(SHORT, &schemas(), in_seconds(20)).await, Err(PostprocessError::Busy));
    assert!(postprocessor.run(SHORT, tables(), in_seconds(20)).await.is_err());
}

/// Dead, or waiting to be collected.
fn is_gone(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.rsplit(") ").next().unwrap().starts_with('Z'))
}

#[tokio::test]
async fn a_worker_is_confined_before_it_is_asked() {
    let open = std::env::current_exe().unwrap();
    let _open = std::fs::File::open(&open).unwrap();
    let (postprocessor, pid) = warm().await;
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        let words: Vec<&str> = line.get(name.len()..).unwrap().split_whitespace().collect();
        assert_eq!(words[0], words[1], "{line}: the hard limit is the soft one");
        words[0].parse::<u64>().unwrap()
    };
    assert_eq!(limit("Max core file size"), 0);
    assert_eq!(limit("Max file size"), 0);
    assert_eq!(limit("Max processes"), 0);
    assert_eq!(limit("Max open files"), 16);
    assert_eq!(limit("Max address space"), WorkerLimits::default().address_bytes_max);
    assert_eq!(std::fs::read(format!("/proc/{pid}/environ")).unwrap(), Vec::<u8>::new());
    let files: Vec<PathBuf> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|file| std::fs::read_link(file.unwrap().path()).ok())
        .collect();
    assert!(files.len() >= 3 && !files.contains(&open), "nothing that the parent has opened: {files:?}");
    drop(postprocessor);
}
