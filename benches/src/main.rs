//! `shoal-load`: sends events to a running Shoal and reports what it took.
//!
//! Open loop: request `i` is due at `start + i / rate`, whether or not earlier ones were answered, and its latency
//! counts from the moment it was due, so a stall of the server shows in every request that it delayed (no
//! coordinated omission). With `--rate 0` each connection sends as fast as it is answered, to find the highest
//! throughput. Bodies are distinct: every event has its own id, subject, session and values (`body.rs`). Pacing is
//! done by operating-system threads; timers of an async runtime would add a millisecond.
//!
//! Not here: benches of single functions (`benches/stages.rs`).

mod connection;
mod process;
mod report;
mod run;

use clap::Parser;

/// What to send, how fast, for how long.
#[derive(Parser, Clone)]
#[command(
    name = "shoal-load",
    about = "Sends events to a running Shoal and reports throughput, latency, CPU and memory."
)]
struct Arguments {
    /// Address of the server, `host:port`. Plain HTTP.
    #[arg(long, default_value = "127.0.0.1:8750")]
    address: String,
    /// Ingest key, `id.secret`; it must allow all four regions, or the ones in --regions.
    #[arg(long, env = "SHOAL_KEY", hide_env_values = true)]
    key: String,
    /// Events per second over all connections; 0 sends as fast as answers come.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Events in one request.
    #[arg(long, default_value_t = 100)]
    batch: usize,
    /// Connections, one thread each.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Seconds to send for.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Seconds at the start that are sent but not counted.
    #[arg(long, default_value_t = 2)]
    warmup: u64,
    /// Process id of the server, to report its CPU time and peak memory.
    #[arg(long)]
    pid: Option<u32>,
    /// Countries that events come from.
    #[arg(long, value_delimiter = ',', default_value = "US,DE,SG,MY")]
    countries: Vec<String>,
    /// Distinct subjects.
    #[arg(long, default_value_t = 200_000)]
    subjects: u64,
}

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
