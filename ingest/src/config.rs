//! Settings of ingestion, with the defaults that suit one machine.
//!
//! Not here: where they are read from (`shoal-server`, `config/`; it takes the defaults from here), what may be collected (`shoal-schemas`).

use std::{path::PathBuf, time::Duration};

use shoal_privacy::pseudonym::PseudonymEpoch;

use crate::error::IngestError;

/// All settings of this crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestConfig {
    /// Root of the logs and the event-id runs; each region has a directory of its own below it.
    pub data_dir: PathBuf,
    /// What a request may be, and how long a pseudonym lives.
    pub pipeline: PipelineConfig,
    /// How many requests are judged at one time, and how long the others wait.
    pub admission: AdmissionConfig,
    /// The write-ahead log.
    pub log: LogConfig,
    /// How resends are recognised.
    pub dedup: DedupConfig,
    /// How much of one subject's day is kept.
    pub day_limit: DayLimitConfig,
    /// The keys of the units of events that name nobody.
    pub unit_keys: UnitKeyConfig,
    /// Grants of consent that one address may send in a minute with one shipped key.
    pub grants_per_min: u32,
    /// Events wait for the tables this long, ms, unless a segment is full before.
    pub flush_interval_ms: u64,
}

/// Settings of the pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineConfig {
    /// What a request may be, at the most.
    pub limits: Limits,
    /// How long a pseudonym lives.
    pub epochs: Epochs,
}

/// How long a pseudonym lives, and from when on spellings of one identifier have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epochs {
    /// Days after which a subject gets another pseudonym.
    pub days: u32,
    /// A day since 1970-01-01. In pseudonym epochs that begin on it or later, pseudonyms are of the canonical form of an
    /// identifier; in earlier ones, of the identifier as it is spelled.
    pub canonical_from_day: i32,
}

impl Epochs {
    /// The first day of the epoch after the one of this day.
    pub fn next_first_day(days: u32, day: i32) -> i32 {
        let days = i32::try_from(days.max(1)).unwrap_or(i32::MAX);
        (day.max(0) / days).saturating_add(1).saturating_mul(days)
    }

    pub(crate) fn is_canonical(self, epoch: PseudonymEpoch) -> bool {
        i64::from(epoch.0) * i64::from(self.days.max(1)) >= i64::from(self.canonical_from_day)
    }
}

/// What a request may be, at the most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body as it comes over the wire.
    pub body_bytes_max: usize,
    /// Bytes of a body when decompressed.
    pub inflated_bytes_max: usize,
    /// How many times larger than on the wire.
    pub ratio_max: usize,
    /// Logarithm (base 2) of the largest zstd window.
    pub zstd_window_log_max: u32,
    /// Events in a batch; Sentry items in an envelope.
    pub events_max: usize,
    /// Properties of an event, declared or not.
    pub properties_max: usize,
    /// Bytes of one string.
    pub string_bytes_max: usize,
    /// How deep values nest.
    pub depth_max: usize,
    /// JSON values in a body; bounds the memory that parsing takes.
    pub values_max: usize,
    /// Steps that looking at a request's texts may take (`shoal_privacy::work::Work`). Texts beyond it are withheld as a
    /// whole.
    pub scrub_steps_max: u64,
}

/// How many are judged at one time, and how long the others wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionConfig {
    /// Requests that are judged at one time, each on a thread of its own.
    pub turns: usize,
    /// Requests that wait, at the most.
    pub waiting_max: usize,
    /// The longest wait, when a turn was free within such a time.
    pub wait: Duration,
    /// The longest wait when none was.
    pub standing_wait: Duration,
}

/// The write-ahead log of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Size of a segment file, and of the rows in it before compression, bytes. Reading one back takes about twice this.
    pub segment_bytes_max: u64,
    /// Rows that are made durable together, bytes.
    pub group_bytes_max: usize,
    /// Batches that wait for a region's writer.
    pub queue_batches_max: usize,
    /// Bytes of requests and batches in memory, all regions together; above it requests are refused.
    pub in_flight_bytes_max: u64,
    /// Requests are refused when the disk has less than this left, bytes.
    pub free_bytes_min: u64,
    /// Whether new segments are encrypted. Those that are there are read either way.
    pub is_encrypted: bool,
}

/// How resends are recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DedupConfig {
    /// A resend within this time is counted once, hours.
    pub window_h: u32,
    /// Memory of the filters over older event ids, bytes, all regions together. A million ids take 1.13 MB of it; beyond
    /// it lookups read the disk more.
    pub filter_bytes_max: u64,
    /// Whether new runs of event ids are encrypted. Those that are there are read either way.
    pub is_encrypted: bool,
}

/// How much of one subject's day is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayLimitConfig {
    /// Most events of one subject on one UTC day in one table of one region. So one subject's day is never more rows than
    /// this, whatever is sent, and whoever bounds what one subject can change may use it.
    pub events_max: u32,
    /// Memory of the counts of days, bytes, all regions together. What is beyond it leaves by whole days and is counted
    /// anew when it is needed; days that are being written to stay.
    pub counts_bytes_max: u64,
}

/// The keys of the units of events that name nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitKeyConfig {
    /// Their directory. Outside of `data_dir`: a copy of the data must not have them.
    pub dir: PathBuf,
    /// Days after a day until its key is destroyed.
    pub late_days: u32,
}

impl UnitKeyConfig {
    /// The default of `late_days`.
    pub const LATE_DAYS: u32 = 3;
}

impl Default for UnitKeyConfig {
    fn default() -> UnitKeyConfig {
        UnitKeyConfig { dir: PathBuf::from("unit-keys"), late_days: UnitKeyConfig::LATE_DAYS }
    }
}

impl IngestConfig {
    /// The default of `flush_interval_ms`.
    pub const FLUSH_INTERVAL_MS: u64 = 10_000;
    /// The default of `grants_per_min`.
    pub const GRANTS_PER_MIN: u32 = 120;
}

impl Default for IngestConfig {
    fn default() -> IngestConfig {
        IngestConfig {
            data_dir: PathBuf::from("data"),
            pipeline: PipelineConfig::default(),
            admission: AdmissionConfig::DEFAULT,
            log: LogConfig::default(),
            dedup: DedupConfig::default(),
            day_limit: DayLimitConfig::default(),
            unit_keys: UnitKeyConfig::default(),
            grants_per_min: IngestConfig::GRANTS_PER_MIN,
            flush_interval_ms: IngestConfig::FLUSH_INTERVAL_MS,
        }
    }
}

impl AdmissionConfig {
    /// The defaults. A wait of a fiftieth of a second keeps two turns taken, and leaves most of half a second for judging and for
    /// the disk.
    pub const DEFAULT: AdmissionConfig = AdmissionConfig {
        turns: 2,
        waiting_max: 512,
        wait: Duration::from_millis(100),
        standing_wait: Duration::from_millis(20),
    };
}

impl PipelineConfig {
    /// The defaults.
    pub const DEFAULT: PipelineConfig =
        PipelineConfig { limits: Limits::DEFAULT, epochs: Epochs { days: 90, canonical_from_day: 0 } };
}

impl Default for PipelineConfig {
    fn default() -> PipelineConfig {
        PipelineConfig::DEFAULT
    }
}

impl Limits {
    /// The defaults.
    pub const DEFAULT: Limits = Limits {
        body_bytes_max: 2 << 20,
        inflated_bytes_max: 16 << 20,
        ratio_max: 100,
        zstd_window_log_max: 23,
        events_max: 5_000,
        properties_max: 64,
        string_bytes_max: 64 << 10,
        depth_max: 24,
        values_max: 400_000,
        scrub_steps_max: 100_000_000,
    };
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}

impl LogConfig {
    /// The defaults.
    pub const DEFAULT: LogConfig = LogConfig {
        segment_bytes_max: 16 << 20,
        group_bytes_max: 1 << 20,
        queue_batches_max: 4096,
        in_flight_bytes_max: 32 << 20,
        free_bytes_min: 1 << 30,
        is_encrypted: true,
    };
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig::DEFAULT
    }
}

impl DedupConfig {
    /// The defaults.
    pub const DEFAULT: DedupConfig =
        DedupConfig { window_h: 48, filter_bytes_max: 96 << 20, is_encrypted: true };
}

impl Default for DedupConfig {
    fn default() -> DedupConfig {
        DedupConfig::DEFAULT
    }
}

impl DayLimitConfig {
    /// The defaults.
    pub const DEFAULT: DayLimitConfig = DayLimitConfig { events_max: 5_000, counts_bytes_max: 128 << 20 };
}

impl Default for DayLimitConfig {
    fn default() -> DayLimitConfig {
        DayLimitConfig::DEFAULT
    }
}

impl IngestConfig {
    /// Whether the settings make sense together.
    ///
    /// # Errors
    /// Which one does not, and what it must be.
    pub fn check(&self) -> Result<(), IngestError> {
        let log = &self.log;
        let rules = [
            (
                (1 << 16..=1 << 30).contains(&log.segment_bytes_max),
                "log.segment_bytes_max must be 65536 to 1073741824",
            ),
            (
                log.group_bytes_max > 0 && (log.group_bytes_max as u64) <= log.segment_bytes_max / 4,
                "log.group_bytes_max must be 1 to a quarter of log.segment_bytes_max",
            ),
            (
                log.queue_batches_max > 0 && log.in_flight_bytes_max > 0,
                "log.queue_batches_max and log.in_flight_bytes_max must be at least 1",
            ),
            ((1..=24 * 365).contains(&self.dedup.window_h), "dedup.window_h must be 1 to 8760"),
            (self.day_limit.events_max > 0, "day_limit.events_max must be at least 1"),
            (self.admission.turns > 0, "admission.turns must be at least 1"),
            (self.grants_per_min > 0, "grants_per_min must be at least 1"),
            ((1..=86_400_000).contains(&self.flush_interval_ms), "flush_interval_ms must be 1 to 86400000"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(IngestError::Config((*rule).to_owned())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_form_begins_with_an_epoch() {
        let first = Epochs::next_first_day(90, 20_779);
        assert_eq!((first % 90, first > 20_779, first - 20_779 <= 90), (0, true, true));
        let epochs = Epochs { days: 90, canonical_from_day: first };
        let of_day = |day| epochs.is_canonical(PseudonymEpoch::of_day(day, 90));
        assert_eq!([first - 91, first - 1, first, first + 90].map(of_day), [false, false, true, true]);
        // Another length of epochs later: the first one that begins after that day.
        let epochs = Epochs { days: 30, canonical_from_day: first + 1 };
        assert!(!epochs.is_canonical(PseudonymEpoch::of_day(first + 2, 30)));
        assert!(epochs.is_canonical(PseudonymEpoch::of_day(first + 31, 30)));
    }

    #[test]
    fn the_defaults_make_sense_and_nonsense_is_refused() {
        assert!(IngestConfig::default().check().is_ok());
        let mut config = IngestConfig::default();
        config.log.group_bytes_max = config.log.segment_bytes_max as usize;
        assert!(matches!(config.check(), Err(IngestError::Config(text)) if text.contains("group_bytes_max")));
        config = IngestConfig::default();
        config.dedup.window_h = 0;
        assert!(config.check().is_err());
    }
}
