//! Log lines: text or JSON, to standard error.
//!
//! Invariants: no line holds a body, a header, a query string, an address or a key. HTTP and table libraries write such
//! things at their lower levels, so only Shoal's own targets ever go below `warn`, whatever the configuration says; and a
//! panic is reported by its place alone, because its message may quote a value.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, reload};

use crate::config::{LogConfig, LogFormat};

/// Lines of which target are written at which level.
fn filter(level: tracing::Level) -> Targets {
    let foreign = LevelFilter::WARN.min(LevelFilter::from_level(level));
    // A library that quotes its input in warnings, or logs the calls that led to its errors, is silent. The errors themselves
    // come to us all the same.
    let quiet = ["actix_http", "buoyant_kernel", "h2", "rustls", "datafusion", "sqlparser"]
        .map(|t| (t, LevelFilter::OFF));
    Targets::new()
        .with_default(foreign)
        .with_target("shoal", LevelFilter::from_level(level))
        .with_targets(quiet)
}

/// The level of the lines, which can be changed while the process runs.
pub struct Level(reload::Handle<Targets, Registry>);

impl Level {
    /// From now on lines of this level are written.
    pub(crate) fn set(&self, level: tracing::Level) {
        // It fails when the lines of this process go elsewhere: then their level is somebody else's.
        let _ = self.0.reload(filter(level));
    }
}

/// Sends all lines of this process to standard error. A second call changes nothing.
pub fn start(config: &LogConfig) -> Level {
    let (filter, handle) = reload::Layer::new(filter(config.level));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let _ = match config.format {
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
        LogFormat::Text => registry.with(layer.with_ansi(false)).try_init(),
    };
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
        tracing::error!(place, "defect: a task has panicked");
    }));
    Level(handle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn at_trace_level_only_shoal_is_talkative() {
        let filter = filter(Level::TRACE);
        assert!(filter.would_enable("shoal_server::routes", &Level::TRACE));
        assert!(filter.would_enable("shoal_ingest", &Level::DEBUG));
        for target in ["hyper", "actix_web::middleware", "object_store", "deltalake_core", "ureq", "mio"] {
            assert!(!filter.would_enable(target, &Level::INFO), "{target}");
            assert!(filter.would_enable(target, &Level::WARN), "{target}");
        }
        for target in [
            "buoyant_kernel::log_segment",
            "h2::codec",
            "actix_http::h1::decoder",
            "datafusion_sql",
            "sqlparser::parser",
        ] {
            assert!(!filter.would_enable(target, &Level::DEBUG), "{target}");
        }
        assert!(!super::filter(Level::ERROR).would_enable("mio", &Level::WARN));
    }
}
