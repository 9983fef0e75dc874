//! An erasure of a table of the size that an operator says: `SHOAL_ERASE_ROWS` rows, `SHOAL_ERASE_SUBJECTS` subjects to erase. It tells
//! how long it took, and checks what went.

use super::*;

/// Rows, unless told otherwise.
const ROWS: u64 = 60_000;
/// Subjects to erase, unless told otherwise.
const GONE: u64 = 50;
const FILES: u64 = 6;
/// Events of each subject in a file.
const EVENTS: u64 = 10;

fn told(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_many_rows_loses_those_of_some_subjects_alone() {
    let (rows, gone) = (told("SHOAL_ERASE_ROWS", ROWS), told("SHOAL_ERASE_SUBJECTS", GONE));
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    let of_a_file = rows / FILES / EVENTS * EVENTS;
    for at in 0..FILES {
        let first = at * of_a_file;
        let rows: Vec<Row> = (first..first + of_a_file)
            .map(|n| ((n - first) / EVENTS, n, (n as i64 * 7_919) % DAY_MS))
            .collect();
        let day = DAY + i32::try_from(at).unwrap();
        table.append(vec![part(UX, day, &rows)], LOG, at as i64 + 1).await.unwrap();
    }
    let gone = gone.min(of_a_file / EVENTS / 2);
    let everybody = of_a_file / EVENTS;
    let gone = subjects((0..gone).map(|n| n * (everybody / gone)));
    let began = std::time::Instant::now();
    let held = table.holding(Arc::clone(&gone)).await.unwrap();
    let looked = began.elapsed();
    let erased = table.erase(0, Arc::clone(&gone)).await.unwrap();
    println!(
        "{rows} rows, {} subjects: looked {looked:?}, erased {:?}",
        gone.len(),
        began.elapsed() - looked
    );
    assert_eq!((erased.files, erased.rows), (FILES, gone.len() as u64 * EVENTS * FILES));
    assert_eq!((held.files, held.rows, held.bytes_in), (erased.files, erased.rows, erased.bytes_in));
    let left: u64 = files(&table).await.iter().map(|file| file.rows).sum();
    assert_eq!(left, of_a_file * FILES - erased.rows);
}
