//! One file of definitions, as text. Not here: where it is read from (`read`), its shape (`raw`).

use std::ops::Range;

/// One file.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Relative to the root of the definitions, as `events/click.toml`.
    pub(super) name: String,
    /// The whole text.
    pub(super) text: String,
    /// Whether it is the operator's; what contradicts an embedded file is that one's fault.
    pub(super) is_overlay: bool,
}

impl Source {
    /// The line of a byte offset, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        let head = self.text.as_bytes();
        let head = &head[..offset.min(head.len())];
        head.iter().filter(|b| **b == b'\n').count() + 1
    }

    /// The file's name without folder and extension.
    pub(super) fn stem(&self) -> &str {
        let file = self.name.rsplit('/').next().unwrap_or(&self.name);
        file.strip_suffix(".toml").unwrap_or(file)
    }

    /// The whole file, for a fault that has no place of its own.
    pub(super) const fn start(&self) -> Range<usize> {
        0..0
    }
}
