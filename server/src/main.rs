//! The binary `shoal`. Everything it does is in the library, so that tests can do it too.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// It gives memory back, and keeps much less of it for each thread than glibc's (ADR 32).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    shoal_server::cli::main()
}
