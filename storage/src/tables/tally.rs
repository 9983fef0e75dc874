//! What every commit says about the whole table as of then: which files are live, and the versions of all transactions. So a
//! commit or a checkpoint that was damaged is known when the log is read, whichever of them it is.
//!
//! ```text
//! members of `commitInfo`:   "shoalTransactions": {"log-DE": 42, ..}
//!                            "shoalDigest": 16 hexadecimal digits, XOR of a digest of each live file and each transaction
//! digest of a file           CRC-32 of "1 <path> <bytes> <rows> <footer>" and of "2 <path> <bytes> <rows> <footer>"
//! digest of a transaction    CRC-32 of "3 <name> <version>" and of "4 <name> <version>"
//! ```
//! A log of before there were tallies has none until its next commit. Only the newest commit is asked.
//! Not here: the log (`log`), when a commit is made (`table`).

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::tables::snapshot::LiveFile;

const DIGEST: &str = "shoalDigest";
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
        self.files ^= digest_of(file);
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
        let of = |(id, version): (&String, &i64)| halves(3, &format!("{id} {version}"));
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

fn digest_of(file: &LiveFile) -> u64 {
    let LiveFile { path, bytes, rows, digest, .. } = file;
    halves(1, &format!("{path} {bytes} {rows} {digest:?}"))
}

/// Two checksums of a text, told apart by the numbers before it.
fn halves(first: u8, text: &str) -> u64 {
    let half = |which: u8| u64::from(crc32fast::hash(format!("{which} {text}").as_bytes()));
    half(first) << 32 | half(first + 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shoal_schemas::Programme;

    use super::*;

    fn file(path: &str, rows: u64) -> LiveFile {
        let programme = Programme::UserExperience;
        LiveFile { path: path.to_owned(), day: 1, programme, rows, bytes: 10, digest: Some(7) }
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
        assert!(Tally::of([&a].into_iter()).agree(&cut).is_err());
    }
}
