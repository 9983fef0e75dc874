//! What the settings must hold together. Each value is good by itself by now.
//!
//! Not here: files and directories (`surroundings.rs`), but for the rules of what does not lie together: the keys and the data,
//! either of them and what no copy of it may bring back.

use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

use shoal_custody::Kind;

use super::read::Read;
use super::settings::Config;
use crate::tables_place;

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
    let in_the_data = |dir: Option<&Path>| {
        dir.is_some_and(|dir| resolved(dir).starts_with(resolved(&read.config.data_dir)))
    };
    if in_the_data(read.config.unit_key_dir.as_deref()) {
        let reason = "`unit_key_dir` must be outside `data_dir`: whoever copies the data must not copy the keys with it";
        found.push(("unit_key_dir", ["unit_key_dir", "data_dir"], reason));
    }
    if in_the_data(read.config.data_key_dir.as_deref()) {
        let reason = "`data_key_dir` must be outside `data_dir`: whoever copies the data must not copy the keys with it";
        found.push(("data_key_dir", ["data_key_dir", "data_dir"], reason));
    }
    let data_keys = resolved(&read.config.data_key_dir());
    let is_with = |replica: &PathBuf| {
        let own = resolved(replica);
        in_the_data(Some(replica)) || own.starts_with(&data_keys) || data_keys.starts_with(&own)
    };
    if read.config.data_key_replicas.iter().any(is_with) {
        let reason =
            "`data_key_replicas` must be outside `data_dir` and of `data_key_dir`, and not around it";
        found.push(("data_key_replicas", ["data_key_replicas", "data_dir"], reason));
    }
    if in_the_data(http.tls_key.as_deref()) {
        let reason = "`http.tls_key` must be outside `data_dir`: whoever copies the data must not copy the keys with it";
        found.push(("http.tls_key", ["http.tls_key", "data_dir"], reason));
    }
    found.extend(of_custody(&read.config));
    for (at, between, reason) in found {
        note(read, at, between, reason);
    }
    tables(read);
    for apart in [Apart::marks(&read.config), Apart::journal(&read.config)] {
        if let Some((with, reason)) = apart.lies_with(&read.config) {
            note(read, apart.setting, [apart.setting, with], &reason);
        }
    }
}

/// Whether two addresses cannot be listened on at one time.
fn is_shared(own: SocketAddr, other: SocketAddr) -> bool {
    let (own_ip, other_ip) = (own.ip(), other.ip());
    let overlap = own_ip == other_ip || own_ip.is_unspecified() || other_ip.is_unspecified();
    overlap && own.port() == other.port() && own.port() != 0
}

/// Notes what is wrong with the place of the tables.
fn tables(read: &mut Read) {
    let (storage, data_dir) = (&read.config.storage, resolved(&read.config.data_dir));
    let is_in_the_data =
        tables_place::directory(storage).is_some_and(|dir| resolved(&dir).starts_with(data_dir));
    let refused = tables_place::check(storage).err();
    let is_without_url = storage.url.is_none() && storage.endpoint.is_some();
    if is_without_url {
        let reason = "`storage.endpoint` is that of the bucket in `storage.url`, which is not set";
        note(read, "storage.endpoint", ["storage.endpoint", "storage.url"], reason);
    }
    if is_in_the_data {
        let reason = "`storage.url` must be outside `data_dir`, where tables are without it";
        note(read, "storage.url", ["storage.url", "data_dir"], reason);
    }
    if let Some(error) = refused {
        note(read, "storage.url", ["storage.url", "storage.endpoint"], &format!("`storage.url`: {error}"));
    }
}

/// Contradictions of the section `keys`: where, between what, and why.
fn of_custody(config: &Config) -> Vec<(&'static str, [&'static str; 2], &'static str)> {
    let keys = &config.keys;
    let mut found = Vec::new();
    let is_with_the_data = |path: &Option<PathBuf>| {
        path.as_deref().is_some_and(|path| resolved(path).starts_with(resolved(&config.data_dir)))
    };
    for (at, path, reason) in [
        (
            "keys.wrapping_file",
            &keys.wrapping_file,
            "`keys.wrapping_file` must be outside `data_dir`: whoever copies the data must not copy the keys with it",
        ),
        ("keys.pkcs11_pin_file", &keys.pkcs11_pin_file, "`keys.pkcs11_pin_file` must be outside `data_dir`"),
        (
            "keys.transit_token_file",
            &keys.transit_token_file,
            "`keys.transit_token_file` must be outside `data_dir`",
        ),
    ] {
        if is_with_the_data(path) {
            found.push((at, [at, "data_dir"], reason));
        }
    }
    if keys.wrapping_file.as_deref().is_some_and(|path| resolved(path) == resolved(&config.key_file)) {
        let at = "keys.wrapping_file";
        found.push((at, [at, "key_file"], "`keys.wrapping_file` must not be `key_file`"));
    }
    for (kind, at, is_set, reason) in [
        (
            Kind::Pkcs11,
            "keys.pkcs11_module",
            keys.pkcs11_module.is_some(),
            "`keys.custody` is `pkcs11`, so `keys.pkcs11_module` must be set",
        ),
        (
            Kind::Pkcs11,
            "keys.pkcs11_pin_file",
            keys.pkcs11_pin_file.is_some(),
            "`keys.custody` is `pkcs11`, so `keys.pkcs11_pin_file` must be set",
        ),
        (
            Kind::Transit,
            "keys.transit_url",
            keys.transit_url.is_some(),
            "`keys.custody` is `transit`, so `keys.transit_url` must be set",
        ),
    ] {
        if keys.custody == kind && !is_set {
            found.push(("keys.custody", ["keys.custody", at], reason));
        }
    }
    found
}

/// Notes a contradiction between two settings, unless the value of one is refused anyhow.
fn note(read: &mut Read, at: &'static str, between: [&'static str; 2], reason: &str) {
    if !read.faults.refused(&between) {
        // An operator has not written the default, so the fault is told at the other setting.
        let place = [at].iter().chain(&between).map(|name| read.place(name)).max();
        read.faults.push(place.unwrap_or_default(), reason);
    }
}

/// A directory that must not be put back with the data or with the keys.
struct Apart {
    setting: &'static str,
    dir: PathBuf,
    /// What would be put back with it.
    kept: &'static str,
}

impl Apart {
    /// The high-water marks.
    fn marks(config: &Config) -> Apart {
        let kept = "how much of the budget was spent";
        Apart { setting: "budget_marks_dir", dir: resolved(&config.marks_dir()), kept }
    }

    /// The journal of withdrawals.
    fn journal(config: &Config) -> Apart {
        let kept = "who had withdrawn by then";
        Apart { setting: "withdrawals_dir", dir: resolved(&config.journal_dir()), kept }
    }

    /// With which other setting's place it lies together, and why it must not.
    fn lies_with(&self, config: &Config) -> Option<(&'static str, String)> {
        let Apart { setting, dir, kept } = self;
        let [data, key] = [&config.data_dir, &config.key_file].map(|path| resolved(path));
        if dir.starts_with(&data) || data.starts_with(dir) {
            let reason = format!(
                "`{setting}` must be outside `data_dir`, and not hold it: whoever puts back an older copy of the data must not put back \
                 with it {kept}"
            );
            return Some(("data_dir", reason));
        }
        lies_with_the_key(dir, &key, &data).then(|| {
            let reason = format!(
                "`{setting}` must be outside the directory of `key_file`: a copy of the keys that is put back must not put back with it \
                 {kept}"
            );
            ("key_file", reason)
        })
    }
}

/// Whether a directory lies with the key file: around it, or in a directory of its own.
pub(crate) fn lies_with_the_key(dir: &Path, key: &Path, data: &Path) -> bool {
    let key_dir = key.parent().unwrap_or(key);
    // A directory that holds the data too is not one of the key's own.
    let is_keys_own = !data.starts_with(key_dir);
    key.starts_with(dir) || (is_keys_own && dir.starts_with(key_dir))
}

/// A path: absolute, without `.` and `..`, and with links followed as far as the path exists.
pub(crate) fn resolved(path: &Path) -> PathBuf {
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
