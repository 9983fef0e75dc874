//! probe
use super::{now_ms, registry};
use shoal_schemas::Region;
#[test]
fn probe() {
    let path = std::env::var("PROBE").unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let registry = registry();
    let (mut ok, mut all) = (0, 0);
    for (_, list) in &table {
        for q in list.as_array().unwrap() {
            let sql = q["sql"].as_str().unwrap();
            all += 1;
            match crate::question::ask(sql, &registry, Region::ALL, now_ms()) {
                Ok(question) => {
                    ok += 1;
                    println!("@@OK {} {} {} {}", question.releases.len(), question.releases.iter().map(|q| q.keys.len()).sum::<usize>(), question.releases.iter().map(|q| q.aggregates.len()).sum::<usize>(), question.releases.iter().any(|q| q.is_thresholded()));
                    println!("OK {sql}\n  => {}", question.free.sql);
                    for r in &question.releases {
                        println!("  -- {}", r.to_string().replace('\n', "\n     "));
                    }
                }
                Err(e) => println!("@@NO {e}\nNO {sql}\n  => {e}"),
            }
        }
    }
    println!("{ok} of {all}");
}
