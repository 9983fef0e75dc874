//! Where the files of ingestion are: a directory is a place on a disk, or in a simulation of one.
//!
//! Not here: what is in them, and which directories there are (`parts.rs`), what a place promises (`shoal-files`).

use std::{path::Path, sync::Arc};

use shoal_files::{Disk, Medium};
use shoal_schemas::{Kind, Region};

/// Makes places of directories.
pub trait Places: Send + Sync {
    /// What lies in this directory.
    fn at(&self, directory: &Path) -> Arc<dyn Medium>;

    /// The same, but what is made there is for its owner only.
    fn private(&self, directory: &Path) -> Arc<dyn Medium>;

    /// Whether events of this kind can come to this region. A simulation has few tables, because opening one takes long.
    fn has_table(&self, region: Region, kind: Kind) -> bool {
        let _ = (region, kind);
        true
    }
}

/// Directories of the local disk.
#[derive(Clone, Copy, Debug)]
pub struct Disks;

impl Places for Disks {
    fn at(&self, directory: &Path) -> Arc<dyn Medium> {
        Arc::new(Disk::new(directory))
    }

    fn private(&self, directory: &Path) -> Arc<dyn Medium> {
        Arc::new(Disk::new(directory).private())
    }
}
