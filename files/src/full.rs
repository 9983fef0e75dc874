//! Which failures are a want of room: nothing is lost by them, and what failed may be tried again when there is room.
//!
//! After every other failure of a write, and after any of a sync, nobody knows what is on the disk. Not here: what is done then.

use std::io::{self, ErrorKind};

/// Whether an operation other than a sync failed for want of room.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_want_of_room_is_no_broken_disk() {
        // ENOSPC, EDQUOT, EFBIG; then EIO, EROFS and one that was made by hand.
        for code in [28, 122, 27] {
            assert!(is_full(&io::Error::from_raw_os_error(code)), "{code}");
        }
        for error in
            [io::Error::from_raw_os_error(5), io::Error::from_raw_os_error(30), io::Error::other("x")]
        {
            assert!(!is_full(&error), "{error}");
        }
    }
}
