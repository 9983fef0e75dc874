//! A disk that is full, or fails, when a segment is begun or its file is to be used again.

use std::io::ErrorKind;

use super::*;
use crate::log::shelf::file_name;

#[tokio::test]
async fn a_segment_for_which_there_is_no_room_when_it_is_begun_is_a_full_disk_and_no_end() {
    let medium = Faulty::default();
    let log = simple(&medium).unwrap();
    log.shared().stock().unwrap();
    medium.refuse_writes(Some(ErrorKind::StorageFull));
    for id in 0..4 {
        assert_eq!(log.append(batch([id])).await, Err(LogError::DiskFull), "{id}");
    }
    assert_eq!(log.shared().has_failed(), None);
    assert!(medium.list("").unwrap().is_empty(), "what was begun gives its room back");
    medium.refuse_writes(None);
    assert_eq!(log.append(batch([1])).await, Ok(Receipt::default()), "not a duplicate");
    log.stop().await;
    assert_eq!(held(&log), prints([1]));
    assert_eq!(held(&simple(&medium).unwrap()), prints([1]), "the next process finds the same");
}

/// An operator may ask for no room to be left: then the disk is full when something was refused, and as long as no segment has room.
#[tokio::test]
async fn a_log_that_has_refused_is_full_until_a_segment_has_room() {
    let medium = Faulty::default();
    let config = LogConfig { free_bytes_min: 0, ..small() };
    let segment = config.segment_bytes_max;
    let log = open_with(shelf(&medium, sealing(true)), runs(&medium).unwrap(), None, config).unwrap();
    medium.set_free_bytes(0);
    assert!(!log.shared().is_full(), "its files may have their room");
    medium.refuse_writes(Some(ErrorKind::StorageFull));
    assert_eq!(log.append(batch([1])).await, Err(LogError::DiskFull));
    assert!(log.shared().is_full());
    medium.set_free_bytes(segment);
    assert!(
        !log.shared().is_full(),
        "by itself, because nobody sends to a service that says that it is full"
    );
    medium.refuse_writes(None);
    assert_eq!(log.append(batch([1])).await, Ok(Receipt::default()));
    medium.set_free_bytes(0);
    assert!(!log.shared().is_full(), "what came last was taken");
    log.stop().await;
    let least = simple(&medium).unwrap();
    medium.set_free_bytes((1 << 20) - 1);
    assert!(least.shared().is_full(), "less than must be left");
}

/// A log that has stopped, with several sealed segments that are in the tables.
async fn sealed(medium: &Faulty) -> Log {
    let log = simple(medium).unwrap();
    for id in 0..40 {
        log.append(batch([id])).await.unwrap();
    }
    log.stop().await;
    assert!(log.shared().sealed().len() > 4);
    log
}

fn all_that_is_listed_is_there(log: &Log, medium: &Faulty) {
    for segment in log.shared().sealed() {
        let name = file_name(segment.extent.sequence);
        assert!(medium.open(&name).is_ok(), "{name} is listed, and has no file");
    }
}

#[tokio::test]
async fn recycling_that_breaks_off_leaves_no_segment_without_its_file_or_ends_the_log() {
    let whole = Faulty::default();
    let log = sealed(&whole).await;
    let before = whole.operations();
    log.shared().recycle(&log.shared().sealed()).unwrap();
    let after = whole.operations();
    assert!(after > before + 6);
    for at in before..after {
        let medium = Faulty::default();
        let log = sealed(&medium).await;
        medium.crash_at(at);
        assert!(log.shared().recycle(&log.shared().sealed()).is_err(), "{at}");
        assert_eq!(log.shared().has_failed(), Some(Region::De), "{at}");
        // The next process finds whole segments, or none, and goes on.
        let next = simple(&medium.after_power_cut(at)).unwrap();
        let found = held(&next);
        assert_eq!(found, prints(0..40)[40 - found.len()..], "{at}");
    }
}

#[tokio::test]
async fn a_full_disk_ends_no_recycling_and_a_broken_one_the_log() {
    for (refused, has_failed) in [(ErrorKind::StorageFull, None), (ErrorKind::Other, Some(Region::De))] {
        let medium = Faulty::default();
        let log = sealed(&medium).await;
        medium.refuse_writes(Some(refused));
        let sealed = log.shared().sealed();
        assert_eq!(log.shared().recycle(&sealed).is_err(), has_failed.is_some());
        assert_eq!(log.shared().has_failed(), has_failed);
        all_that_is_listed_is_there(&log, &medium);
        if has_failed.is_none() {
            assert!(log.shared().sealed().is_empty() && medium.list("").unwrap().is_empty());
            assert!(log.shared().recycle(&sealed).is_ok(), "what is gone is not looked for");
        }
    }
    let medium = Faulty::default();
    let log = sealed(&medium).await;
    medium.fail_syncs_after(0);
    assert!(log.shared().recycle(&log.shared().sealed()).is_err());
    all_that_is_listed_is_there(&log, &medium);
    assert_eq!(log.shared().has_failed(), Some(Region::De));
}
