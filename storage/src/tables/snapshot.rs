//! The files that are live at one version of a table. Not here: how they are read (`read`), how they came (`table`).

use std::io;
use std::sync::Arc;

use shoal_files::{Objects, Source};

use crate::suppressed::Subjects;
use crate::tables::encryption::TableKeys;
use crate::tables::live_file::LiveFile;
use crate::tables::table_layout::TableLayout;

/// A table at one version. Cheap to clone, and unchanged by later commits. While it or a
/// reader of its rows lives, a purge leaves its files alone: take a fresh one for each query, and let go of it afterwards.
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) version: u64,
    pub(crate) files: Arc<Vec<LiveFile>>,
    pub(crate) layout: Arc<TableLayout>,
    /// The table's files, by path.
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) keys: TableKeys,
    /// Whose rows are not read.
    pub(crate) suppressed: Arc<Subjects>,
}

impl Snapshot {
    /// The same, read as if it had no rows of these subjects. What the log counts of its files counts theirs, too.
    #[must_use]
    pub fn without(self, suppressed: Arc<Subjects>) -> Snapshot {
        Snapshot { suppressed, ..self }
    }

    /// Whether rows of anybody are not read.
    pub fn leaves_some_out(&self) -> bool {
        !self.suppressed.is_empty()
    }

    /// The live files, in the order of their paths, so by day.
    pub fn files(&self) -> &[LiveFile] {
        &self.files
    }

    /// Whether the key of one of its files is there, if it has one. What is encrypted with a key that was destroyed is no more.
    pub fn has_key(&self, file: &LiveFile) -> bool {
        self.keys.has(file)
    }

    /// The same files, as if they had no digests: for tests of files that other programs and earlier versions have written.
    #[doc(hidden)]
    pub fn without_digests(&self) -> Snapshot {
        let files = self.files.iter().map(|file| LiveFile { digest: None, ..file.clone() });
        Snapshot { files: Arc::new(files.collect()), ..self.clone() }
    }

    /// The bytes of one of its files as they lie there, to copy them: nothing is decrypted or compared.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn source(&self, file: &LiveFile) -> io::Result<Box<dyn Source>> {
        self.objects.open(&file.path)
    }

    /// The Delta version.
    pub fn version(&self) -> i64 {
        i64::try_from(self.version).unwrap_or(i64::MAX)
    }
}
