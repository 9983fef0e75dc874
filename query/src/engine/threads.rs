//! Threads of the engine's own, which come after those that take events.

/// Niceness of the query threads: ingestion has the processor first.
const NICE: i32 = 10;

/// Lets the calling thread come after those that take events, where the system allows it.
fn yield_to_others() {
    // Elsewhere it would be the priority of the whole process. A system that refuses runs queries as before.
    if cfg!(target_os = "linux") {
        let _ = rustix::process::setpriority_process(None, NICE);
    }
}

/// Threads of the engine's own. Without them (the system gives none) the caller's take the work.
pub(super) fn threads(name: &str, count: usize) -> Option<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(count.max(1)).thread_name(name).on_thread_start(yield_to_others);
    builder.enable_all().build().ok()
}
