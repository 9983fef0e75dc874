//! What this process tells the operating system about itself: its files are for nobody else, and its memory goes to no file.
//!
//! A process that holds the region's secrets leaves no core file: its limit is none, and it is not dumpable, so that a
//! program to which the system hands dumps gets none either. The second also keeps the processes of the same account, which
//! are not root, from reading this one's memory. A worker is another program run and holds no secret; it confines itself.
//! Not here: the modes of files that are there already (`shoal-files`, `modes`), workers (`shoal-postprocess`).

use std::path::Path;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};

use crate::error::Error;

/// What others than the owner may do with a new file: nothing.
const MASK: u32 = 0o077;

/// Closes new files to others. To be called before any file is made.
pub(crate) fn close_files() {
    umask(Mode::from_raw_mode(MASK));
}

/// Keeps this process's memory out of every file. To be called before a secret is read.
///
/// # Errors
/// When the system refuses.
pub(crate) fn leave_no_core() -> Result<(), Error> {
    let refused = |e: rustix::io::Errno| Error::Service(format!("core files cannot be turned off: {e}"));
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).map_err(refused)?;
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(refused)?;
    }
    Ok(())
}

/// Lets this process open as many files as the system allows it, where the usual limit is lower: each connection is one.
pub(crate) fn allow_files() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    // Whoever may not stays with the usual limit, which `open_files_max` tells.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// How many files this process may have open.
pub(crate) fn open_files_max() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rustix::process::{DumpableBehavior, dumpable_behavior};

    #[test]
    fn the_memory_of_this_process_goes_nowhere_and_its_workers_program_is_still_found() {
        leave_no_core().unwrap();
        let core = getrlimit(Resource::Core);
        assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        // What the service reads of itself, and what it starts workers from.
        assert!(std::fs::read_link("/proc/self/exe").is_ok());
        assert!(std::fs::read_to_string("/proc/self/status").is_ok());
        let listed = std::process::Command::new("/proc/self/exe").arg("--list").output().unwrap();
        assert!(listed.status.success());
    }
}

/// What earlier versions, other programs and restored copies have left open is for nobody else any more.
pub(crate) fn close_to_others(dir: &Path) {
    match shoal_files::tighten(dir) {
        Ok(done) if done.refused > 0 => {
            let refused = done.refused;
            tracing::warn!(refused, dir = %dir.display(), "files that others may read belong to somebody else");
        }
        Ok(done) if done.closed > 0 => {
            let closed = done.closed;
            tracing::info!(closed, dir = %dir.display(), "files that others could read are closed to them");
        }
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(%error, dir = %dir.display(), "the modes of files could not be looked at")
        }
    }
}
