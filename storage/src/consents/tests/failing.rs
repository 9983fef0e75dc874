//! Tests of changes whose journal, or whose file, fails: what is acknowledged then, and what the next start makes of it.

use std::io::ErrorKind;

use futures::FutureExt as _;
use shoal_files::{Faulty, Memory, SealingKey};

use super::*;

const JOURNAL: &str = "de/withdrawals";

/// The disk of the data, and the one of the journals.
#[derive(Default)]
struct Disks {
    data: Faulty<Memory>,
    journals: Faulty<Memory>,
    sealing: Option<Sealing>,
}

/// In the clear, and sealed.
fn kinds() -> [Option<Sealing>; 2] {
    [None, Some(Sealing { key: SealingKey::new(&[7; 32]), is_writing: true })]
}

impl Disks {
    fn new(sealing: Option<&Sealing>) -> Disks {
        Disks { sealing: sealing.cloned(), ..Disks::default() }
    }

    fn start(&self) -> Opened<u8> {
        let sealing = self.sealing.clone();
        let file = ConsentFile::over(Arc::new(self.data.clone()), sealing.as_ref()).unwrap();
        let (forbidden, turns) = (RwLock::default(), Turns::default());
        let shelf = Shelf { file, sealing, journal: None, forbidden, turns };
        let consents = Consents { form: form(), regions: vec![(Region::De, shelf)], _lock: None };
        let acts = JournalForm {
            replay: |act, before, is_missing| {
                Ok(Some(act[1]).filter(|made| is_missing || before.is_none_or(|before| before < *made)))
            },
            merge: |_, newer| Ok(newer.to_vec()),
            of_record: |record| (record % 2 == 1).then(|| vec![1, *record]),
        };
        let medium: Arc<dyn Medium> = Arc::new(self.journals.clone());
        consents.with_journals(&medium, &acts).unwrap()
    }

    /// What the next process finds when this one is gone and the power is cut.
    fn after_power_cut(&self, seed: u64) -> Disks {
        let (data, journals) = (self.data.after_power_cut(seed), self.journals.after_power_cut(seed));
        Disks { data, journals, sealing: self.sealing.clone() }
    }

    /// What a start finds of a subject, and how many acts it has done again.
    fn found(&self, digest: u8) -> (Option<u8>, u64) {
        let Opened { consents, journals } = self.start();
        assert_eq!(journals[0].found, JournalFound::Whole);
        (consents.get(Region::De, UX, [digest; 16]).unwrap(), journals[0].replayed)
    }

    fn journal_bytes(&self) -> u64 {
        self.journals.open(JOURNAL).unwrap().length().unwrap()
    }
}

/// Odd numbers forbid, and are noted in the journal.
fn record(consents: &Consents<u8>, digest: u8, made: u8) -> Result<()> {
    let act = [1, made];
    let (effect, act) = match made % 2 {
        1 => (Effect::AtOnce, Some(&act[..])),
        _ => (Effect::WhenDurable, None),
    };
    let (digests, after) = ([[digest; 16]], |_: Option<u8>| made);
    let change =
        ConsentChange { programme: UX, digests: &digests, where_recorded: &[], effect, act, after: &after };
    consents.change(Region::De, &[change])
}

fn trouble(consents: &Consents<u8>) -> Option<Trouble> {
    consents.troubles().first().map(|(_, trouble)| *trouble)
}

#[test]
fn what_is_acknowledged_is_in_the_journal_also_after_a_power_cut_and_without_the_data() {
    for sealing in &kinds() {
        let disks = Disks::new(sealing.as_ref());
        let consents = disks.start().consents;
        record(&consents, 1, 11).unwrap();
        for seed in 0..20 {
            let next = disks.after_power_cut(seed);
            assert_eq!(next.found(1), (Some(11), 0));
            // With an empty file of consents, as if the newest copy were of before it.
            assert_eq!(
                Disks { journals: next.journals, ..Disks::new(sealing.as_ref()) }.found(1),
                (Some(11), 1)
            );
        }
    }
}

#[test]
fn while_the_journals_disk_is_full_no_withdrawal_is_acknowledged_and_it_goes_on_without_a_restart() {
    for sealing in &kinds() {
        let disks = Disks::new(sealing.as_ref());
        let consents = disks.start().consents;
        record(&consents, 1, 11).unwrap();
        for made in [21, 23] {
            let before = disks.journal_bytes();
            disks.journals.refuse_writes(Some(ErrorKind::StorageFull));
            assert!(record(&consents, 2, made).is_err());
            assert_eq!((disks.journal_bytes(), trouble(&consents)), (before, Some(Trouble::Full)));
            assert_eq!(consents.get(Region::De, UX, [2; 16]).unwrap(), Some(made), "it counts at once");
            disks.journals.refuse_writes(None);
            assert_eq!(trouble(&consents), None, "whoever asks makes it go on");
            record(&consents, 2, made).unwrap();
            assert!(disks.journal_bytes() > before);
        }
        assert!(consents.broken().now_or_never().is_none());
        drop(consents);
        assert_eq!((disks.found(1), disks.found(2)), ((Some(11), 0), (Some(23), 0)));
    }
}

#[test]
fn after_a_failed_write_or_sync_of_the_journal_nothing_is_acknowledged_and_the_file_has_nothing_of_it() {
    for sealing in &kinds() {
        for is_sync in [true, false] {
            let disks = Disks::new(sealing.as_ref());
            let consents = disks.start().consents;
            record(&consents, 1, 11).unwrap();
            match is_sync {
                true => disks.journals.fail_syncs_after(0),
                false => disks.journals.refuse_writes(Some(ErrorKind::Other)),
            }
            assert!(record(&consents, 2, 21).is_err() && consents.broken().now_or_never().is_some());
            disks.journals.fail_syncs_after(u64::MAX);
            disks.journals.refuse_writes(None);
            assert_eq!(consents.get(Region::De, UX, [2; 16]).unwrap(), Some(21), "it counts at once");
            // Not even a grant: what the journal has is not known.
            for made in [23, 24] {
                assert!(matches!(record(&consents, 2, made), Err(StorageError::Broken(_))));
            }
            assert_eq!(trouble(&consents), Some(Trouble::Broken));
            drop(consents);
            let file = ConsentFile::over(Arc::new(disks.data.clone()), sealing.as_ref()).unwrap();
            assert_eq!(file.get(UX, [2; 16]).unwrap(), None, "the journal is first");
            drop(file);
            assert_eq!(disks.after_power_cut(3).found(1).0, Some(11));
        }
    }
}

#[test]
fn a_grant_after_a_withdrawal_that_only_the_journal_got_is_not_taken_back_by_the_next_start() {
    for sealing in &kinds() {
        for (digest, made, expected) in [(1, 20, Some(20)), (2, 20, Some(11))] {
            let disks = Disks::new(sealing.as_ref());
            let consents = disks.start().consents;
            record(&consents, 1, 10).unwrap();
            let before = disks.journal_bytes();
            disks.data.refuse_writes(Some(ErrorKind::StorageFull));
            assert!(record(&consents, 1, 11).is_err());
            assert!(disks.journal_bytes() > before, "the journal has it");
            disks.data.refuse_writes(None);
            // Of the same person, or of somebody else.
            record(&consents, digest, made).unwrap();
            drop(consents);
            assert_eq!(disks.found(1), (expected, 0));
        }
        // Without any change after it, the start does it.
        let disks = Disks::new(sealing.as_ref());
        let consents = disks.start().consents;
        record(&consents, 1, 10).unwrap();
        disks.data.refuse_writes(Some(ErrorKind::StorageFull));
        assert!(record(&consents, 1, 11).is_err());
        disks.data.refuse_writes(None);
        drop(consents);
        assert_eq!(disks.found(1), (Some(11), 1));
    }
}

#[test]
fn whoever_asks_what_is_the_matter_does_not_wait_for_who_writes() {
    let disks = Disks::new(None);
    let consents = disks.start().consents;
    let shelf = consents.shelf(Region::De).unwrap();
    let held = shelf.journal().unwrap();
    assert_eq!(trouble(&consents), None);
    drop(held);
}
