//! High-water marks and limits of a subject's day, for fuzzing.
//!
//! Not here: the entry (`crate::fuzzing`).

use shoal_schemas::Region;

use super::day_limits::DayLimits;
use super::mark_form::{content, file_bytes};

/// Whether bytes are either file, as they are or with the right checksums.
pub(crate) fn spent(bytes: &[u8]) -> bool {
    let is_mark = mark(bytes);
    let is_limits = limits(bytes);
    let is_mark_inside = mark(&mark_with_checksums(bytes));
    let is_limits_inside = bytes.split_last_chunk::<4>().is_some_and(|(said, _)| {
        let crc = crc32fast::hash(said).to_le_bytes();
        limits(&[said, &crc].concat())
    });
    is_mark || is_limits || is_mark_inside || is_limits_inside
}

fn mark(bytes: &[u8]) -> bool {
    let Some(found) = content(bytes, Region::De) else { return false };
    assert!(found.good <= bytes.len());
    let again = content(&file_bytes(&found.spent, found.reservation), Region::De);
    assert!(again.is_some_and(|of| of.spent == found.spent && of.reservation == found.reservation));
    true
}

fn limits(bytes: &[u8]) -> bool {
    let Some(found) = DayLimits::of_bytes(bytes) else { return false };
    assert!(found.to_bytes() == bytes, "each record has one form");
    for day in [i32::MIN, -1, 0, 20_000, i32::MAX] {
        found.most_on(day);
        found.is_counted(day);
        if let Some(changed) = found.changed_to(day.unsigned_abs().into(), day) {
            assert!(DayLimits::of_bytes(&changed.to_bytes()).is_some_and(|again| again == changed));
            found.clone().or_newer(changed);
        }
    }
    true
}

fn mark_with_checksums(bytes: &[u8]) -> Vec<u8> {
    let (mut bytes, mut at) = (bytes.to_vec(), 8);
    while let Some(length) = bytes.get(at + 4..).and_then(|rest| rest.first_chunk::<4>()) {
        let end = at + 8 + u32::from_le_bytes(*length) as usize;
        if bytes.len() < end + 4 {
            break;
        }
        let crc = crc32fast::hash(&bytes[at + 4..end]).to_le_bytes();
        bytes[end..end + 4].copy_from_slice(&crc);
        at = end + 4;
    }
    bytes
}

/// `SHOAL_WRITE_SEEDS=1 cargo test -p shoal-storage -- seeds_of` writes them anew.
#[cfg(test)]
#[test]
fn seeds_of_what_was_spent_are_read() {
    use super::amount::{Amount, Spent};
    use super::mark_form::{batch_bytes, file_bytes_of_first_form};
    use super::order::Block;
    use shoal_schemas::Kind;

    let block = |day| Block { region: Region::De, kind: Kind::Usage, day };
    let spent: Spent = (0..3)
        .map(|day| ((block(20_000 + day), 1), Amount { nano: 5_000_000, delta_atto: 10_000 }))
        .collect();
    let lowered = DayLimits::beginning(5_000, Some(20_000)).changed_to(1_000, 20_010).expect("it is another");
    let mark = [file_bytes(&spent, 7), batch_bytes(&spent, 8)].concat();
    for (name, bytes) in [
        ("mark-torn", [&mark[..], b"BWb2\x08"].concat()),
        ("mark", mark),
        ("mark-first-form", file_bytes_of_first_form(&spent)),
        ("limits", lowered.to_bytes()),
    ] {
        assert!(super::fuzzing::spent(&bytes), "{name}");
        if std::env::var_os("SHOAL_WRITE_SEEDS").is_some() {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/spent");
            std::fs::create_dir_all(&folder).expect("a folder can be made");
            std::fs::write(folder.join(name), bytes).expect("a file can be written");
        }
    }
}
