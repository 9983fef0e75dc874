//! A sealed file against plain bytes: after any calls, power cuts, changed bytes and failures, and under many readers.
#![allow(clippy::unwrap_used)]

mod readers;

use proptest::prelude::*;

use super::*;
use crate::{Faulty, Medium as _, Memory, Objects as _};

const NAME: &str = "f";

fn key(byte: u8) -> SealingKey {
    SealingKey::new(&[byte; 32])
}

fn create(memory: &Memory) -> SealedFile {
    SealedFile::create(memory.create(NAME, 0).unwrap(), key(1)).unwrap()
}

fn open(memory: &Memory) -> io::Result<SealedFile> {
    SealedFile::open(memory.edit(NAME).unwrap(), key(1))
}

fn all(file: &SealedFile) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; file.length()? as usize];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// A file of so many blocks, each filled with its number, from 1; synced.
fn numbered(memory: &Memory, blocks: u8) -> SealedFile {
    let file = create(memory);
    let bytes: Vec<u8> = (1..=blocks).flat_map(|block| [block; BLOCK_BYTES]).collect();
    file.write_at(0, &bytes).unwrap();
    file.sync().unwrap();
    file
}

#[derive(Clone, Debug)]
enum Call {
    Write(u64, usize),
    Length(u64),
    Sync,
    Reopen,
}

fn position() -> impl Strategy<Value = u64> {
    // Ends of blocks, and anything between.
    prop_oneof![
        (0..6_u64, -2..3_i64).prop_map(|(block, by)| (block * BLOCK).saturating_add_signed(by)),
        0..24_000_u64
    ]
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        5 => (position(), prop_oneof![0..40_usize, Just(BLOCK_BYTES), 0..9_000_usize]).prop_map(|(at, n)| Call::Write(at, n)),
        3 => position().prop_map(Call::Length),
        1 => Just(Call::Sync),
        1 => Just(Call::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 24 } else { 1000 }))]

    #[test]
    fn it_has_the_bytes_that_a_plain_file_has(calls in prop::collection::vec(call(), 1..24)) {
        let memory = Memory::new();
        let (mut file, mut model) = (create(&memory), Vec::new());
        for (number, call) in calls.into_iter().enumerate() {
            match call {
                Call::Write(at, n) => {
                    let bytes: Vec<u8> = (0..n).map(|i| (number * 7 + i + 1) as u8).collect();
                    file.write_at(at, &bytes).unwrap();
                    if n > 0 {
                        let end = at as usize + n;
                        model.resize(model.len().max(end), 0);
                        model[at as usize..end].copy_from_slice(&bytes);
                    }
                }
                Call::Length(bytes) => {
                    file.set_length(bytes).unwrap();
                    model.resize(bytes as usize, 0);
                }
                Call::Sync => file.sync().unwrap(),
                Call::Reopen => file = open(&memory).unwrap(),
            }
            prop_assert_eq!(file.length().unwrap(), model.len() as u64);
            prop_assert!(all(&file).unwrap() == model);
            let (from, to) = (model.len() / 3, model.len() - model.len() / 4);
            let mut part = vec![1; to - from];
            file.read_at(from as u64, &mut part).unwrap();
            prop_assert!(part == model[from..to]);
            let beyond = file.read_at(model.len() as u64, &mut [0]).unwrap_err();
            prop_assert_eq!(beyond.kind(), ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn the_length_of_what_is_in_it_is_known_from_its_own(inner in 0..1_u64 << 50) {
        prop_assert_eq!(inner_length(outer_length(inner).unwrap()), Some(inner));
        prop_assert!((outer_length(inner).unwrap() - FIRST_END).div_ceil(SLOT_BYTES as u64) <= inner.div_ceil(BLOCK).max(1));
    }

    /// Whole blocks are written, cut and synced at random; then the power is cut, and it goes on from what is left.
    #[test]
    fn a_power_cut_takes_nothing_that_was_synced(
        calls in prop::collection::vec((0..6_u64, 1..200_u8, 0..4_u8), 1..30), seed in any::<u64>(),
    ) {
        let mut memory = Memory::new();
        let mut file = numbered(&memory, 4);
        // Of each block what it may hold: the first is what was synced last, and the only one when it was not written since.
        let mut may: Vec<Vec<u8>> = (1..=4).map(|block| vec![block]).collect();
        may.resize(6, vec![0]);
        let mut lengths = vec![4_u64];
        for (number, (block, byte, what)) in calls.into_iter().enumerate() {
            match what {
                0 => {
                    file.sync().unwrap();
                    may.iter_mut().for_each(|may| *may = may.split_off(may.len() - 1));
                    lengths = lengths.split_off(lengths.len() - 1);
                }
                1 => {
                    memory = memory.after_power_cut(seed.wrapping_add(number as u64 * 977));
                    file = open(&memory).unwrap();
                    let length = file.length().unwrap();
                    prop_assert!(lengths.contains(&(length / BLOCK)) && length.is_multiple_of(BLOCK));
                    for (block, may) in (0..length / BLOCK).zip(&mut may) {
                        let mut found = [0; BLOCK_BYTES];
                        match file.read_at(block * BLOCK, &mut found) {
                            Ok(()) => {
                                let byte = found[0];
                                prop_assert!(found == [byte; BLOCK_BYTES] && may.contains(&byte), "{}", block);
                                *may = vec![byte];
                            }
                            Err(error) => {
                                prop_assert!(is_not_authentic(&error) && block > 0 && may.len() > 1, "{}", block);
                                // It can be written as a whole.
                                file.write_at(block * BLOCK, &[9; BLOCK_BYTES]).unwrap();
                                *may = vec![9];
                            }
                        }
                    }
                    file.sync().unwrap();
                    may.iter_mut().skip((length / BLOCK) as usize).for_each(|may| *may = vec![0]);
                    lengths = vec![length / BLOCK];
                }
                _ => {
                    file.write_at(block * BLOCK, &[byte; BLOCK_BYTES]).unwrap();
                    may[block as usize].push(byte);
                    let last = *lengths.last().unwrap();
                    lengths.push(last.max(block + 1));
                }
            }
        }
    }
}

/// A part of it at a time, as redb writes its header: what is read after a power cut is one of the versions from the last sync on,
/// whole.
#[test]
fn the_first_block_is_the_last_synced_version_or_a_newer_one_after_every_power_cut() {
    for at_once in 1..4_u8 {
        let (mut older, mut newer) = (0, 0);
        for seed in 0..if cfg!(debug_assertions) { 40 } else { 400 } {
            let memory = Memory::new();
            let file = numbered(&memory, 2);
            let mut version = 1;
            for _ in 0..seed % 5 {
                for _ in 0..at_once {
                    version += 1;
                    file.write_at(0, &[version; 2000]).unwrap();
                    file.write_at(2000, &[version; 2096]).unwrap();
                }
                file.sync().unwrap();
            }
            let synced = version;
            for _ in 0..at_once {
                version += 1;
                file.write_at(0, &[version; BLOCK_BYTES]).unwrap();
            }
            drop(file);
            let cut = memory.after_power_cut(seed);
            // What the next one reads is not lost with another cut after it has written.
            let again = open(&cut).unwrap();
            let found = all(&again).unwrap();
            assert!(found[..BLOCK_BYTES].iter().all(|byte| *byte == found[0]));
            assert!((synced..=version).contains(&found[0]) && found[BLOCK_BYTES..] == [2; BLOCK_BYTES]);
            (older, newer) = (older + u32::from(found[0] == synced), newer + u32::from(found[0] > synced));
            again.write_at(0, &[100; BLOCK_BYTES]).unwrap();
            let last = all(&open(&cut.after_power_cut(seed + 1)).unwrap()).unwrap();
            assert!(last[0] == found[0] || last[0] == 100);
            assert!(last[..BLOCK_BYTES].iter().all(|byte| *byte == last[0]));
        }
        assert!(older > 5, "{at_once}: {older} {newer}");
    }
}

#[test]
fn what_was_read_before_it_was_synced_survives_the_next_write() {
    for seed in 0..60 {
        let memory = Memory::new();
        numbered(&memory, 1).write_at(0, &[5; BLOCK_BYTES]).unwrap();
        // The process ended, and the system did not.
        let file = open(&memory).unwrap();
        assert_eq!(all(&file).unwrap(), [5; BLOCK_BYTES]);
        file.write_at(0, &[6; BLOCK_BYTES]).unwrap();
        let found = all(&open(&memory.after_power_cut(seed)).unwrap()).unwrap();
        assert!(found == [5; BLOCK_BYTES] || found == [6; BLOCK_BYTES]);
    }
}

#[test]
fn a_changed_byte_is_found_where_it_matters() {
    let memory = Memory::new();
    drop(numbered(&memory, 4));
    let (whole, plain) = (memory.read(NAME).unwrap(), all(&open(&memory).unwrap()).unwrap());
    let step = if cfg!(debug_assertions) { 151 } else { 1 };
    let heads =
        (0..HEAD_BYTES).chain((4090..4200).step_by(3)).chain(FIRST_END as usize - 4..FIRST_END as usize + 60);
    let (mut found, mut kept) = (0, 0);
    for at in heads.chain((0..whole.len()).step_by(step)) {
        memory.flip(NAME, at);
        match open(&memory).and_then(|file| all(&file)) {
            Ok(read) => {
                kept += 1;
                // The older version of the first block, and what is between the parts.
                assert!(read == plain && (12288..16896).contains(&at) || whole[at] == 0, "{at} says nothing");
            }
            Err(error) => {
                found += 1;
                assert!(is_not_authentic(&error), "{at}: {error}");
            }
        }
        memory.put(NAME, &whole).unwrap();
    }
    assert!(found > 200 && kept > 0, "{found} {kept}");
    for length in (0..whole.len()).step_by(step) {
        memory.put(NAME, &whole[..length]).unwrap();
        match open(&memory).and_then(|file| all(&file)) {
            Ok(read) => assert!(read.len() < plain.len() && plain.starts_with(&read), "{length}"),
            Err(error) => assert!(is_not_authentic(&error), "{length}"),
        }
    }
}

#[test]
fn no_part_of_it_can_be_moved() {
    let memory = Memory::new();
    drop(numbered(&memory, 4));
    let whole = memory.read(NAME).unwrap();
    let other = Memory::new();
    drop(numbered(&other, 4));
    let others = other.read(NAME).unwrap();
    let slot = |block: u64| slot_at(block).unwrap() as usize..slot_at(block + 1).unwrap() as usize;
    let mut swapped = whole.clone();
    swapped[slot(2)].copy_from_slice(&whole[slot(1)]);
    let mut replaced = whole.clone();
    replaced[slot(2)].copy_from_slice(&others[slot(2)]);
    let mut first = whole.clone();
    first[4096..8704].copy_from_slice(&whole[12288..16896]);
    let mut foreign = whole;
    foreign[4096..16896].copy_from_slice(&others[4096..16896]);
    for bytes in [swapped, replaced, first, foreign] {
        memory.put(NAME, &bytes).unwrap();
        assert!(open(&memory).and_then(|file| all(&file)).is_err_and(|error| is_not_authentic(&error)));
    }
}

#[test]
fn nothing_is_in_the_clear_and_nothing_is_read_with_another_key() {
    let memory = Memory::new();
    let file = create(&memory);
    assert!(SealedFile::is_sealed(&*memory.open(NAME).unwrap()).unwrap());
    let said = b"something that somebody said";
    for at in [10, 4090, 8192, 12_000] {
        file.write_at(at, said).unwrap();
    }
    file.sync().unwrap();
    let outer = memory.read(NAME).unwrap();
    assert!(!outer.windows(6).any(|part| said.windows(6).any(|s| s == part)));
    let refused = SealedFile::open(memory.edit(NAME).unwrap(), key(2)).err().unwrap();
    assert!(is_not_authentic(&refused) && refused.to_string().contains("this key"), "{refused}");
    memory.put("plain", said).unwrap();
    assert!(!SealedFile::is_sealed(&*memory.open("plain").unwrap()).unwrap());
    memory.put("short", b"SHOAL").unwrap();
    assert!(!SealedFile::is_sealed(&*memory.open("short").unwrap()).unwrap());
    assert!(!is_not_authentic(&io::Error::other("x")));
}

#[test]
fn after_a_failed_write_the_first_block_is_as_before_and_can_be_synced() {
    for is_written in [true, false] {
        let faulty = Faulty::<Memory>::default();
        let file = SealedFile::create(faulty.create(NAME, 0).unwrap(), key(1)).unwrap();
        file.write_at(0, &[1; BLOCK_BYTES]).unwrap();
        file.sync().unwrap();
        if is_written {
            file.write_at(0, &[2; BLOCK_BYTES]).unwrap();
        }
        let before = all(&file).unwrap();
        faulty.refuse_writes(Some(ErrorKind::StorageFull));
        assert!(file.write_at(100, b"x").is_err());
        assert_eq!(file.sync().is_err(), is_written, "what is in no place cannot be synced");
        faulty.refuse_writes(None);
        assert_eq!(all(&file).unwrap(), before);
        file.sync().unwrap();
        for seed in 0..20 {
            let next = SealedFile::open(faulty.after_power_cut(seed).edit(NAME).unwrap(), key(1)).unwrap();
            assert_eq!(all(&next).unwrap(), before);
        }
        assert!(file.set_length(3 * BLOCK).is_ok() && file.length().unwrap() == 3 * BLOCK);
        faulty.refuse_writes(Some(ErrorKind::StorageFull));
        assert!(file.set_length(9 * BLOCK).is_err() && file.length().unwrap() == 3 * BLOCK);
    }
}

#[test]
fn what_was_cut_off_does_not_come_back_with_any_power_cut() {
    for seed in 0..100 {
        let memory = Memory::new();
        let file = numbered(&memory, 3);
        let (short, long) = ([10, 4096, 5000, 8191][seed as usize % 4], 3 * BLOCK);
        file.set_length(short).unwrap();
        file.sync().unwrap();
        file.set_length(long).unwrap();
        let next = open(&memory.after_power_cut(seed)).unwrap();
        let length = next.length().unwrap();
        assert!(length == short || length == long, "{length}");
        next.set_length(long).unwrap();
        // A last block that was written to in part may be torn.
        let rest = next.read_at(short, &mut [1]).and_then(|()| {
            let mut rest = vec![1; (long - short) as usize];
            next.read_at(short, &mut rest).map(|()| rest)
        });
        match rest {
            Ok(rest) => assert!(rest.iter().all(|byte| *byte == 0), "{short}"),
            Err(error) => assert!(is_not_authentic(&error) && short > BLOCK, "{short}"),
        }
    }
}

#[test]
fn what_is_overwritten_is_zeros() {
    let memory = Memory::new();
    memory.put(NAME, &vec![7; (1 << 20) + 5]).unwrap();
    overwrite(&*memory.edit(NAME).unwrap()).unwrap();
    assert_eq!(memory.read(NAME).unwrap(), vec![0; (1 << 20) + 5]);
}
