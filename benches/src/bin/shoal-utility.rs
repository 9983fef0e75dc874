//! `shoal-utility`: are answers useful? Makes a million subjects' events, asks, and compares with the truth.
//!
//! Prints for each question the time, how often the truth is within the stated 95 % interval, and the relative error of
//! large groups. Ends with 1 when a question got no answer. Not here: how (`shoal_benches::utility`).

use clap::Parser;
use shoal_benches::utility::{Flags, run};

fn main() -> std::process::ExitCode {
    let flags = Flags::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("shoal-utility: {error}");
            return std::process::ExitCode::from(2);
        }
    };
    match runtime.block_on(run(&flags)) {
        Ok(outcome) => {
            println!(
                "{} events of {} subjects in {} ms\n",
                outcome.events,
                flags.subjects,
                outcome.made_in.as_millis()
            );
            outcome.verdicts.iter().for_each(|verdict| println!("{verdict}"));
            let (cells, covered) = outcome.coverage();
            let percent = 100.0 * covered as f64 / cells.max(1) as f64;
            println!("all: {cells} numbers, the truth is in {covered} intervals ({percent:.2} %)");
            if let Some(worst) = outcome.worst() {
                println!("worst relative error of a large group: {:.4} %", 100.0 * worst);
            }
            let is_complete = outcome.verdicts.iter().all(|verdict| verdict.refusal.is_empty());
            if is_complete { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
        }
        Err(reason) => {
            eprintln!("shoal-utility: {reason}");
            std::process::ExitCode::from(2)
        }
    }
}
