//! `shoal-load`: sends events to a running Shoal and reports what it took.
//!
//! Open loop: request `i` is due at `start + i / rate`, whether or not earlier ones were answered, and its latency
//! counts from the moment it was due, so a stall of the server shows in every request that it delayed (no
//! coordinated omission). With `--rate 0` each connection sends as fast as it is answered, to find the highest
//! throughput. Bodies are distinct: every event has its own id, subject, session and values (`body.rs`). Pacing is
//! done by operating-system threads; timers of an async runtime would add a millisecond.
//!
//! Not here: benches of single functions (`benches/stages.rs`).

mod arguments;
mod connection;
mod process;
mod report;
mod run;

use arguments::Arguments;
use clap::Parser;

fn main() -> std::process::ExitCode {
    match run::run(&Arguments::parse()) {
        Ok(report) => {
            println!("{report}");
            if report.failed == 0 { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
        }
        Err(reason) => {
            eprintln!("shoal-load: {reason}");
            std::process::ExitCode::from(2)
        }
    }
}
