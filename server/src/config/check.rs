//! What the settings must hold together. Each value is good by itself by now.
//!
//! Not here: files and directories (`surroundings.rs`), but for the rules of what does not lie together: the keys and the data,
//! the data and the high-water marks of their budgets.

use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

use super::read::Read;
use super::settings::Config;

/// Notes every contradiction between settings.
pub(super) fn contradictions(read: &mut Read) {
    let (http, ingest) = (&read.config.http, &read.config.ingest);
    let tls = [("http.tls_cert", http.tls_cert.is_some()), ("http.tls_key", http.tls_key.is_some())];
    let mut found = Vec::new();
    if let [(one, true), (_, false)] | [(_, false), (one, true)] = tls {
        found.push((
            one,
            ["http.tls_cert", "http.tls_key"],
            "`http.tls_cert` and `http.tls_key` must be set together",
        ));
    }
    let is_shared = |own: SocketAddr, other: SocketAddr| {
        let (own_ip, other_ip) = (own.ip(), other.ip());
        let overlap = own_ip == other_ip || own_ip.is_unspecified() || other_ip.is_unspecified();
        overlap && own.port() == other.port() && own.port() != 0
    };
    if read.config.metrics.listen.is_some_and(|listen| is_shared(listen, http.listen)) {
        let reason =
            "`metrics.listen` must not be `http.listen`: apps and analysts must not reach the metrics";
        found.push(("metrics.listen", ["metrics.listen", "http.listen"], reason));
    }
    let body = "ingest.body_bytes_max";
    if ingest.inflated_bytes_max < ingest.body_bytes_max {
        let reason = "`ingest.inflated_bytes_max` must not be less than `ingest.body_bytes_max`";
        found.push(("ingest.inflated_bytes_max", ["ingest.inflated_bytes_max", body], reason));
    }
    if http.bodies_bytes_max < ingest.body_bytes_max {
        let reason = "`http.bodies_bytes_max` must not be less than `ingest.body_bytes_max`";
        found.push(("http.bodies_bytes_max", ["http.bodies_bytes_max", body], reason));
    }
    if resolved(&read.config.key_file).starts_with(resolved(&read.config.data_dir)) {
        let reason =
            "`key_file` must be outside `data_dir`: whoever copies the data must not copy the keys with it";
        found.push(("key_file", ["key_file", "data_dir"], reason));
    }
    let unit_key_dir = read.config.unit_key_dir.as_deref();
    if unit_key_dir.is_some_and(|dir| resolved(dir).starts_with(resolved(&read.config.data_dir))) {
        let reason = "`unit_key_dir` must be outside `data_dir`: whoever copies the data must not copy the keys with it";
        found.push(("unit_key_dir", ["unit_key_dir", "data_dir"], reason));
    }
    if let Some((with, reason)) = marks_lie_with(&read.config) {
        found.push(("budget_marks_dir", ["budget_marks_dir", with], reason));
    }
    if let Some((with, reason)) = journal_lies_with(&read.config) {
        found.push(("withdrawals_dir", ["withdrawals_dir", with], reason));
    }
    for (at, between, reason) in found {
        if !read.faults.refused(&between) {
            // An operator has not written the default, so the fault is told at the other setting.
            let place = [at].iter().chain(&between).map(|name| read.place(name)).max();
            read.faults.push(place.unwrap_or_default(), reason);
        }
    }
}

/// With which other setting's place the high-water marks lie together, and why they must not.
fn marks_lie_with(config: &Config) -> Option<(&'static str, &'static str)> {
    let [marks, data, key] =
        [&config.marks_dir(), &config.data_dir, &config.key_file].map(|path| resolved(path));
    if marks.starts_with(&data) || data.starts_with(&marks) {
        let reason = "`budget_marks_dir` must be outside `data_dir`, and not hold it: whoever puts back an older copy of the data \
             must not put back with it how much of their budget was spent";
        return Some(("data_dir", reason));
    }
    if lies_with_the_key(&marks, &key, &data) {
        let reason = "`budget_marks_dir` must be outside the directory of `key_file`: a copy of the keys that is put back must not \
             put back with it how much of the budget was spent";
        return Some(("key_file", reason));
    }
    None
}

/// The same for the journal of withdrawals.
fn journal_lies_with(config: &Config) -> Option<(&'static str, &'static str)> {
    let [journal, data, key] =
        [&config.journal_dir(), &config.data_dir, &config.key_file].map(|path| resolved(path));
    if journal.starts_with(&data) || data.starts_with(&journal) {
        let reason = "`withdrawals_dir` must be outside `data_dir`, and not hold it: whoever puts back an older copy of the data \
             must not put back with it who had withdrawn by then";
        return Some(("data_dir", reason));
    }
    if lies_with_the_key(&journal, &key, &data) {
        let reason = "`withdrawals_dir` must be outside the directory of `key_file`: a copy of the keys that is put back must not \
             put back with it who had withdrawn by then";
        return Some(("key_file", reason));
    }
    None
}

fn lies_with_the_key(dir: &Path, key: &Path, data: &Path) -> bool {
    let key_dir = key.parent().unwrap_or(key);
    // A directory that holds the data too is not one of the key's own.
    let is_keys_own = !data.starts_with(key_dir);
    key.starts_with(dir) || (is_keys_own && dir.starts_with(key_dir))
}

/// Absolute, without `.` and `..`, and with links followed as far as the path exists.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut plain = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
        if let Ok(real) = plain.canonicalize() {
            plain = real;
        }
    }
    plain
}
