//! `shoal health`: asks a running service whether it lives, or whether it is ready, for what supervises it and has no curl.
//!
//! No key is sent, and nothing but the status is read on success. Not here: what ready means (`state.rs`).

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::output::print_either;
use crate::client::{agent, local_agent, local_url, problem_text};
use crate::config::Config;
use crate::error::Error;

#[derive(Args)]
pub(super) struct HealthArgs {
    /// Asks whether everything works (`/readyz`), and not only whether the process lives (`/healthz`).
    #[arg(long)]
    ready: bool,
    /// Longest time to wait for the answer, in seconds.
    #[arg(long, default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    /// URL of the service. The default is the address at which this configuration starts it, and then the name in its
    /// certificate does not matter.
    #[arg(long, env = "SHOAL_URL")]
    url: Option<String>,
    /// Prints the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config: &Config, args: &HealthArgs) -> Result<ExitCode, Error> {
    let url = args.url.clone().unwrap_or_else(|| local_url(config));
    let path = if args.ready { "/readyz" } else { "/healthz" };
    let asked = format!("{}{path}", url.trim_end_matches('/'));
    let wait = Duration::from_secs(args.timeout);
    // The certificate of a service of this machine is for the name that clients use.
    let agent = if args.url.is_some() { agent(wait) } else { local_agent(wait) };
    let mut response = agent.get(&asked).call().map_err(|error| {
        let text = format!("{url} cannot be reached: {error}");
        Error::Remote(text)
    })?;
    if !response.status().is_success() {
        let told: Value = response.body_mut().read_json().unwrap_or(Value::Null);
        return Err(Error::Remote(problem_text(response.status().as_str(), &told)));
    }
    let asked = if args.ready { "ready" } else { "lives" };
    print_either(
        args.json,
        || json!({asked: true}),
        || match args.ready {
            true => "the service is ready".to_owned(),
            false => "the service lives".to_owned(),
        },
    )
}
