//! The arguments of `shoal-load`.

use clap::Parser;

/// What to send, how fast, for how long.
#[derive(Parser, Clone)]
#[command(
    name = "shoal-load",
    about = "Sends events to a running Shoal and reports throughput, latency, CPU and memory."
)]
pub(crate) struct Arguments {
    /// Address of the server, `host:port`. Plain HTTP.
    #[arg(long, default_value = "127.0.0.1:8750")]
    pub(crate) address: String,
    /// Ingest key, `id.secret`; it must allow all four regions, or the ones in --regions.
    #[arg(long, env = "SHOAL_KEY", hide_env_values = true)]
    pub(crate) key: String,
    /// Events per second over all connections; 0 sends as fast as answers come.
    #[arg(long, default_value_t = 0)]
    pub(crate) rate: u64,
    /// Events in one request.
    #[arg(long, default_value_t = 100)]
    pub(crate) batch: usize,
    /// Connections, one thread each.
    #[arg(long, default_value_t = 16)]
    pub(crate) connections: usize,
    /// Seconds to send for.
    #[arg(long, default_value_t = 30)]
    pub(crate) seconds: u64,
    /// Seconds at the start that are sent but not counted.
    #[arg(long, default_value_t = 2)]
    pub(crate) warmup: u64,
    /// Process id of the server, to report its CPU time and peak memory.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// Countries that events come from.
    #[arg(long, value_delimiter = ',', default_value = "US,DE,SG,MY")]
    pub(crate) countries: Vec<String>,
    /// Distinct subjects.
    #[arg(long, default_value_t = 200_000)]
    pub(crate) subjects: u64,
}
