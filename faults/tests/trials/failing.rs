//! Calls of the system that fail on demand, in a process under trial: `failing_calls.c`, which the C compiler makes.
//!
//! Invariant: nothing fails before it is said, and nothing after [`FailingCalls::end`].

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use shoal_faults::Numbers;

use crate::service::Setup;

const EIO: u64 = 5;
const ENOSPC: u64 = 28;

/// A family of calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    /// Its number in the library.
    number: u64,
    /// Whether a disk without room can be the reason of its failure.
    can_be_full: bool,
}

/// Write, sync, open to write, rename and link, change of length, read, remove, make a directory.
const FAMILIES: [Family; 8] = [
    Family { number: 1, can_be_full: true },
    Family { number: 2, can_be_full: false },
    Family { number: 3, can_be_full: true },
    Family { number: 4, can_be_full: true },
    Family { number: 5, can_be_full: true },
    Family { number: 6, can_be_full: false },
    Family { number: 7, can_be_full: false },
    Family { number: 8, can_be_full: true },
];

/// What fails: the calls of a family from the first to the last, with this error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    family: Family,
    error: u64,
    first: u64,
    last: u64,
    is_half_written: bool,
}

impl Failure {
    /// Chooses one among so many calls of each family.
    pub(crate) fn choose(numbers: &mut Numbers, calls: &[u64; 9]) -> Failure {
        // What is called often is what much depends on; each family has its turn all the same.
        let family = *numbers.one_of(&FAMILIES);
        // Any of them, and the next ones more often: what a short piece of work does is seldom the last of many calls.
        let bits = u64::BITS - calls[family.number as usize].leading_zeros();
        let size = numbers.below(u64::from(bits) + 1);
        let first = 1 + numbers.below(1 << size);
        let more = match numbers.below(4) {
            0 => u64::from(u32::MAX),
            1 => numbers.below(20),
            _ => 0,
        };
        let error = if family.can_be_full && numbers.one_in(3) { ENOSPC } else { EIO };
        Failure { family, error, first, last: first + more, is_half_written: numbers.one_in(2) }
    }
}

/// The library and what it is told.
pub(crate) struct FailingCalls {
    library: PathBuf,
    control: PathBuf,
}

impl FailingCalls {
    /// Makes the library in a directory that is not the service's.
    pub(crate) fn new(dir: &Path) -> FailingCalls {
        let library = dir.join("failing_calls.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trials/failing_calls.c");
        let compiler =
            Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).status();
        assert!(compiler.expect("a C compiler is needed, as for the build").success());
        let control = dir.join("control");
        fs::write(&control, [0; 4096]).unwrap();
        FailingCalls { library, control }
    }

    /// A service with the library in it.
    pub(crate) fn within(&self, setup: &Setup) -> Setup {
        setup
            .with("LD_PRELOAD", self.library.to_str().unwrap())
            .with("FAULTS_CONTROL", self.control.to_str().unwrap())
            .with("FAULTS_ROOT", setup.dir.to_str().unwrap())
    }

    fn write(&self, at: u64, numbers: &[u64]) {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
        File::options().write(true).open(&self.control).unwrap().write_all_at(&bytes, at * 8).unwrap();
    }

    fn read(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        File::open(&self.control).unwrap().read_exact_at(&mut bytes, at * 8).unwrap();
        u64::from_ne_bytes(bytes)
    }

    /// From now on this fails.
    pub(crate) fn begin(&self, failure: &Failure) {
        self.write(0, &[0]);
        let _ = fs::remove_file(self.control.with_extension("failed"));
        let half = u64::from(failure.is_half_written);
        self.write(1, &[failure.error, failure.first, failure.last, half, 0, 0]);
        self.write(0, &[failure.family.number]);
    }

    /// How many calls have failed since then.
    pub(crate) fn failed(&self) -> u64 {
        self.read(6)
    }

    /// From now on nothing fails. The calls that did.
    pub(crate) fn end(&self) -> Vec<String> {
        self.write(0, &[0]);
        let failed = fs::read_to_string(self.control.with_extension("failed")).unwrap_or_default();
        failed.lines().map(str::to_owned).collect()
    }

    /// How many calls of each family there were, since the library was made.
    pub(crate) fn calls(&self) -> [u64; 9] {
        let mut calls = [0; 9];
        FAMILIES.iter().for_each(|family| calls[family.number as usize] = self.read(8 + family.number));
        calls
    }
}
