//! Drives the connections and adds up what they saw.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use shoal_benches::Bodies;

use crate::arguments::Arguments;
use crate::connection::{Answer, Connection};
use crate::process;
use crate::report::Report;

/// Longest latency that is told apart: a minute, in microseconds.
const LATENCY_MAX_US: u64 = 60_000_000;

struct Lane {
    requests: u64,
    accepted: u64,
    bytes: u64,
    overload: u64,
    failed: u64,
    first_failure: Option<String>,
    /// Of requests that were taken.
    latency: Histogram<u64>,
    /// Of requests that were refused for overload.
    refused: Histogram<u64>,
}

/// Sends for the stated time and returns the figures.
pub(crate) fn run(arguments: &Arguments) -> Result<Report, String> {
    if arguments.batch == 0 || arguments.connections == 0 || arguments.seconds == 0 || arguments.subjects == 0
    {
        return Err("--batch, --connections, --seconds and --subjects must be at least 1".into());
    }
    let start = Instant::now() + Duration::from_millis(50);
    let counted = start + Duration::from_secs(arguments.warmup);
    let end = counted + Duration::from_secs(arguments.seconds);
    let ticket = AtomicU64::new(0);
    let (lanes, before, after) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..arguments.connections)
            .map(|lane| {
                let ticket = &ticket;
                scope.spawn(move || drive(arguments, lane as u64, ticket, [start, counted, end]))
            })
            .collect();
        std::thread::sleep(counted.saturating_duration_since(Instant::now()));
        let before = arguments.pid.and_then(process::usage);
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        let after = arguments.pid.and_then(process::usage);
        let lanes: Result<Vec<Lane>, String> = threads
            .into_iter()
            .map(|t| t.join().map_err(|_| "a connection's thread panicked".to_owned())?)
            .collect();
        (lanes, before, after)
    });
    let mut report = Report {
        seconds: arguments.seconds as f64,
        requests: 0,
        accepted: 0,
        bytes: 0,
        overload: 0,
        failed: 0,
        first_failure: None,
        latency: histogram()?,
        refused: histogram()?,
        server_cpu_s: before.zip(after).map(|(b, a)| a.cpu_s - b.cpu_s),
        server_peak_mib: after.map(|a| a.peak_mib),
    };
    for lane in lanes? {
        report.requests += lane.requests;
        report.accepted += lane.accepted;
        report.bytes += lane.bytes;
        report.overload += lane.overload;
        report.failed += lane.failed;
        report.first_failure = report.first_failure.or(lane.first_failure);
        report.latency.add(&lane.latency).map_err(|e| e.to_string())?;
        report.refused.add(&lane.refused).map_err(|e| e.to_string())?;
    }
    Ok(report)
}

fn histogram() -> Result<Histogram<u64>, String> {
    Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).map_err(|e| e.to_string())
}

fn drive(
    arguments: &Arguments,
    number: u64,
    ticket: &AtomicU64,
    times: [Instant; 3],
) -> Result<Lane, String> {
    let [start, counted, end] = times;
    let mut lane = Lane {
        requests: 0,
        accepted: 0,
        bytes: 0,
        overload: 0,
        failed: 0,
        first_failure: None,
        latency: histogram()?,
        refused: histogram()?,
    };
    let mut bodies = Bodies::new(number, arguments.subjects, arguments.countries.clone());
    let mut connection = Connection::new(&arguments.address, &arguments.key);
    let mut body = Vec::new();
    std::thread::sleep(start.saturating_duration_since(Instant::now()));
    loop {
        bodies.fill(arguments.batch, &mut body);
        let due = if arguments.rate == 0 {
            Instant::now()
        } else {
            let request = ticket.fetch_add(1, Ordering::Relaxed);
            start + Duration::from_secs_f64(request as f64 * arguments.batch as f64 / arguments.rate as f64)
        };
        if due >= end {
            return Ok(lane);
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let answer = connection.post(&body);
        if due < counted {
            continue;
        }
        lane.requests += 1;
        lane.bytes += body.len() as u64;
        let took = u64::try_from(due.elapsed().as_micros()).unwrap_or(LATENCY_MAX_US).max(1);
        match answer {
            Ok(Answer::Accepted(events)) => {
                lane.latency.saturating_record(took);
                lane.accepted += events;
                if events < arguments.batch as u64 && lane.first_failure.is_none() {
                    lane.first_failure = Some(format!(
                        "{events} of {} accepted: {}",
                        arguments.batch,
                        connection.last_answer()
                    ));
                }
            }
            Ok(Answer::Overload) => {
                lane.refused.saturating_record(took);
                lane.overload += 1;
            }
            Ok(Answer::Failed(status)) => {
                lane.failed += 1;
                lane.first_failure
                    .get_or_insert_with(|| format!("status {status}: {}", connection.last_answer()));
            }
            Err(error) => {
                lane.failed += 1;
                lane.first_failure.get_or_insert_with(|| error.to_string());
            }
        }
    }
}
