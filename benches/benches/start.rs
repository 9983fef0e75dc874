//! How long a service takes to start over an audit of a million lines: the first time, when every line is read, and from
//! then on, when the ledger knows how far the audit was compared.
//!
//! ```sh
//! cargo bench -p shoal-benches --bench start -- target/release/shoal [lines]
//! ```
//! The lines are those of answered queries, in the form that queries write and under the numbers that the ledger has given.
//! Not here: a start over a large day (`day.rs`).

#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shoal_audit::{Act, ActOutcome, Actor, Audit, Origin, Role};
use shoal_storage::{BudgetLedger, LedgerFiles};
use uuid::Uuid;

const LINES: u64 = 1_000_000;
/// Lines that are made durable together.
const GROUP: u64 = 1_024;
/// 2026-11-22T12:00:00Z.
const NOW_MS: i64 = 1_795_348_800_000;

/// What the line of a query has beside those of every act.
fn fields(number: u64) -> Value {
    let text = format!(
        "FROM usage IN DE\nDAY 2026-11-22 (after 1 day)\nPROGRAMME user-experience\nFILTER (screen = 'screen-{number}')\n\
         AGGREGATE count(*) (scale 0, at most 50)\nGROUPS OF ONE SUBJECT'S DAY 1"
    );
    let blocks =
        json!([{"table": "usage", "regions": ["DE"], "first_day": "2026-11-22", "last_day": "2026-11-22"}]);
    json!({
        "rule": null, "line": null, "column": null, "precision": "normal", "sd_max": null, "source": "events",
        "answer_time_ms": 1_000, "queries": [{"text": text, "rho_per_block": "0.002", "blocks": blocks}],
        "reservations": [number],
    })
}

async fn write(data_dir: &Path, lines: u64) {
    let audit = Arc::new(Audit::open(data_dir).unwrap());
    for first in (1..=lines).step_by(GROUP as usize) {
        let group = (first..(first + GROUP).min(lines + 1)).map(|number| {
            let actor = Actor { key: Some("ana0123456789".to_owned()), role: Role::Analyst };
            let id = Uuid::from_u128(u128::from(number));
            let origin = Origin { at_ms: NOW_MS, act: Act::Query, id, actor };
            audit.begin(origin, fields(number)).end(ActOutcome::Answered)
        });
        futures::future::try_join_all(group).await.unwrap();
    }
}

/// A data directory with so many lines, whose ledger knows as many reservations.
fn make(dir: &Path, lines: u64) {
    let data_dir = dir.join("data");
    std::fs::create_dir_all(&data_dir).unwrap();
    let files = LedgerFiles::read(&data_dir, &dir.join("data.budget")).unwrap();
    BudgetLedger::accepting(files, &[], lines, 0).unwrap().settle(None).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(write(&data_dir, lines));
}

/// A service, and how long it took to say that it is ready.
fn started(program: &Path, dir: &Path) -> (Child, Duration) {
    let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let began = Instant::now();
    let mut child = Command::new(program)
        .arg("serve")
        .env("SHOAL_DATA_DIR", dir.join("data"))
        .env("SHOAL_KEY_FILE", dir.join("shoal.key"))
        .env("SHOAL_HTTP_LISTEN", at.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !is_ready(at) {
        assert!(child.try_wait().unwrap().is_none(), "it did not start");
        std::thread::sleep(Duration::from_millis(5));
    }
    (child, began.elapsed())
}

fn is_ready(at: SocketAddr) -> bool {
    let asked = TcpStream::connect(at).and_then(|mut stream| {
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: shoal\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    });
    asked.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let Some(program) = arguments.next().map(PathBuf::from) else {
        println!(
            "no program is named: cargo bench -p shoal-benches --bench start -- target/release/shoal [lines]"
        );
        return;
    };
    let lines = arguments.next().map_or(LINES, |lines| lines.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let began = Instant::now();
    make(dir.path(), lines);
    println!("{lines} lines written in {:.1} s", began.elapsed().as_secs_f64());
    for what in ["every line is read", "from where the last start was", "the same again"] {
        let (mut child, took) = started(&program, dir.path());
        println!("a start, {what}: {:.2} s", took.as_secs_f64());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
