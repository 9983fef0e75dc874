//! Connections, from the first byte to the last: how many there may be, and how long each may take for what.
//!
//! ```text
//! socket -> gate (a seat, or none) -> TLS -> line (what it does since when) -> HTTP library -> requests (around each) -> routes
//! ```
//! A connection is a *stranger's* until a valid key has come on it. Strangers are many and may be hostile: their number is bounded
//! for each network, and when there is no room it is a stranger who goes: the oldest who was answered, else the oldest. Whoever has a
//! valid key is never closed for want of room. Some seats beyond all others are for health checks and nothing else.
//!
//! Invariants: no connection is open without a limit of time, whatever its client sends or does not; a refusal before the end of a
//! body ends the connection; no address is in a log line or a metric.
//! Not here: limits on bodies that a route reads (`body.rs`), when requests are refused for overload (`shoal-ingest`, `admission`).
//!
//! - `network`: who counts as one client; `gate`: seats; `times`: when a connection is late, as a pure function
//! - `line`: one connection's seat and times; `stream`: its bytes, counted; `serve`: all together, as a server
//! - `requests`: what happens around each request; `failing`: who presents wrong keys waits

mod failing;
mod gate;
mod line;
mod network;
mod requests;
mod serve;
mod stream;
mod times;

pub(crate) use failing::FailingKeys;
pub(super) use gate::{Bounds, Gate};
pub(super) use line::Line;
pub(super) use requests::around;
pub(super) use serve::{Entrance, limits, serve};
