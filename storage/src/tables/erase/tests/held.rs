//! Rows of subjects are read for whoever is told of them: all of theirs, nobody else's, and what does not fit is told.

use serde_json::Value;

use super::*;

fn numbers(lines: &[u8]) -> Vec<(String, i64)> {
    let lines = std::str::from_utf8(lines).unwrap().lines();
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        (row["subject"].as_str().unwrap().to_owned(), row["n"].as_i64().unwrap())
    };
    lines.map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_the_subjects_are_read_and_no_others_and_what_does_not_fit_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    for (at, day) in [1, 0, 2].into_iter().enumerate() {
        let rows = some(at as u64 * 1_000, 90, 9);
        table.append(vec![part(UX, DAY + day, &rows)], LOG, at as i64 + 1).await.unwrap();
    }
    let (two, before) = (subjects([3, 5]), all(&table).await);
    let held = table.held_rows(Arc::clone(&two), |_| true, usize::MAX).await.unwrap();
    assert!(!held.is_cut);
    let mut found = numbers(&held.lines);
    found.sort();
    let mut wanted: Vec<(String, i64)> =
        before.iter().filter(|row| is_of(row, &two)).map(|row| (hex::encode(&row.2), row.5)).collect();
    wanted.sort();
    assert_eq!((found, held.rows), (wanted, 60));
    // Of a day that is not told there is nothing, and the oldest days come first where there is no room for all.
    let own = |n: i32| move |file: &LiveFile| file.day == DAY + n;
    let first = table.held_rows(Arc::clone(&two), own(0), usize::MAX).await.unwrap();
    assert_eq!(first.rows, 20);
    let cut = table.held_rows(Arc::clone(&two), |_| true, first.lines.len() + 10).await.unwrap();
    assert_eq!((cut.is_cut, cut.lines, cut.rows), (true, first.lines, 20));
    let nobody = table.held_rows(subjects([77]), |_| true, usize::MAX).await.unwrap();
    assert_eq!((nobody.rows, nobody.is_cut, nobody.lines.len()), (0, false, 0));
    assert_eq!(all(&table).await, before, "it has only looked");
}
