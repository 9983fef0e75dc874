//! Every change of a chain is found and told where; a crash at any byte leaves a chain that goes on.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::sync::Arc;

use proptest::prelude::*;
use shoal_files::{Disk, Faulty, Memory};
use tempfile::TempDir;

use super::head::Head;
use super::scan::LINE_BYTES_MAX;
use super::verify::GROUP_MAX;
use super::*;
use crate::form;

mod disk;
mod sealed;
mod turns;

fn place(dir: &TempDir, file_bytes_max: u64) -> ChainPlace {
    ChainPlace::on_disk(Disk::new(dir.path()).private(), file_bytes_max)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

fn append(chain: &Chain, fields: &str) -> u64 {
    runtime().block_on(chain.append(fields.to_owned())).unwrap()
}

fn whole(place: &ChainPlace) -> Whole {
    verify(place, &mut |_| {}).unwrap()
}

/// A chain of lines `a-1`, `a-2`, .. in files of a few lines each.
fn written(lines: u64) -> (TempDir, ChainPlace) {
    let dir = tempfile::tempdir().unwrap();
    let place = place(&dir, 500);
    let chain = Chain::open(place.clone()).unwrap();
    for line in 1..=lines {
        assert_eq!(append(&chain, &format!("a-{line}")), line);
    }
    (dir, place)
}

fn paths(place: &ChainPlace) -> Vec<PathBuf> {
    place.files().unwrap().into_iter().map(|file| place.medium.path(&file.name)).collect()
}

fn fault(place: &ChainPlace) -> (String, u64) {
    match verify(place, &mut |_| {}).unwrap_err() {
        AuditError::Chain { path, line, .. } => {
            (path.file_name().unwrap().to_string_lossy().into_owned(), line)
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_chain_goes_on_across_files_and_restarts() {
    let (_dir, place) = written(10);
    assert!(paths(&place).len() > 2, "it must have rotated");
    for more in 11..=20 {
        let chain = Chain::open(place.clone()).unwrap();
        assert_eq!((chain.cut_bytes(), append(&chain, "more")), (0, more));
    }
    let mut seen = Vec::new();
    let found = verify(&place, &mut |line| seen.push(line.seq)).unwrap();
    assert_eq!((found.count, found.uncounted, found.unfinished_bytes), (20, 0, 0));
    assert_eq!(seen, (1..=20).collect::<Vec<_>>());
    let head = Head::read(&place).unwrap().unwrap();
    assert_eq!((head.count, head.hash), (found.count, found.hash));
}

#[test]
fn a_chain_that_was_never_begun_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(whole(&place(&dir, 1000)).count, 0);
    drop(Chain::open(place(&dir, 1000)).unwrap());
    assert_eq!(whole(&place(&dir, 1000)).count, 0);
}

#[test]
fn a_line_that_could_break_the_form_is_not_written() {
    let (_dir, place) = written(1);
    let chain = Chain::open(place.clone()).unwrap();
    for bad in ["", "a\nb", "a\u{0}", &"x".repeat(LINE_BYTES_MAX)] {
        assert!(runtime().block_on(chain.append(bad.to_owned())).is_err());
    }
    assert_eq!(append(&chain, "good"), 2);
    chain.append_unwatched("nobody waits".to_owned());
    drop(chain);
    assert_eq!(whole(&place).count, 3);
}

#[test]
fn a_removed_inserted_moved_or_repeated_line_is_found_where_it_is() {
    type Edit = fn(&mut Vec<&str>);
    let edits: [(Edit, u64); 5] = [
        (
            |lines| {
                lines.remove(1);
            },
            2,
        ),
        (|lines| lines.insert(1, lines[0]), 2),
        (|lines| lines.swap(0, 1), 1),
        (|lines| lines.push(lines[lines.len() - 1]), 0),
        (|lines| lines.insert(0, "{}"), 1),
    ];
    for (edit, line) in edits {
        let (_dir, place) = written(12);
        for path in paths(&place) {
            let text = fs::read_to_string(&path).unwrap();
            let mut lines: Vec<&str> = text.lines().collect();
            if lines.len() < 2 {
                continue;
            }
            let line = if line == 0 { lines.len() as u64 + 1 } else { line };
            edit(&mut lines);
            fs::write(&path, lines.join("\n") + "\n").unwrap();
            let (name, found) = fault(&place);
            assert_eq!((name.as_str(), found), (path.file_name().unwrap().to_str().unwrap(), line));
            fs::write(&path, &text).unwrap();
            assert_eq!(whole(&place).count, 12);
        }
    }
}

#[test]
fn what_a_crash_left_of_a_new_file_is_no_file_of_the_chain_and_goes() {
    let (_dir, place) = written(5);
    let left = place.dir().join("00000000000000000006.jsonl#7");
    fs::write(&left, "").unwrap();
    assert_eq!(whole(&place).count, 5);
    assert_eq!(append(&Chain::open(place.clone()).unwrap(), "more"), 6);
    assert!(!left.exists());
    assert_eq!(whole(&place).count, 6);
}

#[test]
fn the_lines_and_the_head_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_dir, place) = written(5);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.dir()), 0o700);
    assert_eq!(mode(&place.head()), 0o600);
    paths(&place).iter().for_each(|path| assert_eq!(mode(path), 0o600));
}

#[test]
fn a_missing_end_file_or_head_is_found_and_stops_the_start() {
    let (_dir, place) = written(12);
    let files = paths(&place);
    let stops = |place: &ChainPlace| {
        assert!(verify(place, &mut |_| {}).is_err());
        assert!(Chain::open(place.clone()).is_err());
    };
    for path in [files.last().unwrap(), &place.head()] {
        let kept = fs::read(path).unwrap();
        fs::remove_file(path).unwrap();
        stops(&place);
        fs::write(path, &kept).unwrap();
    }
    // The whole of the last line, and only its line feed.
    let last = files.last().unwrap();
    let kept = fs::read(last).unwrap();
    let lines = kept.iter().filter(|b| **b == b'\n').count();
    let before: usize = kept.split_inclusive(|b| *b == b'\n').take(lines - 1).map(<[u8]>::len).sum();
    for length in [before, kept.len() - 1, kept.len() / 2, 0] {
        fs::write(last, &kept[..length]).unwrap();
        stops(&place);
        assert_eq!(fs::read(last).unwrap().len(), length, "nothing is touched");
    }
    fs::write(last, &kept).unwrap();
    assert_eq!(whole(&place).count, 12);
    for path in &files[..files.len() - 1] {
        let kept = fs::read(path).unwrap();
        fs::remove_file(path).unwrap();
        assert!(verify(&place, &mut |_| {}).is_err(), "{}", path.display());
        fs::write(path, &kept).unwrap();
    }
    let head = fs::read(place.head()).unwrap();
    fs::write(place.head(), vec![b'x'; head.len()]).unwrap();
    stops(&place);
}

#[test]
fn a_crash_at_any_byte_of_an_append_is_mended_and_loses_nothing_that_was_answered() {
    // The head after 7 lines, the files after 8 or 9 (which begins a new file).
    let (_old, at_7) = written(7);
    for later in [8, 9, 10] {
        let (_new, place) = written(later);
        let last = paths(&place).pop().unwrap();
        let text = fs::read(&last).unwrap();
        let first = place.files().unwrap().pop().unwrap().first;
        let counted = usize::try_from(8_u64.saturating_sub(first)).unwrap();
        let kept: usize = text.split_inclusive(|b| *b == b'\n').take(counted).map(<[u8]>::len).sum();
        for length in kept..=text.len() {
            let garbage = [&text[..length], &vec![0; text.len() - length]].concat();
            for torn in [&text[..length], &garbage] {
                fs::write(&last, torn).unwrap();
                fs::copy(at_7.head(), place.head()).unwrap();
                let chain = Chain::open(place.clone()).unwrap();
                let next = append(&chain, "after the crash");
                assert!((8..=later + 1).contains(&next), "{next}");
                drop(chain);
                assert_eq!(whole(&place).count, next);
                paths(&place)
                    .iter()
                    .filter(|path| **path > last)
                    .for_each(|path| fs::remove_file(path).unwrap());
            }
        }
    }
}

/// Appends lines until one is not answered for; how many were.
fn answered(place: &ChainPlace) -> u64 {
    let Ok(chain) = Chain::open(place.clone()) else { return 0 };
    let one = |line: &u64| runtime().block_on(chain.append(format!("a-{line}"))).is_ok();
    (1..=6).take_while(one).count() as u64
}

#[test]
fn a_power_cut_at_any_operation_loses_no_line_that_was_answered_for() {
    let of = |medium: Faulty<Memory>| ChainPlace::alone(Arc::new(medium), 500);
    let goes_on = |memory: Memory, answered: u64| {
        let place = of(Faulty::new(memory));
        let chain = Chain::open(place.clone()).unwrap();
        let next = append(&chain, "after the power cut");
        assert!((answered + 1..=answered + 2).contains(&next), "{answered} answered for, then {next}");
        drop(chain);
        assert_eq!(whole(&place).count, next);
    };
    let undisturbed = Faulty::new(Memory::new());
    assert_eq!(answered(&of(undisturbed.clone())), 6);
    for crash in 0..undisturbed.operations() {
        let memory = Memory::new();
        let crashing = Faulty::new(memory.clone());
        crashing.crash_at(crash);
        let answered = answered(&of(crashing));
        assert!(answered < 6);
        (0..16).for_each(|seed| goes_on(memory.after_power_cut(seed), answered));
        // The process alone was gone: the next one finds what was not synced, and then the power is cut.
        drop(Chain::open(of(Faulty::new(memory.clone()))).unwrap());
        (0..16).for_each(|seed| goes_on(memory.after_power_cut(seed), answered));
    }
}

/// Whoever keeps the number of a line may rely on what the head counts, also while more is about to be written.
#[test]
fn lines_that_the_head_counts_survive_a_power_cut() {
    let of = |medium: Faulty<Memory>| ChainPlace::alone(Arc::new(medium), 500);
    let undisturbed = Faulty::new(Memory::new());
    answered(&of(undisturbed.clone()));
    let mut uncounted = 0;
    for crash in 0..undisturbed.operations() {
        let memory = Memory::new();
        let crashing = Faulty::new(memory.clone());
        crashing.crash_at(crash);
        answered(&of(crashing));
        let mut hashes = vec![form::first()];
        let whole = verify(&of(Faulty::new(memory.clone())), &mut |line| hashes.push(line.hash)).unwrap();
        uncounted += whole.uncounted;
        let counted = whole.count - whole.uncounted;
        let hash = hashes[usize::try_from(counted).unwrap()];
        for seed in 0..16 {
            let after = of(Faulty::new(memory.after_power_cut(seed)));
            drop(Chain::open(after.clone()).unwrap());
            assert!(verify_since(&after, counted, hash, &mut |_| {}).unwrap().is_some(), "{crash} {seed}");
        }
    }
    assert!(uncounted > 0, "some crash must have left a line behind");
}

#[test]
fn after_a_failed_sync_nothing_is_appended_until_the_next_start() {
    // The head, the first file, and the two syncs of a line: that of the file, then that of the head.
    for syncs in [4, 5] {
        let medium = Faulty::new(Memory::new());
        let place = ChainPlace::alone(Arc::new(medium.clone()), 1 << 20);
        medium.fail_syncs_after(syncs);
        let chain = Chain::open(place.clone()).unwrap();
        assert_eq!(append(&chain, "a-1"), 1);
        assert!(runtime().block_on(chain.append("a-2".to_owned())).is_err());
        medium.fail_syncs_after(u64::MAX);
        assert!(runtime().block_on(chain.append("a-3".to_owned())).is_err());
        drop(chain);
        assert_eq!(append(&Chain::open(place.clone()).unwrap(), "a-4"), 3);
        assert_eq!(whole(&place).count, 3);
    }
}

#[test]
fn a_head_that_is_much_older_is_no_crash() {
    let (_old, early) = written(1);
    let dir = tempfile::tempdir().unwrap();
    let place = place(&dir, 1 << 20);
    let chain = Chain::open(place.clone()).unwrap();
    for _ in 0..GROUP_MAX + 1 {
        chain.append_unwatched("a-1".to_owned());
    }
    append(&chain, "last");
    drop(chain);
    fs::copy(early.head(), place.head()).unwrap();
    assert!(verify(&place, &mut |_| {}).unwrap_err().to_string().contains("older"));
    assert!(Chain::open(place).is_err());
}

#[test]
fn a_torn_head_leaves_the_one_before_it() {
    let (_dir, place) = written(5);
    let good = fs::read(place.head()).unwrap();
    let text = |at: usize| String::from_utf8_lossy(&good[at..at + 20]).into_owned();
    let newer = if text(0) > text(4096) { 0 } else { 4096 };
    for cut in 0..107 {
        let mut torn = good.clone();
        torn[newer + cut] ^= 0x15;
        fs::write(place.head(), &torn).unwrap();
        let found = whole(&place);
        assert_eq!((found.count, found.uncounted), (5, 1), "byte {cut}");
    }
}

#[test]
fn lines_of_many_keep_one_order_and_share_their_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let place = place(&dir, 2500);
    let chain = Arc::new(Chain::open(place.clone()).unwrap());
    let numbers: Vec<Vec<u64>> = std::thread::scope(|scope| {
        let one = |who: usize| {
            let chain = Arc::clone(&chain);
            move || (0..25).map(|n| append(&chain, &format!("{who}-{n}"))).collect()
        };
        let threads: Vec<_> = (0..16).map(|who| scope.spawn(one(who))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    for of_one in &numbers {
        assert!(of_one.is_sorted(), "who waits for a line has it before the next");
    }
    let mut all: Vec<u64> = numbers.into_iter().flatten().collect();
    all.sort_unstable();
    assert_eq!(all, (1..=400).collect::<Vec<_>>());
    assert_eq!(whole(&place).count, 400);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn any_changed_byte_is_found(at in any::<prop::sample::Index>(), flip in 1_u8..=255) {
        let (_dir, place) = written(9);
        let files = paths(&place);
        let texts: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
        let mut at = at.index(texts.iter().map(Vec::len).sum());
        for (path, text) in files.iter().zip(texts) {
            if at < text.len() {
                let mut changed = text.clone();
                changed[at] ^= flip;
                fs::write(path, &changed).unwrap();
                let line = text[..at].iter().filter(|b| **b == b'\n').count() as u64 + 1;
                let (name, found) = fault(&place);
                prop_assert_eq!(name.as_str(), path.file_name().unwrap().to_str().unwrap());
                prop_assert_eq!(found, line);
                break;
            }
            at -= text.len();
        }
    }
}

#[test]
fn what_follows_a_line_that_was_seen_is_read_and_another_chain_is_known() {
    let (_dir, place) = written(12);
    let mut hashes = vec![form::first()];
    verify(&place, &mut |line| hashes.push(line.hash)).unwrap();
    for (count, hash) in (0..).zip(&hashes) {
        let mut seen = Vec::new();
        let whole = verify_since(&place, count, *hash, &mut |line| seen.push(line.seq)).unwrap().unwrap();
        assert_eq!((whole.count, seen), (12, (count + 1..=12).collect::<Vec<_>>()));
        let other = verify_since(&place, count, [7; 32], &mut |_| panic!("nothing follows it")).unwrap();
        assert_eq!(other, None, "{count}");
    }
    assert_eq!(verify_since(&place, 13, hashes[12], &mut |_| {}).unwrap(), None, "an older chain");
    let later = paths(&place).pop().unwrap();
    let text = fs::read_to_string(&later).unwrap();
    fs::write(&later, text.replacen("a-12", "b-12", 1)).unwrap();
    assert!(verify_since(&place, 11, hashes[11], &mut |_| {}).is_err());
    let none = ChainPlace::alone(Arc::new(Memory::new()), 500);
    assert_eq!(verify_since(&none, 0, form::first(), &mut |_| {}).unwrap().unwrap().count, 0);
    assert_eq!(verify_since(&none, 3, hashes[3], &mut |_| {}).unwrap(), None);
}
