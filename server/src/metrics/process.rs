//! What the operating system counts of this process, under the names that Prometheus' own clients give it.
//!
//! Read whenever somebody asks for the metrics; what cannot be read is left out. Not here: what the service counts itself
//! (`metrics.rs` of each crate).

use std::{fmt, fs};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

/// Ticks of the kernel's clock in a second, as `/proc` shows them (USER_HZ): 100 on every architecture that Shoal is built for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Lets the registry show this process; its prefix is none.
pub(crate) fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(ThisProcess));
}

#[derive(Debug)]
struct ThisProcess;

/// What was seen of it.
struct Seen {
    cpu_seconds: f64,
    start_time_seconds: Option<f64>,
    resident_bytes: u64,
    virtual_bytes: u64,
    threads: u64,
    open_files: u64,
    open_files_max: Option<u64>,
}

/// Reads `/proc`, whose form is in proc(5).
fn look() -> Option<Seen> {
    let read = |path: &str| fs::read_to_string(path).ok();
    let (stat, status) = (read("/proc/self/stat")?, read("/proc/self/status")?);
    // The fields behind the name, which may hold blanks and brackets; the first of them is the third field.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let seconds = |field: usize| Some(fields.get(field - 3)?.parse::<f64>().ok()? / TICKS_PER_SECOND);
    let number = |name: &str| named(&status, name);
    let booted = || named(&read("/proc/stat")?, "btime");
    Some(Seen {
        cpu_seconds: seconds(14)? + seconds(15)?,
        // A sandbox may hide when the machine was booted.
        start_time_seconds: booted().and_then(|booted| Some(booted as f64 + seconds(22)?)),
        resident_bytes: number("VmRSS:")? * 1024,
        virtual_bytes: number("VmSize:")? * 1024,
        threads: number("Threads:")?,
        // Without the one of this directory itself.
        open_files: fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as u64,
        open_files_max: named(&read("/proc/self/limits")?, "Max open files"),
    })
}

/// The number behind a name at the beginning of a line.
fn named(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

impl Collector for ThisProcess {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let Some(seen) = look() else { return Ok(()) };
        let cpu = ConstCounter::new(seen.cpu_seconds);
        let help = "Processor time of the process";
        let place =
            encoder.encode_descriptor("process_cpu", help, Some(&Unit::Seconds), cpu.metric_type())?;
        cpu.encode(place)?;
        if let Some(seconds) = seen.start_time_seconds {
            let start = ConstGauge::new(seconds);
            let help = "When the process was started, since 1970";
            let unit = Some(&Unit::Seconds);
            start.encode(encoder.encode_descriptor(
                "process_start_time",
                help,
                unit,
                start.metric_type(),
            )?)?;
        }
        for (name, help, bytes) in [
            ("process_resident_memory", "Memory of the process that is resident", seen.resident_bytes),
            ("process_virtual_memory", "Address space of the process", seen.virtual_bytes),
        ] {
            let gauge = ConstGauge::new(bytes);
            let unit = Some(&Unit::Bytes);
            gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)?;
        }
        for (name, help, number) in [
            ("process_threads", "Threads of the process", Some(seen.threads)),
            ("process_open_fds", "Open file descriptors", Some(seen.open_files)),
            ("process_max_fds", "Most open file descriptors that the system allows", seen.open_files_max),
        ] {
            let Some(number) = number else { continue };
            let gauge = ConstGauge::new(number);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn this_process_is_shown_as_the_system_knows_it() {
        let mut registry = Registry::default();
        register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.split(' ').next() == Some(name));
            let line = line.unwrap_or_else(|| panic!("{name} is not shown:\n{text}"));
            line.split(' ').nth(1).unwrap().parse().unwrap()
        };
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!(value("process_cpu_seconds_total") < 86_400.0);
        assert!((now - value("process_start_time_seconds")).abs() < 86_400.0, "{text}");
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
        assert!(value("process_threads") >= 2.0);
        assert!(value("process_open_fds") >= 3.0 && value("process_open_fds") <= value("process_max_fds"));
    }
}
