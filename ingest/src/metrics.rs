//! The counters of this crate. All of them, and only here.
//!
//! Invariants: labels come from closed sets (protocol, outcome, code, region, reason); received = the sum over outcomes.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use shoal_privacy::work::Work;
use shoal_schemas::{Protocol, Region};

use crate::answer::BatchAnswer;

/// The code of an identifier that names nobody.
const PLACEHOLDER: &str = "placeholder_identifier";

/// Why a text was withheld as a whole: there were no steps left for it, or scrubbing it came to no end.
const SCRUB_STEPS: &str = "scrub_steps";
const UNSETTLED: &str = "unsettled";

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    protocol: &'static str,
    outcome: &'static str,
    code: &'static str,
}

/// Why a request was refused, or an identifier left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    protocol: &'static str,
    code: &'static str,
}

/// Why a text was withheld as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TextLabels {
    code: &'static str,
}

/// What clients have lost.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LossLabels {
    reason: &'static str,
    category: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RegionLabels {
    region: &'static str,
}

/// Where events are kept, and how they came.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeptLabels {
    region: &'static str,
    protocol: &'static str,
}

/// What is counted and measured; clones count into the same.
#[derive(Clone)]
pub struct Metrics {
    events: Family<EventLabels, Counter>,
    kept: Family<KeptLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    dropped_properties: Counter,
    skipped_items: Counter,
    identifiers: Family<RefusalLabels, Counter>,
    withheld_texts: Family<TextLabels, Counter>,
    pub(crate) turn_seconds: Histogram,
    client_losses: Family<LossLabels, Counter>,
    pub(crate) ack_seconds: Histogram,
    pub(crate) log_sync_seconds: Histogram,
    pub(crate) log_group_bytes: Histogram,
    pub(crate) log_written_bytes: Counter,
    pub(crate) in_flight_bytes: Gauge,
    pub(crate) refused_full: Counter,
    pub(crate) refused_disk_full: Counter,
    segments: Family<RegionLabels, Gauge>,
    dedup_ids: Family<RegionLabels, Gauge>,
    dedup_runs: Family<RegionLabels, Gauge>,
    dedup_filter_bytes: Family<RegionLabels, Gauge>,
    pub(crate) flush_rows: Counter,
    pub(crate) flush_bytes: Counter,
    pub(crate) flush_seconds: Histogram,
    pub(crate) open_days: Gauge,
    pub(crate) day_counts_bytes: Gauge,
    pub(crate) day_open_seconds: Histogram,
}

impl Metrics {
    /// Declares all of them.
    pub fn register(registry: &mut Registry) -> Metrics {
        let latencies = || Histogram::new(exponential_buckets(0.000_1, 2.0, 18));
        let metrics = Metrics {
            events: Family::default(),
            kept: Family::default(),
            refusals: Family::default(),
            dropped_properties: Counter::default(),
            skipped_items: Counter::default(),
            identifiers: Family::default(),
            withheld_texts: Family::default(),
            turn_seconds: latencies(),
            client_losses: Family::default(),
            ack_seconds: latencies(),
            log_sync_seconds: latencies(),
            log_group_bytes: Histogram::new(exponential_buckets(256.0, 4.0, 9)),
            log_written_bytes: Counter::default(),
            in_flight_bytes: Gauge::default(),
            refused_full: Counter::default(),
            refused_disk_full: Counter::default(),
            segments: Family::default(),
            dedup_ids: Family::default(),
            dedup_runs: Family::default(),
            dedup_filter_bytes: Family::default(),
            flush_rows: Counter::default(),
            flush_bytes: Counter::default(),
            flush_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            open_days: Gauge::default(),
            day_counts_bytes: Gauge::default(),
            day_open_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
        };
        // A counter that comes to be with its first text has grown by nothing in the eyes of an alert.
        for code in [SCRUB_STEPS, UNSETTLED] {
            metrics.withheld_texts.get_or_create(&TextLabels { code }).inc_by(0);
        }
        metrics.declare_requests(registry);
        metrics.declare_log(registry);
        metrics.declare_days(registry);
        metrics
    }

    fn declare_requests(&self, registry: &mut Registry) {
        registry.register("ingest_events", "Events by what became of them", self.events.clone());
        let help = "Events that were kept, by region and protocol";
        registry.register("ingest_kept_events", help, self.kept.clone());
        registry.register("ingest_refusals", "Requests refused as a whole", self.refusals.clone());
        registry.register(
            "ingest_dropped_properties",
            "Properties that were not kept",
            self.dropped_properties.clone(),
        );
        registry.register(
            "ingest_skipped_items",
            "Sentry items that are no event",
            self.skipped_items.clone(),
        );
        registry.register(
            "ingest_left_out_identifiers",
            "Identifiers that were taken for none, by why",
            self.identifiers.clone(),
        );
        registry.register(
            "ingest_withheld_texts",
            "Texts that were withheld as a whole, because scrubbing them took too much",
            self.withheld_texts.clone(),
        );
        registry.register(
            "ingest_client_losses",
            "What Sentry SDKs say that they have discarded",
            self.client_losses.clone(),
        );
        registry.register_with_unit(
            "ingest_turn",
            "From the body of a request to its turn",
            Unit::Seconds,
            self.turn_seconds.clone(),
        );
        registry.register_with_unit(
            "ingest_ack",
            "From the parsed request to the durable answer",
            Unit::Seconds,
            self.ack_seconds.clone(),
        );
        registry.register_with_unit(
            "ingest_in_flight",
            "Requests and batches in memory",
            Unit::Bytes,
            self.in_flight_bytes.clone(),
        );
    }

    fn declare_log(&self, registry: &mut Registry) {
        let unit = |registry: &mut Registry, name: &str, help: &str, unit: Unit, metric: &Histogram| {
            registry.register_with_unit(name, help, unit, metric.clone());
        };
        unit(
            registry,
            "ingest_log_sync",
            "Compressing, writing and syncing a group",
            Unit::Seconds,
            &self.log_sync_seconds,
        );
        unit(registry, "ingest_log_group", "Rows made durable together", Unit::Bytes, &self.log_group_bytes);
        unit(registry, "ingest_flush", "Sealed segments into the tables", Unit::Seconds, &self.flush_seconds);
        let bytes = [
            ("ingest_log_written", "Written to the logs", &self.log_written_bytes),
            ("ingest_flush_written", "Parquet written", &self.flush_bytes),
        ];
        for (name, help, metric) in bytes {
            registry.register_with_unit(name, help, Unit::Bytes, metric.clone());
        }
        let counters = [
            ("ingest_flush_rows", "Events committed to the tables", &self.flush_rows),
            ("ingest_log_full", "Requests refused: too many bytes in flight", &self.refused_full),
            ("ingest_disk_full", "Batches refused: disk nearly full", &self.refused_disk_full),
        ];
        for (name, help, metric) in counters {
            registry.register(name, help, metric.clone());
        }
        let gauges = [
            ("ingest_segments", "Sealed segments that wait for the tables", &self.segments),
            ("ingest_dedup_ids", "Event ids remembered in runs", &self.dedup_ids),
            ("ingest_dedup_runs", "Runs of event ids", &self.dedup_runs),
        ];
        for (name, help, metric) in gauges {
            registry.register(name, help, metric.clone());
        }
        registry.register_with_unit(
            "ingest_dedup_filter",
            "Memory of the filters over event ids",
            Unit::Bytes,
            self.dedup_filter_bytes.clone(),
        );
    }

    fn declare_days(&self, registry: &mut Registry) {
        registry.register(
            "ingest_open_days",
            "Days of tables whose counts are in memory",
            self.open_days.clone(),
        );
        registry.register_with_unit(
            "ingest_day_counts",
            "Memory of the counts of days",
            Unit::Bytes,
            self.day_counts_bytes.clone(),
        );
        registry.register_with_unit(
            "ingest_day_open",
            "Counting a day whose counts are not in memory",
            Unit::Seconds,
            self.day_open_seconds.clone(),
        );
    }

    /// Counts an answer that was given.
    pub(crate) fn count_answer(&self, protocol: Protocol, answer: &BatchAnswer) {
        let protocol = protocol.as_str();
        let add = |outcome, code, count: u64| {
            if count > 0 {
                let labels = EventLabels { protocol, outcome, code };
                self.events.get_or_create(&labels).inc_by(count);
            }
        };
        add("accepted", "", answer.accepted);
        add("duplicate", "", answer.duplicate);
        if answer.accepted + answer.duplicate < answer.received {
            for outcome in &answer.events {
                if let Some(code) = outcome.code() {
                    add(outcome.status(), code, 1);
                }
            }
        }
        self.dropped_properties.inc_by(answer.dropped_properties);
        self.skipped_items.inc_by(answer.skipped_items);
        if answer.placeholder_identifiers > 0 {
            let labels = RefusalLabels { protocol, code: PLACEHOLDER };
            self.identifiers.get_or_create(&labels).inc_by(answer.placeholder_identifiers);
        }
        for loss in &answer.client_losses {
            let labels = LossLabels { reason: loss.reason, category: loss.category };
            self.client_losses.get_or_create(&labels).inc_by(loss.quantity);
        }
    }

    /// Counts events that are kept in a region.
    pub(crate) fn count_kept(&self, region: Region, protocol: Protocol, events: u64) {
        if events > 0 {
            let (region, protocol) = (region.as_str(), protocol.as_str());
            self.kept.get_or_create(&KeptLabels { region, protocol }).inc_by(events);
        }
    }

    /// How many events were kept in a region by this protocol since the start.
    pub(crate) fn kept(&self, region: Region, protocol: Protocol) -> u64 {
        let (region, protocol) = (region.as_str(), protocol.as_str());
        self.kept.get(&KeptLabels { region, protocol }).map_or(0, |kept| kept.get())
    }

    /// Counts the texts that scrubbing has withheld as a whole.
    pub(crate) fn count_withheld_texts(&self, work: &Work) {
        for (code, texts) in [(SCRUB_STEPS, work.unscanned()), (UNSETTLED, work.unsettled())] {
            if texts > 0 {
                self.withheld_texts.get_or_create(&TextLabels { code }).inc_by(texts);
            }
        }
    }

    /// Counts a refusal of a whole request.
    pub(crate) fn count_refusal(&self, protocol: Protocol, code: &'static str) {
        let protocol = protocol.as_str();
        self.refusals.get_or_create(&RefusalLabels { protocol, code }).inc();
    }

    /// What a region's log and runs hold.
    pub(crate) fn set_held(&self, region: Region, segments: u64, runs: crate::dedup::RunsSize) {
        let labels = RegionLabels { region: region.as_str() };
        let set = |family: &Family<RegionLabels, Gauge>, value: u64| {
            family.get_or_create(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.segments, segments);
        set(&self.dedup_ids, runs.keys);
        set(&self.dedup_runs, runs.runs);
        set(&self.dedup_filter_bytes, runs.filter_bytes);
    }
}
