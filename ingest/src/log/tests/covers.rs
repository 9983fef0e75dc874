//! What is not kept takes as long, and as much of the disk, as what is.

use super::*;

/// A batch of a shipped key: these are kept, those are hidden.
pub(super) fn covered(
    ids: impl IntoIterator<Item = u64>,
    hidden: impl IntoIterator<Item = u64>,
) -> OpenBatch {
    let mut batch = CleanBatch::new(Region::De, KeyKind::Shipped, &Arc::new(names()));
    for (slot, id) in ids.into_iter().enumerate() {
        batch.push(slot as u32, &head(id), &[], std::iter::once((5, Value::Text("DE"))));
    }
    for id in hidden {
        batch.hide(&head(id), &[], std::iter::once((5, Value::Text("DE"))));
    }
    batch.finish();
    OpenBatch::unlimited(batch)
}

/// Writes, syncs and the like that a batch takes, when one event is there already; and which of its slots were.
async fn taken_by(batch: OpenBatch) -> (u64, Vec<u32>) {
    let medium = Faulty::default();
    let log = simple(&medium).unwrap();
    log.append(covered([1], [])).await.unwrap();
    let before = medium.operations();
    let receipt = log.append(batch).await.unwrap();
    (medium.operations() - before, receipt.duplicates)
}

#[tokio::test]
async fn what_is_not_kept_is_waited_for_like_what_is() {
    let (kept, duplicates) = taken_by(covered([2], [])).await;
    assert!(kept > 0 && duplicates.is_empty(), "it is written and synced");
    assert_eq!(taken_by(covered([], [3])).await, (kept, vec![]), "hidden");
    assert_eq!(taken_by(covered([1], [])).await, (kept, vec![0]), "known");
    assert_eq!(taken_by(covered([1, 4], [5, 6])).await, (kept, vec![0]), "some of each");
    assert_eq!(taken_by(batch([1])).await, (0, vec![0]), "a server is told anyway");
}

#[tokio::test]
async fn what_is_hidden_leaves_nothing_and_is_not_remembered() {
    let medium = Faulty::default();
    let log = simple(&medium).unwrap();
    log.append(covered([1], [2, 3])).await.unwrap();
    assert_eq!(log.append(covered([2], [4])).await, Ok(Receipt::default()));
    log.stop().await;
    assert_eq!(held(&log), prints([1, 2]));
    assert_eq!(held(&simple(&medium).unwrap()), prints([1, 2]), "the next process finds the same");
}

#[tokio::test]
async fn as_many_bytes_are_written_for_what_is_hidden_or_known_as_for_what_is_kept() {
    let log = simple(&Faulty::default()).unwrap();
    let mut before = 0;
    let mut written = || {
        let all = log.shared().metrics.log_written_bytes.get();
        all - std::mem::replace(&mut before, all)
    };
    log.append(covered([], 0..200)).await.unwrap();
    let hidden = written();
    log.append(covered(0..200, [])).await.unwrap();
    let kept = written();
    log.append(covered(0..200, [])).await.unwrap();
    assert_eq!((hidden, written()), (kept, kept));
    log.stop().await;
}

#[tokio::test]
async fn a_segment_of_covers_alone_is_bounded_and_goes_away() {
    let medium = Faulty::default();
    let log = simple(&medium).unwrap();
    for id in 0..100 {
        log.append(covered([], [id])).await.unwrap();
    }
    log.append(covered([7], [])).await.unwrap();
    log.stop().await;
    assert_eq!((held(&log), log.shared().sealed().len()), (prints([7]), 1));
    let length = |name: &str| medium.open(name).unwrap().length().unwrap();
    for entry in medium.list("").unwrap() {
        assert!(length(&entry.name) <= small().segment_bytes_max, "{entry:?}");
    }
}
