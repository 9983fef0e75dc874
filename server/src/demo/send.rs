//! Sends the day of traffic through the real HTTP interface, with what a network and real apps do: batches that are sent twice, and
//! an app that asked nobody.
//!
//! Not here: what happens on the day (`traffic.rs`).

use std::fmt;
use std::time::Instant;

use chrono::{DateTime, SecondsFormat};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use shoal_schemas::Programme;

use super::keys::{Keys, POLICY};
use super::traffic::Event;
use crate::client::Client;
use crate::error::Error;
use crate::system_clock;

const BATCH_EVENTS: usize = 250;
/// One batch in so many is sent twice.
const RESENT_EACH: usize = 20;
/// Events of the app that asked nobody.
const UNASKED_EVENTS: usize = 40;

/// What the service answered to all batches together.
#[derive(Default)]
pub(super) struct Sent {
    received: u64,
    accepted: u64,
    duplicate: u64,
    withheld: u64,
    rejected: u64,
    ms: u128,
}

/// Sends all of it, and adds up what was answered.
///
/// # Errors
/// When the service refuses or is gone.
pub(super) fn send_all(url: &str, keys: &Keys, events: &[Event]) -> Result<Sent, Error> {
    let start = Instant::now();
    let bar = ProgressBar::new(events.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} events sent") {
        bar.set_style(style);
    }
    let mut sent = Sent::default();
    for (programme, key) in
        [(Programme::UserExperience, &keys.app), (Programme::DeviceExperience, &keys.devices)]
    {
        let client = Client::new(url, key);
        let of_programme: Vec<&Event> = events.iter().filter(|e| e.programme == programme).collect();
        let is_carried = programme == Programme::UserExperience;
        for (number, batch) in of_programme.chunks(BATCH_EVENTS).enumerate() {
            let body = body(batch, is_carried);
            sent.add(&client, &body)?;
            // A network that loses answers: the app sends the same batch again.
            if number % RESENT_EACH == 0 {
                sent.add(&client, &body)?;
            }
            bar.inc(batch.len() as u64);
        }
        if let Some(batch) = of_programme.chunks(UNASKED_EVENTS).next().filter(|_| is_carried) {
            sent.add(&client, &body(batch, false))?;
        }
    }
    bar.finish_and_clear();
    sent.ms = start.elapsed().as_millis();
    Ok(sent)
}

fn body(batch: &[&Event], is_carried: bool) -> String {
    let events: Vec<&Value> = batch.iter().map(|e| &e.json).collect();
    let now = DateTime::from_timestamp_millis(system_clock()()).unwrap_or_default();
    let mut body = json!({"sent_at": now.to_rfc3339_opts(SecondsFormat::Millis, true), "events": events});
    if is_carried {
        body["consent"] = json!({"policy_version": POLICY, "granted_at": "2026-01-15T09:00:00Z"});
    }
    body.to_string()
}

impl Sent {
    fn add(&mut self, client: &Client, body: &str) -> Result<(), Error> {
        let answer = client.post("/v1/events", body, "application/json")?;
        let answer: Value = serde_json::from_slice(&answer).map_err(|e| Error::Remote(e.to_string()))?;
        let count = |name: &str| answer[name].as_u64().unwrap_or(0);
        self.received += count("received");
        self.accepted += count("accepted");
        self.duplicate += count("duplicate");
        self.withheld += count("withheld");
        self.rejected += count("rejected");
        Ok(())
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sent { received, accepted, duplicate, withheld, rejected, ms } = self;
        write!(
            f,
            "{received} events were sent in {ms} ms: {accepted} accepted, {duplicate} sent twice and kept once, {withheld} \
             withheld\nfor want of consent, {rejected} rejected."
        )
    }
}
