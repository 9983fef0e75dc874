//! Confines a worker: it cannot reach a file or the network, start a process, leave a core file or use more memory than it
//! was given.
//!
//! Invariants: limits are hard ones and are set before the worker reads its first byte. Landlock needs Linux 5.13 or newer.
//! Where it is missing, the resource limits still hold (no file can grow, few can be open), and the parent's log says so.
//! Not here: limits of time, for which the parent kills the worker (`pool`).

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetError, RulesetStatus, Scope};
use rustix::process::{Resource, Rlimit, setrlimit};

/// Open files: the three pipes and a few of the runtime's own.
const FILES_MAX: u64 = 16;

/// Takes files, the network and other processes out of reach of this thread and the threads it starts. Returns how much of
/// that the kernel enforces.
pub(super) fn reach() -> &'static str {
    let restricted = || -> Result<RulesetStatus, RulesetError> {
        let rules = Ruleset::default()
            .handle_access(AccessFs::from_all(ABI::V6))?
            .handle_access(AccessNet::from_all(ABI::V6))?
            .scope(Scope::from_all(ABI::V6))?;
        Ok(rules.create()?.restrict_self()?.ruleset)
    };
    match restricted() {
        Ok(RulesetStatus::FullyEnforced) => "all",
        Ok(RulesetStatus::PartiallyEnforced) => "part",
        Ok(RulesetStatus::NotEnforced) | Err(_) => "none",
    }
}

/// Limits this process.
///
/// # Errors
/// The operating system's error when it does not accept a limit.
pub(super) fn resources(memory_bytes_max: u64) -> std::io::Result<()> {
    let limits = [
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, FILES_MAX),
        (Resource::Nproc, 0),
        (Resource::As, memory_bytes_max),
    ];
    for (resource, most) in limits {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn files_and_the_network_are_out_of_reach_where_the_kernel_can() {
        // Landlock holds for the thread that asks for it.
        let done = std::thread::spawn(|| {
            let listening = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listening.local_addr().unwrap();
            let reach = reach();
            let can_read = std::fs::read("/proc/self/exe").is_ok() || std::fs::read("/etc/passwd").is_ok();
            let can_list = std::fs::read_dir("/").is_ok();
            (reach, can_read, can_list, std::net::TcpStream::connect(address).is_ok())
        });
        let (reach, can_read, can_list, can_connect) = done.join().unwrap();
        assert_eq!((can_read, can_list), (reach == "none", reach == "none"), "{reach}");
        assert!(reach != "all" || !can_connect);
    }
}
