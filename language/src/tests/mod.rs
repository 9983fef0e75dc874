//! Tests of the whole language: what is answered, what is refused, and with which words.

#![allow(clippy::unwrap_used)]

mod bounds;
mod canonical;
mod conditions;
mod grammar;
mod listed;
mod patterns;
mod ranges;
mod suggestions;
mod tools;
mod unlisted;
mod windows;
mod work;
mod zoned;

use std::sync::{Arc, LazyLock};

use shoal_schemas::Registry;

use crate::calendar::parse_day;
use shoal_schemas::calendar::{HOUR_MS, start_of};

/// 2026-11-22T10:00:00Z.
fn now_ms() -> i64 {
    start_of(today()) + 10 * HOUR_MS
}

fn today() -> i32 {
    parse_day("2026-11-22").unwrap()
}

fn registry() -> Arc<Registry> {
    static LOADED: LazyLock<Arc<Registry>> = LazyLock::new(|| Arc::new(Registry::load(None).unwrap()));
    Arc::clone(&LOADED)
}
