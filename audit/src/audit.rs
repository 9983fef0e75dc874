//! The audit of a data directory.
//!
//! Not here: its files (`chain.rs`), a line that is being made (`entry.rs`).

use std::path::Path;

use shoal_files::Disk;

use crate::chain::{Chain, ChainPlace};
use crate::error::Result;

/// A file of this size is followed by a new one.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Where lines of the audit go.
pub struct Audit {
    /// `None` keeps nothing, for tests and benches of other things.
    chain: Option<Chain>,
}

impl Audit {
    /// Opens the audit of a data directory, or begins it, and cuts off what a crash left unfinished. Other processes may have
    /// it open: a line is appended when it is its process's turn.
    ///
    /// # Errors
    /// [`AuditError::Chain`](crate::AuditError::Chain) with file and line when lines were changed or are missing.
    pub fn open(data_dir: &Path) -> Result<Audit> {
        Audit::open_at(Audit::place(data_dir))
    }

    /// The same of an audit whose place is known, as one whose lines are sealed.
    ///
    /// # Errors
    /// As [`Audit::open`], and when a line cannot be opened.
    pub fn open_at(place: ChainPlace) -> Result<Audit> {
        let chain = Chain::open(place)?;
        if chain.cut_bytes() > 0 {
            tracing::warn!(bytes = chain.cut_bytes(), "an unfinished line of the audit was cut off");
        }
        Ok(Audit { chain: Some(chain) })
    }

    /// An audit that keeps nothing.
    pub fn none() -> Audit {
        Audit { chain: None }
    }

    /// Where the audit of a data directory is, for [`verify`](crate::verify).
    pub fn place(data_dir: &Path) -> ChainPlace {
        ChainPlace::on_disk(Disk::new(data_dir).private(), FILE_BYTES_MAX)
    }

    /// Returns when a file of it has failed so that something may be lost: nothing is appended any more, and the process must end.
    pub fn broken(&self) -> impl Future<Output = ()> + Send + use<> {
        let broken = self.chain.as_ref().map(Chain::broken);
        async move {
            let ended = match broken {
                Some(mut broken) => broken.wait_for(|is_broken| *is_broken).await.map(drop).is_err(),
                None => true,
            };
            if ended {
                // It is closed, or keeps nothing.
                std::future::pending().await
            }
        }
    }

    /// Whether that has happened.
    pub fn is_broken(&self) -> bool {
        self.chain.as_ref().is_some_and(|chain| *chain.broken().borrow())
    }

    /// Whether there was no room for the last line, and there is none yet. Tries it, so it blocks.
    pub fn is_full(&self) -> bool {
        self.chain.as_ref().is_some_and(Chain::is_full)
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.chain.is_some()
    }

    pub(crate) async fn append(&self, members: String) -> Result<()> {
        match &self.chain {
            Some(chain) => chain.append(members).await.map(|_| ()),
            None => Ok(()),
        }
    }

    pub(crate) fn append_unwatched(&self, members: String) {
        if let Some(chain) = &self.chain {
            chain.append_unwatched(members);
        }
    }
}
