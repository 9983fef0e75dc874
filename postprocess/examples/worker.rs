//! The worker process alone, for this crate's tests; people's is `shoal worker`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let limits = std::env::args().nth(2).and_then(|limits| serde_json::from_str(&limits).ok());
    match limits.map(shoal_postprocess::run_worker) {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(_)) | None => ExitCode::FAILURE,
    }
}
