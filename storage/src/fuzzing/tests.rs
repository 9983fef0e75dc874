//! Every entry gets its corpus and malformed inputs.

use super::*;

#[test]
fn malformed_files_of_what_is_kept_end_in_no_panic() {
    malformed::check("journal", journal);
    malformed::check("spent", spent);
}
