//! The clock, the disk, the versions, and what the process may leave behind.

use std::path::Path;

use shoal_audit::last_at_ms;
use shoal_files::{Disk, Medium as _};
use shoal_retention::{KnownTimes, plausible};

use super::check::Check;
use super::served::Served;
use crate::config::Config;
use crate::file_keys::audit_place;
use crate::parts::Part;
use crate::served_time;
use crate::status::Status;

/// Whether the clock fits what is known of the time.
pub(super) fn clock(config: &Config, now_ms: i64) -> Check {
    let audit_ms = audit_place(config).ok().and_then(|place| last_at_ms(&place).ok().flatten());
    let mark_ms = match served_time::known_ms(&config.data_dir) {
        Ok(mark_ms) => mark_ms,
        Err(error) => return Check::fail("clock", error.to_string(), "Put the file back as it was last."),
    };
    let known = KnownTimes { event_ms: None, audit_ms, mark_ms };
    let Some(newest_ms) = known.newest_ms() else {
        return Check::warn(
            "clock",
            "nothing is known of the time yet",
            "The first start makes the mark of it.",
        );
    };
    match plausible(now_ms, &known) {
        Err(refused) => {
            let advice = "Look at the clock. If it is right, run retention once with --accept-clock DAY.";
            Check::fail("clock", refused.to_string(), advice)
        }
        Ok(()) if now_ms + 300_000 < newest_ms => {
            let behind = (newest_ms - now_ms) / 60_000;
            let found = format!("the clock is {behind} minutes behind the newest time that is known");
            Check::warn("clock", found, "Set the clock, with a time server.")
        }
        Ok(()) => Check::ok("clock", "it fits the newest time that is known"),
    }
}

/// Whether there is room.
pub(super) fn disk(config: &Config) -> Check {
    let min = config.ingest.free_bytes_min;
    let mib = |bytes: u64| bytes >> 20;
    match Disk::new(&config.data_dir).free_bytes() {
        Err(error) => Check::fail("disk", error.to_string(), "Look at the disk of data_dir."),
        Ok(free) if free < min => {
            let found = format!("{} MiB are free, and events are refused below {}", mib(free), mib(min));
            Check::fail("disk", found, "Free some space, or run retention; nothing has to be restarted.")
        }
        Ok(free) if free < min.saturating_mul(4) => {
            let found = format!("{} MiB are free, and events are refused below {}", mib(free), mib(min));
            Check::warn("disk", found, "Free some space before it is full.")
        }
        Ok(free) => match full_beside(config) {
            Some(found) => Check::fail("disk", found, "Free some space there; nothing has to be restarted."),
            None => Check::ok("disk", format!("{} MiB are free", mib(free))),
        },
    }
}

/// Least room where the high-water marks and the journal of withdrawals are, which may be on disks of their own: without it no
/// question is paid and no withdrawal is recorded.
const BESIDE_BYTES_MIN: u64 = 16 << 20;

fn full_beside(config: &Config) -> Option<String> {
    let is_full = |dir: &Path| Disk::new(dir).free_bytes().is_ok_and(|free| free < BESIDE_BYTES_MIN);
    let mut dirs = [config.marks_dir(), config.journal_dir()].into_iter();
    let full = dirs.find(|dir| dir.is_dir() && is_full(dir))?;
    Some(format!("less than {} MiB are free at {}", BESIDE_BYTES_MIN >> 20, full.display()))
}

/// Whether the service that runs is this program.
pub(super) fn versions(served: &Served) -> Check {
    let own = env!("CARGO_PKG_VERSION");
    let other = |running: &str| {
        let found = format!("this program is {own}, and the service that runs {running}");
        Check::warn("versions", found, "Restart the service with this program, or use the service's own.")
    };
    match served {
        Served::Not => Check::ok("versions", format!("this program is {own}; no service runs")),
        Served::Unknown => other("does not tell its version in a form that this program can read"),
        Served::By(status) if status.version == own => {
            Check::ok("versions", format!("this program and the service are {own}"))
        }
        Served::By(status) => other(&format!("is {}", status.version)),
    }
}

/// Whether the memory of the process that holds the keys could go to a file.
pub(super) fn core_files(served: &Served) -> Check {
    let limits = match served {
        Served::Unknown => String::new(),
        served => match served.status().and_then(|status| status.running.as_ref()) {
            None => return Check::ok("core files", "a service turns them off at its start"),
            Some(serving) => {
                std::fs::read_to_string(format!("/proc/{}/limits", serving.pid)).unwrap_or_default()
            }
        },
    };
    let line = limits.lines().find(|line| line.starts_with("Max core file size"));
    match line.map(|line| line.split_whitespace().nth(4) == Some("0")) {
        Some(true) => Check::ok("core files", "the service leaves none"),
        Some(false) => {
            let advice = "Restart it with this program, which turns them off.";
            Check::fail("core files", "the service may leave one, with the keys in it", advice)
        }
        None => Check::warn(
            "core files",
            "the limits of the service cannot be read here",
            "Look at /proc/PID/limits.",
        ),
    }
}

/// Whether every part of the service works.
pub(super) fn parts(status: &Status) -> Check {
    let troubles: Vec<String> = status.parts.iter().filter_map(Part::trouble).collect();
    match troubles.is_empty() {
        true => Check::ok("parts", "events, consents and questions are ready"),
        false => Check::fail(
            "parts",
            troubles.join("; "),
            "docs/operations.md, section Stop, crash, downgrade, and the log say more.",
        ),
    }
}
