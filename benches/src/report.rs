//! The figures of a run, and how they are printed.

use hdrhistogram::Histogram;

/// What a run came to. Latencies are in microseconds from the moment a request was due.
pub(crate) struct Report {
    pub(crate) seconds: f64,
    pub(crate) requests: u64,
    pub(crate) accepted: u64,
    pub(crate) bytes: u64,
    pub(crate) overload: u64,
    pub(crate) failed: u64,
    pub(crate) first_failure: Option<String>,
    /// Of requests that were taken.
    pub(crate) latency: Histogram<u64>,
    /// Of requests that were refused for overload.
    pub(crate) refused: Histogram<u64>,
    pub(crate) server_cpu_s: Option<f64>,
    pub(crate) server_peak_mib: Option<f64>,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let accepted = self.accepted as f64;
        let of = |latency: &Histogram<u64>, q: f64| latency.value_at_quantile(q) as f64 / 1000.0;
        let ms = |q: f64| of(&self.latency, q);
        writeln!(
            f,
            "events/s     {:>12.0}   ({} accepted in {:.1} s)",
            accepted / self.seconds,
            self.accepted,
            self.seconds
        )?;
        writeln!(f, "MB/s         {:>12.1}   (request bodies)", self.bytes as f64 / self.seconds / 1e6)?;
        writeln!(
            f,
            "ack ms       p50 {:.2}   p99 {:.2}   p99.9 {:.2}   max {:.2}",
            ms(0.5),
            ms(0.99),
            ms(0.999),
            ms(1.0)
        )?;
        writeln!(
            f,
            "requests     {:>12}   overload {}   failed {}",
            self.requests, self.overload, self.failed
        )?;
        if self.overload > 0 {
            let ms = |q: f64| of(&self.refused, q);
            writeln!(f, "refused ms   p50 {:.2}   p99 {:.2}   max {:.2}", ms(0.5), ms(0.99), ms(1.0))?;
        }
        if let Some(cpu) = self.server_cpu_s {
            writeln!(
                f,
                "server CPU   {:>12.2}   us an event ({:.2} cores)",
                cpu * 1e6 / accepted.max(1.0),
                cpu / self.seconds
            )?;
        }
        if let Some(peak) = self.server_peak_mib {
            writeln!(f, "server peak  {:>12.0}   MiB resident", peak)?;
        }
        if let Some(first) = &self.first_failure {
            writeln!(f, "first failure: {first}")?;
        }
        Ok(())
    }
}
