//! Which failures are a want of room: nothing is lost by them, and what failed may be tried again when there is room. Which have
//! written nothing, because there was nothing to write to.
//!
//! After every other failure of a write, and after any of a sync, nobody knows what is on the disk. Not here: what is done then.

use std::io::{self, ErrorKind};

use crate::disk::Link;

/// ENFILE and EMFILE: no file can be opened at the moment.
const TOO_MANY_FILES: [i32; 2] = [23, 24];

/// Whether an operation other than a sync failed for want of room.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

/// Whether nobody knows what is on the disk after this failure of a write, a sync or a removal. It is not so where there was no
/// room, nor where nothing could be opened or made that would have been written to.
pub fn is_in_doubt(error: &io::Error) -> bool {
    let has_no_place = matches!(
        error.kind(),
        ErrorKind::AlreadyExists
            | ErrorKind::NotFound
            | ErrorKind::InvalidInput
            | ErrorKind::PermissionDenied
            | ErrorKind::IsADirectory
            | ErrorKind::NotADirectory
            | ErrorKind::DirectoryNotEmpty
    );
    let is_link = error.get_ref().is_some_and(|inner| inner.is::<Link>());
    let cannot_open = error.raw_os_error().is_some_and(|code| TOO_MANY_FILES.contains(&code));
    !(has_no_place || is_link || cannot_open || is_full(error))
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
            assert!(!is_full(&error) && is_in_doubt(&error), "{error}");
        }
    }

    #[test]
    fn what_has_no_place_or_no_room_has_written_nothing() {
        // ENOENT, EACCES, EEXIST, EINVAL, ENFILE, EMFILE, ENOSPC.
        for code in [2, 13, 17, 22, 23, 24, 28] {
            assert!(!is_in_doubt(&io::Error::from_raw_os_error(code)), "{code}");
        }
    }
}
