//! Where queries run: a memory pool and threads of their own, and sessions that start empty.
//!
//! Invariants: no session has a catalogue, a table function or a way to a file that a text could name; it has
//! no functions by name at all. Nothing is spilled to disk.
//! Not here: limits of time and number (`pool`; `shoal-query`, `engine.rs`).

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

/// A memory pool of its own, no disk.
pub fn runtime(memory_bytes_max: usize) -> Result<Arc<RuntimeEnv>> {
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory_bytes_max)))
        .with_disk_manager_builder(disk)
        .build_arc()
}

/// A session that can read and aggregate, for the templates.
pub fn empty(runtime: &Arc<RuntimeEnv>, threads: usize) -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(threads.max(1)).with_information_schema(false);
    let state = SessionStateBuilder::new().with_config(config).with_runtime_env(Arc::clone(runtime)).build();
    SessionContext::new_with_state(state)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_session_knows_no_names() {
        let runtime = runtime(1 << 20).unwrap();
        let state = empty(&runtime, 1).state();
        assert!(state.scalar_functions().is_empty() && state.aggregate_functions().is_empty());
        assert!(state.window_functions().is_empty() && state.table_functions().is_empty());
        assert!(empty(&runtime, 1).sql("SELECT * FROM information_schema.tables").await.is_err());
    }
}
