//! What an SDK says that it has lost: the only place where that is told.
//!
//! ```text
//! {"discarded_events": [{"reason": "queue_overflow", "category": "error", "quantity": 3}, ..]}
//! ```
//! Invariant: reasons and categories are those of the lists below, all others are `other`: a client can make no new series of
//! a metric. Not here: the metric (`metrics.rs`).

use crate::{answer::ClientLoss, wire::json::Json};

const OTHER: &str = "other";
/// Why SDKs discard, as Sentry's documentation for them lists it.
const REASONS: [&str; 16] = [
    "backpressure",
    "before_send",
    "buffer_overflow",
    "cache_overflow",
    "event_processor",
    "ignored",
    "insufficient_data",
    "internal_sdk_error",
    "invalid",
    "network_error",
    "no_parent_span",
    "queue_overflow",
    "ratelimit_backoff",
    "sample_rate",
    "send_error",
    "too_big",
];
/// What they discard.
const CATEGORIES: [&str; 15] = [
    "attachment",
    "default",
    "error",
    "feedback",
    "internal",
    "log_byte",
    "log_item",
    "monitor",
    "profile",
    "replay",
    "security",
    "session",
    "span",
    "trace_metric",
    "transaction",
];
/// Lines of one report that are read.
const LINES_MAX: usize = 256;
/// More than this of one line was not lost by one device.
const QUANTITY_MAX: i64 = 1_000_000;

/// Adds what a report says to what others of the envelope have said.
pub(super) fn read(report: &Json<'_>, losses: &mut Vec<ClientLoss>) {
    let lines = report.get("discarded_events").map_or(&[][..], Json::items);
    for line in lines.iter().take(LINES_MAX) {
        let quantity = match line.get("quantity") {
            Some(Json::Integer(quantity)) => (*quantity).clamp(0, QUANTITY_MAX).unsigned_abs(),
            _ => continue,
        };
        let loss = ClientLoss {
            reason: listed(&REASONS, line.get("reason")),
            category: listed(&CATEGORIES, line.get("category")),
            quantity,
        };
        let same = |l: &&mut ClientLoss| (l.reason, l.category) == (loss.reason, loss.category);
        match losses.iter_mut().find(same) {
            Some(known) => known.quantity += loss.quantity,
            None => losses.push(loss),
        }
    }
}

fn listed(list: &'static [&'static str], value: Option<&Json<'_>>) -> &'static str {
    let text = value.and_then(Json::text).map_or("", |text| &**text);
    list.iter().find(|known| **known == text).copied().unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::Cell;

    use super::*;
    use crate::wire::json::{Bounds, parse};

    #[test]
    fn losses_are_added_up_by_reason_and_what_is_made_up_is_other() {
        let text = r#"{"discarded_events":[{"reason":"queue_overflow","category":"error","quantity":3},
            {"reason":"anna@example.org","category":"error","quantity":1},{"reason":"queue_overflow","category":"error","quantity":4},
            {"reason":"sample_rate","category":"anna","quantity":-5},{"reason":"sample_rate","quantity":9000000000},
            {"reason":"sample_rate"},7]}"#;
        let bounds = Bounds {
            depth_max: 9,
            string_bytes_max: 99,
            strict: false,
            broken: Cell::new(None),
            values_left: Cell::new(99),
            held: Cell::new(0),
        };
        let mut losses = Vec::new();
        read(&parse(text, &bounds).unwrap(), &mut losses);
        let found: Vec<_> = losses.iter().map(|l| (l.reason, l.category, l.quantity)).collect();
        assert_eq!(
            found,
            [("queue_overflow", "error", 7), ("other", "error", 1), ("sample_rate", "other", 1_000_000)]
        );
        assert!(REASONS.is_sorted() && CATEGORIES.is_sorted());
    }
}
