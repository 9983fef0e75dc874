//! kill -9 at any moment: while the service starts, takes events, flushes, merges, removes expired days, rotates keys,
//! makes a backup.
//!
//! What was acknowledged by any of the processes is there once at the end, and no start needs a hand.

use std::time::{Duration, Instant};

use serde_json::json;
use shoal_faults::{Numbers, Trial};

use crate::load::Senders;
use crate::run::Run;
use crate::service::{Service, Setup};
use crate::tables;

/// Frequent flushes, so that kills hit them.
pub(crate) const BUSY: [(&str, &str); 3] = [
    ("SHOAL_INGEST_FLUSH_INTERVAL_MS", "50"),
    ("SHOAL_INGEST_SEGMENT_BYTES_MAX", "4194304"),
    ("SHOAL_STORAGE_COMPACTION_INTERVAL_MIN", "1"),
];

/// What an operator may have running when the process dies.
pub(crate) fn maintenance(numbers: &mut Numbers, setup: &Setup, at: u64) -> String {
    let backup = setup.dir.join(format!("backup-{}", at % 2)).display().to_string();
    let copy = setup.dir.join(format!("copy-{at}")).display().to_string();
    let region = numbers.one_of(&["de", "us", "sg", "my"]);
    let choices = [
        "retention".to_owned(),
        format!("backup create {backup}"),
        format!("tables copy --decrypt {copy}"),
        format!("keys rotate --table {region}/usage --day {}", today()),
        "reload".to_owned(),
        "keys create ingest --kind server --app other --regions DE".to_owned(),
    ];
    numbers.one_of(&choices).clone()
}

/// Something that runs beside the service, and that may be killed with it.
pub(crate) enum Running {
    Command(std::process::Child),
    Request(std::thread::JoinHandle<()>),
}

impl Running {
    pub(crate) fn start(what: &str, service: &Service, setup: &Setup) -> Running {
        if what == "retention" {
            let (mut client, key) = (service.client(), setup.officer_key.clone());
            let ask = move || drop(client.post("/v1/retention/runs", &key, &json!({"dry_run": false})));
            return Running::Request(std::thread::spawn(ask));
        }
        Running::Command(setup.spawn(&what.split(' ').collect::<Vec<_>>()))
    }

    pub(crate) fn end(self, is_killed: bool) {
        match self {
            Running::Command(mut command) => {
                if is_killed {
                    let _ = command.kill();
                }
                command.wait().unwrap();
            }
            Running::Request(request) => request.join().unwrap(),
        }
    }
}

/// The day, by the clock of the machine.
pub(crate) fn today() -> String {
    let output = std::process::Command::new("date").args(["-u", "+%F"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn sleep_ms(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// One process, from its start to its death.
fn cycle(run: &mut Run, senders: &Senders, setup: &Setup, at: u64) {
    if run.numbers.one_in(5) {
        let service = setup.begin();
        sleep_ms(run.numbers.below(1_500));
        return service.kill();
    }
    let began = Instant::now();
    let service = setup.serve();
    run.took("ready after kill -9", service.ready());
    senders.send_again(&service, setup);
    let what = run.numbers.one_in(3).then(|| maintenance(&mut run.numbers, setup, at));
    let alive_ms = *run.numbers.one_of(&[20, 100, 300, 600]) + run.numbers.below(200);
    let running = senders.during(&service, setup, || {
        let running = what.map(|what| Running::start(&what, &service, setup));
        sleep_ms(alive_ms);
        service.strike();
        running
    });
    service.kill();
    if let Some(running) = running {
        // It may be in the middle of something, too.
        running.end(run.numbers.one_in(2));
    }
    run.took("a cycle", began.elapsed());
}

#[test]
fn what_was_acknowledged_is_there_once_however_often_the_process_is_killed() {
    let Some(mut run) = Run::begin(Trial::Kill) else { return };
    let mut variables = BUSY.to_vec();
    if run.numbers.one_in(4) {
        variables.push(("SHOAL_STORAGE_ENCRYPT", "false"));
    }
    let setup = Setup::new(run.dir(), &variables);
    let senders = Senders::default();
    for at in 0..run.count {
        cycle(&mut run, &senders, &setup, at);
        // A long run compares now and then, so that a fault is found near its cycle.
        if at % 100 == 99 {
            all_is_there(&senders, &setup);
        }
    }
    all_is_there(&senders, &setup);
    let (count, refusals) = (senders.count.into_inner(), senders.refusals.into_inner().unwrap());
    println!("kill: {count} batches were acknowledged, {} refused", refusals.len());
    assert!(count > run.count, "too few batches were acknowledged for a trial");
}

/// Starts, sends again what was acknowledged, stops in order, and compares all tables with what was sent.
pub(crate) fn all_is_there(senders: &Senders, setup: &Setup) {
    let service = setup.serve();
    senders.are_known(&service, setup, 40).unwrap();
    senders.send_again(&service, setup);
    service.stop_in_order();
    let rows = tables::read(setup).unwrap();
    senders.sent.lock().unwrap().compare(&rows).unwrap();
}
