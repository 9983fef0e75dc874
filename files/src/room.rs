//! Whether there is room again on a disk that was full.
//!
//! The last free pages are none: a write that failed has just given them back, and the next one would fail again.

use crate::medium::Medium;

const BYTES: usize = 256 << 10;

/// Whether a file of some size can be made beside this one. It is removed again.
pub fn has_room(medium: &dyn Medium, beside: &str) -> bool {
    let name = format!("{beside}.room");
    let has_room = medium.put(&name, &vec![0; BYTES]).is_ok();
    // What cannot be removed now is replaced the next time.
    let _ = medium.remove(&[&name]);
    has_room
}
