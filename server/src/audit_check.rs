//! When the whole audit was checked last: `shoal audit verify` leaves a mark of a check that found it whole.
//!
//! ```text
//! <data_dir>/ledger/audit.checked     "<ms since 1970> <lines>\n"
//! ```
//! It proves nothing and is asked for nothing but to be shown. Not here: the check (`shoal-audit`).

use std::path::Path;

use shoal_files::{Disk, Objects as _};

const FILE: &str = "ledger/audit.checked";

/// A check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) at_ms: i64,
    pub(crate) lines: u64,
}

/// Leaves the mark. Whoever may read the audit and not write there leaves none.
pub(crate) fn note(data_dir: &Path, check: Check) {
    let Check { at_ms, lines } = check;
    let _ = Disk::new(data_dir).private().put(FILE, format!("{at_ms} {lines}\n").as_bytes());
}

/// The last one, if it is known.
pub(crate) fn last(data_dir: &Path) -> Option<Check> {
    let text = String::from_utf8(Disk::new(data_dir).read(FILE).ok()?).ok()?;
    let (at_ms, lines) = text.trim_end().split_once(' ')?;
    Some(Check { at_ms: at_ms.parse().ok()?, lines: lines.parse().ok()? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_last_check_is_known_and_anything_else_is_none() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(last(dir.path()), None);
        for check in [Check { at_ms: 7, lines: 1 }, Check { at_ms: 8, lines: 2 }] {
            note(dir.path(), check);
            assert_eq!(last(dir.path()), Some(check));
        }
        std::fs::write(dir.path().join(FILE), "now").unwrap();
        assert_eq!(last(dir.path()), None);
    }
}
