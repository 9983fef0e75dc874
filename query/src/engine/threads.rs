//! Threads of the engine's own, which come after those that take events: those that read statements, and those of queries.

use std::future::Future;

use tokio::runtime::Runtime;
use tokio::task::JoinError;
use tokio::time::Instant;
use tokio::time::error::Elapsed;

use super::job::CancelOnDrop;
use crate::error::{NoAnswer, QueryError};
use crate::failure::Failure;
use crate::release::Ready;

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
pub(super) fn threads(name: &str, count: usize) -> Option<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(count.max(1)).thread_name(name).on_thread_start(yield_to_others);
    builder.enable_all().build().ok()
}

/// Runs on the readers' threads until the deadline; whoever stops waiting stops it. Nothing that runs there is charged.
pub(super) async fn on_readers<T: Send + 'static>(
    readers: Option<&Runtime>,
    work: impl Future<Output = T> + Send + 'static,
    deadline: Instant,
) -> Result<T, NoAnswer> {
    match until(readers, work, deadline).await {
        Ok(Ok(done)) => Ok(done),
        // A panic ends the question, as it does later, and not the connection that it came by.
        Ok(Err(error)) if error.is_panic() => Err(Failure::Panic.into()),
        Ok(Err(_)) | Err(_) => Err(QueryError::Busy.into()),
    }
}

/// Runs on the threads of queries until the deadline; whoever stops waiting stops it.
pub(super) async fn on_queries(
    queries: Option<&Runtime>,
    work: impl Future<Output = Result<Ready, NoAnswer>> + Send + 'static,
    deadline: Instant,
) -> Result<Ready, NoAnswer> {
    match until(queries, work, deadline).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Err(Failure::of_task(&error).into()),
        Err(_) => Err(Failure::Time.into()),
    }
}

async fn until<T: Send + 'static>(
    threads: Option<&Runtime>,
    work: impl Future<Output = T> + Send + 'static,
    deadline: Instant,
) -> Result<Result<T, JoinError>, Elapsed> {
    let handle = match threads {
        Some(threads) => threads.spawn(work),
        None => tokio::spawn(work),
    };
    let _cancel = CancelOnDrop(handle.abort_handle());
    tokio::time::timeout_at(deadline, handle).await
}
