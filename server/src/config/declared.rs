//! Every key of the configuration with its default and what it means. `shoal.example.toml` is tested against this list.

/// A key and its default.
#[derive(Clone, Copy, Debug)]
pub struct DeclaredKey {
    /// Dotted name, as `http.listen`. The variable is `SHOAL_HTTP_LISTEN`.
    pub name: &'static str,
    /// Type and default.
    pub default: DefaultValue,
}

/// Type and default of a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DefaultValue {
    /// Text.
    Text(&'static str),
    /// Text that need not be set.
    Unset,
    /// A whole number of at least `.1` and at most `.2`.
    Number(i64, i64, i64),
    /// `true` or `false`.
    Switch(bool),
    /// A list of texts; in a variable separated by commas.
    List(&'static [&'static str]),
    /// A list of ascending whole numbers, the smallest at least `.1` and the largest at most `.2`; in a variable separated by
    /// commas.
    Numbers(&'static [i64], i64, i64),
}

impl DeclaredKey {
    /// The environment variable that overrides it.
    pub fn variable(&self) -> String {
        format!("SHOAL_{}", self.name.replace('.', "_").to_ascii_uppercase())
    }
}

const fn key(name: &'static str, default: DefaultValue) -> DeclaredKey {
    DeclaredKey { name, default }
}

use DefaultValue::{List, Number, Numbers, Switch, Text, Unset};

const KIB: i64 = 1024;
const MIB: i64 = 1024 * KIB;
const GIB: i64 = 1024 * MIB;

/// All keys.
pub const DECLARED: &[DeclaredKey] = &[
    key("data_dir", Text("./data")),
    key("key_file", Text("./shoal.key")),
    key("schemas_dir", Unset),
    key("country_mmdb", Unset),
    key("http.listen", Text("127.0.0.1:8750")),
    key("http.tls_cert", Unset),
    key("http.tls_key", Unset),
    key("http.workers", Number(0, 0, 1024)),
    key("http.connections_max", Number(4096, 1, 1_000_000)),
    key("http.header_timeout_ms", Number(5_000, 100, 600_000)),
    key("http.body_timeout_ms", Number(20_000, 100, 600_000)),
    key("http.body_rate_min_bytes_per_s", Number(4 * KIB, 1, GIB)),
    key("http.bodies_bytes_max", Number(96 * MIB, 64 * KIB, 64 * GIB)),
    key("http.stop_timeout_s", Number(20, 1, 600)),
    key("http.cors_origins", List(&["*"])),
    key("http.trust_forwarded_for", Switch(false)),
    key("ingest.body_bytes_max", Number(2 * MIB, KIB, 64 * MIB)),
    key("ingest.inflated_bytes_max", Number(16 * MIB, KIB, 256 * MIB)),
    key("ingest.ratio_max", Number(100, 2, 10_000)),
    key("ingest.zstd_window_log_max", Number(23, 10, 27)),
    key("ingest.events_max", Number(5_000, 1, 100_000)),
    key("ingest.properties_max", Number(64, 1, 1_000)),
    key("ingest.string_bytes_max", Number(64 * KIB, 64, MIB)),
    key("ingest.depth_max", Number(24, 4, 128)),
    key("ingest.values_max", Number(400_000, 1_000, 10_000_000)),
    key("ingest.in_flight_bytes_max", Number(32 * MIB, MIB, 4 * GIB)),
    key("ingest.epoch_days", Number(90, 1, 3650)),
    key("ingest.dedup_window_h", Number(48, 1, 8760)),
    key("ingest.flush_interval_ms", Number(10_000, 50, 3_600_000)),
    key("ingest.segment_bytes_max", Number(16 * MIB, 4 * MIB, GIB)),
    key("ingest.free_bytes_min", Number(GIB, 0, 1024 * GIB)),
    key("query.preset", Text("standard")),
    key("query.precision", Text("normal")),
    key("query.epochs", List(&["open 20%", "1d 40%", "3d 25%", "31d 15%"])),
    key("query.k_min", Number(20, 2, 1_000_000)),
    key("query.concurrent_max", Number(2, 1, 64)),
    key("query.threads", Number(2, 1, 256)),
    key("query.time_ms_max", Number(30_000, 100, 600_000)),
    key("query.answer_times_ms", Numbers(&[1_000, 2_000, 4_000, 8_000, 16_000, 30_000], 10, 600_000)),
    key("query.memory_bytes_max", Number(192 * MIB, 16 * MIB, 256 * GIB)),
    key("query.cells_max", Number(100_000, 10, 10_000_000)),
    key("query.sql_bytes_max", Number(16 * KIB, 64, MIB)),
    key("storage.compaction_interval_min", Number(10, 0, 1_440)),
    key("retention.cron", Text("17 3 * * *")),
    key("log.format", Text("text")),
    key("log.level", Text("info")),
];

/// The declared key nearest to an unknown one, when it is near enough to be what was meant.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let candidates = DECLARED.iter().map(|k| {
        let last = |n: &'static str| n.rsplit('.').next().unwrap_or(n);
        let whole = distance(name, k.name);
        let part = distance(name.rsplit('.').next().unwrap_or(name), last(k.name)) + 1;
        (whole.min(part), k.name)
    });
    let (steps, found) = candidates.min()?;
    (steps <= name.len() / 3 + 1).then_some(found)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replace = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}
