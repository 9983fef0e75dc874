//! What every commit says about the whole table as of then: which files are live, and the versions of all transactions. So a
//! commit or a checkpoint that was damaged is known when the log is read, whichever of them it is.
//!
//! ```text
//! members of `commitInfo`:   "shoalTransactions": {"log-DE": 42, ..}
//!                            "shoalTally": 16 hexadecimal digits, XOR of a digest of each live file and each transaction
//! digest of a file           the first 8 bytes of BLAKE3 of "file <path> <bytes> <rows> <footer>", and " <key>" if it has one, LE
//! digest of a transaction    the first 8 bytes of BLAKE3 of "transaction <name> <version>", LE
//! ```
//! They are no checksums, because those of texts that swap a part cancel each other. A log of before there were tallies has none
//! until its next commit; so has one whose newest commit has a tally of checksums, "shoalDigest". Only the newest commit is asked.
//! Not here: the log (`log`), when a commit is made (`table`).

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::tables::live_file::LiveFile;

const DIGEST: &str = "shoalTally";
const TRANSACTIONS: &str = "shoalTransactions";

/// What is live, in two numbers and a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    files: u64,
    transactions: BTreeMap<String, i64>,
}

impl Tally {
    /// The tally of these files, before anybody says which transactions there are.
    pub(crate) fn of<'f>(files: impl Iterator<Item = &'f LiveFile>) -> Tally {
        let mut tally = Tally::default();
        files.for_each(|file| tally.turn(file));
        tally
    }

    /// A file comes, or goes: both are the same.
    pub(crate) fn turn(&mut self, file: &LiveFile) {
        let LiveFile { path, bytes, rows, digest, key, .. } = file;
        // A file without a key has the text that it had when there were none.
        let key = key.map(|key| format!(" {key}")).unwrap_or_default();
        self.files ^= digest_of(&format!("file {path} {bytes} {rows} {digest:?}{key}"));
    }

    /// A transaction has this version now.
    pub(crate) fn note(&mut self, app_id: &str, version: i64) {
        self.transactions.insert(app_id.to_owned(), version);
    }

    /// The version of a transaction; none where no commit has said it yet.
    pub(crate) fn transaction(&self, app_id: &str) -> Option<i64> {
        self.transactions.get(app_id).copied()
    }

    fn digest(&self) -> String {
        let of = |(id, version): (&String, &i64)| digest_of(&format!("transaction {id} {version}"));
        format!("{:016x}", self.transactions.iter().map(of).fold(self.files, |all, one| all ^ one))
    }

    /// The members of a commit's information.
    pub(crate) fn members(&self) -> HashMap<String, Value> {
        let transactions = self.transactions.iter().map(|(id, version)| (id.clone(), Value::from(*version)));
        HashMap::from([
            (DIGEST.to_owned(), Value::from(self.digest())),
            (TRANSACTIONS.to_owned(), Value::Object(transactions.collect())),
        ])
    }

    /// Takes up what the newest commit says about transactions.
    ///
    /// # Errors
    /// What it says is not so, or cannot be read.
    pub(crate) fn agree(&mut self, said: &HashMap<String, Value>) -> Result<(), &'static str> {
        let Some(digest) = said.get(DIGEST) else { return Ok(()) };
        let transactions = said.get(TRANSACTIONS).and_then(Value::as_object);
        for (app_id, version) in transactions.ok_or("has a newest commit that tells of no transactions")? {
            let version = version.as_i64().ok_or("has a newest commit whose transactions cannot be read")?;
            self.transactions.insert(app_id.clone(), version);
        }
        match digest.as_str() == Some(self.digest().as_str()) {
            true => Ok(()),
            false => Err("does not list the files and transactions that its newest commit tells of"),
        }
    }
}

/// The digest of a text that says what it is of.
fn digest_of(text: &str) -> u64 {
    let digest = blake3::hash(text.as_bytes());
    digest.as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shoal_schemas::Programme;

    use super::*;

    fn file(path: &str, rows: u64) -> LiveFile {
        let programme = Programme::UserExperience;
        LiveFile { path: path.to_owned(), day: 1, programme, rows, bytes: 10, digest: Some(7), key: None }
    }

    #[test]
    fn a_tally_is_of_the_files_and_not_of_the_way_to_them() {
        let (a, b, c) = (file("a", 1), file("b", 2), file("c", 3));
        let mut tally = Tally::of([&a, &b].into_iter());
        tally.turn(&c);
        tally.turn(&a);
        assert_eq!(tally, Tally::of([&c, &b].into_iter()));
        for other in [
            file("b", 3),
            file("d", 2),
            LiveFile { digest: None, ..b.clone() },
            LiveFile { bytes: 11, ..b.clone() },
        ] {
            assert_ne!(Tally::of([&other].into_iter()), Tally::of([&b].into_iter()));
        }
        // Two that have swapped what is said of them.
        for (one, other) in [(file("a", 2), file("b", 1)), (file("a", 1_000_000), file("b", 2_000_000))] {
            let swapped =
                [LiveFile { rows: other.rows, ..one.clone() }, LiveFile { rows: one.rows, ..other.clone() }];
            assert_ne!(Tally::of(swapped.iter()), Tally::of([&one, &other].into_iter()));
        }
    }

    #[test]
    fn what_the_newest_commit_says_must_be_so() {
        let (a, b) = (file("a", 1), file("b", 2));
        let mut tally = Tally::of([&a].into_iter());
        tally.note("log-DE", 42);
        let said = tally.members();
        let mut read = Tally::of([&a].into_iter());
        assert_eq!((read.agree(&said), read.transaction("log-DE")), (Ok(()), Some(42)));
        assert!(Tally::of([&a, &b].into_iter()).agree(&said).is_err());
        assert!(Tally::default().agree(&said).is_err());
        assert!(Tally::of([&b].into_iter()).agree(&HashMap::new()).is_ok(), "of before there were tallies");
        let cut = HashMap::from([(DIGEST.to_owned(), said[DIGEST].clone())]);
        let mut other = said.clone();
        other.insert(TRANSACTIONS.to_owned(), serde_json::json!({"log-DE": 43}));
        assert!(Tally::of([&a].into_iter()).agree(&other).is_err(), "a version that was changed");
        let mut earlier = said.clone();
        earlier.remove(DIGEST);
        earlier.insert("shoalDigest".to_owned(), "0123456789abcdef".into());
        let mut read = Tally::of([&b].into_iter());
        assert_eq!((read.agree(&earlier), read.transaction("log-DE")), (Ok(()), None), "of checksums");
        assert!(Tally::of([&a].into_iter()).agree(&cut).is_err());
    }
}
