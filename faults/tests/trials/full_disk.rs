//! A disk that is full, for each part of the data that an operator may give a disk of its own, and for all of it.
//!
//! Events are refused with 507 and with nothing else, or are kept in the log; questions fail; the process goes on, says
//! what is full, and takes everything again by itself when there is room. What was acknowledged is there once.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;
use shoal_faults::Trial;

use crate::acts::Acts;
use crate::disks::Mounted;
use crate::kill::{BUSY, all_is_there};
use crate::load::Senders;
use crate::run::Run;
use crate::service::{Service, Setup, until};

/// A part of the data with a disk of its own. The ledger's file has pages to spare, so that it may be a long time until
/// it needs room.
struct Place {
    name: &'static str,
    /// Its directory below that of the service.
    dir: &'static str,
    mib: u64,
    /// MiB that are left when it is filled, and the least that the setting asks for.
    left_mib: u64,
    /// The files of a log that is in use have their length from the beginning, and are used again: a running service
    /// needs no room.
    is_filled_while_stopped: bool,
    /// What `/readyz` calls the part that does not work then.
    part: &'static str,
}

const PLACES: [Place; 5] = [
    Place {
        name: "log",
        dir: "data/de/log",
        mib: 48,
        left_mib: 0,
        is_filled_while_stopped: true,
        part: "events",
    },
    Place {
        name: "tables",
        dir: "data/de/tables",
        mib: 48,
        left_mib: 0,
        is_filled_while_stopped: false,
        part: "tables",
    },
    Place {
        name: "ledger",
        dir: "data/ledger",
        mib: 48,
        left_mib: 0,
        is_filled_while_stopped: false,
        part: "questions",
    },
    Place {
        name: "audit",
        dir: "data/audit",
        mib: 16,
        left_mib: 0,
        is_filled_while_stopped: false,
        part: "audit",
    },
    Place {
        name: "all data",
        dir: "data",
        mib: 320,
        left_mib: 24,
        is_filled_while_stopped: true,
        part: "events",
    },
];

/// Takes all the room there is, but for so many MiB.
fn fill(dir: &Path, left_mib: u64) -> PathBuf {
    let path = dir.join("filler");
    let mut file = File::create(&path).unwrap();
    for bytes in [1 << 20, 1 << 12, 1] {
        while file.write_all(&vec![0; bytes]).is_ok() {}
    }
    let length = file.metadata().unwrap().len();
    file.set_len(length.saturating_sub(left_mib << 20)).unwrap();
    file.sync_all().unwrap();
    path
}

/// Removes the files that the log keeps to use them again, as a copy of the directory to another disk may have left
/// them out.
fn remove_spares(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("lost+found") {
            remove_spares(&path);
        } else if path.extension().is_some_and(|extension| extension == "spare") {
            fs::remove_file(path).unwrap();
        }
    }
}

/// The trial of one place.
struct Full<'a> {
    place: &'a Place,
    setup: Setup,
    senders: Senders,
    acts: Acts,
}

impl Full<'_> {
    /// Lets the disk be full and then not.
    fn round(&mut self, mut service: Service, disk: &Path) -> Service {
        let name = self.place.name;
        self.acts.withdraw(&service, &self.setup);
        self.acts.ask(&service, &self.setup);
        self.send(&service, 40);
        let filler = match self.place.is_filled_while_stopped {
            true => {
                service.stop_in_order();
                remove_spares(disk);
                let filler = fill(disk, self.place.left_mib);
                service = self.setup.serve();
                filler
            }
            false => fill(disk, self.place.left_mib),
        };
        let mut presses = 0;
        let told = until(&format!("{name}: somebody is told that there is no room"), || {
            presses += 1;
            let nothing = || "nothing needed more room".to_owned();
            self.press(&service).or_else(|| (self.place.name == "ledger" && presses > 25).then(nothing))
        });
        println!("full-disk: {name}: {told}");
        assert!(service.is_running(), "{name}: {}", service.lines());
        assert_eq!(service.client().get("/healthz").unwrap().status, 200, "{name}");
        self.send(&service, 20);
        fs::remove_file(filler).unwrap();
        until(&format!("{name}: readiness by itself"), || {
            (service.client().get("/readyz").unwrap().status == 200).then_some(())
        });
        until(&format!("{name}: events of all regions are taken by themselves"), || {
            let before = self.refusals();
            self.send(&service, 8);
            (self.refusals() == before).then_some(())
        });
        until(&format!("{name}: answers by themselves"), || {
            let before = self.acts.counts();
            self.acts.ask(&service, &self.setup);
            self.acts.withdraw(&service, &self.setup);
            let now = self.acts.counts();
            (now.0 > before.0 && now.1 > before.1).then_some(())
        });
        self.acts.hold(&service, &self.setup).unwrap();
        self.senders.send_again(&service, &self.setup);
        service
    }

    fn refusals(&self) -> usize {
        self.senders.refusals.lock().unwrap().len()
    }

    fn send(&self, service: &Service, batches: usize) {
        let mut client = service.client();
        for _ in 0..batches {
            assert!(
                self.senders.send_next(&mut client, &self.setup),
                "{}: there is no answer",
                self.place.name
            );
        }
        let refusals = self.senders.refusals.lock().unwrap();
        let other = refusals.iter().find(|(status, _)| *status != 507 && *status != 429);
        assert!(other.is_none(), "{}: events are refused with {other:?}", self.place.name);
    }

    /// Sends and asks; what says that the disk is full, as soon as something does.
    fn press(&mut self, service: &Service) -> Option<String> {
        self.send(service, 16);
        let sql = format!(
            "SELECT COUNT(*) AS n FROM crash WHERE region = 'DE' AND screen <> 's{}'",
            self.refusals()
        );
        let asked = service.client().post(
            "/v1/sql",
            &self.setup.officer_key,
            &json!({"sql": sql, "precision": "low"}),
        );
        assert!(matches!(asked.unwrap().status, 200 | 429 | 500 | 503 | 507));
        let refused =
            self.senders.refusals.lock().unwrap().iter().filter(|(status, _)| *status == 507).count();
        let told = service.client().get("/readyz").unwrap();
        let parts = told.json()["parts"].as_array().cloned().unwrap_or_default();
        let full = parts.iter().find(|part| part["state"] == "full" || part["state"] == "failed");
        full.map(|full| {
            let part = full["part"].as_str().unwrap_or_default();
            let is_meant = part == self.place.part;
            format!(
                "/readyz {} names {part} (meant: {is_meant}); {refused} batches were answered 507",
                told.status
            )
        })
    }
}

/// Gives the part a disk of its own, and fills it so many times.
fn trial(run: &mut Run, place: &Place) {
    let dir = run.dir().join(place.name.replace(' ', "-"));
    fs::create_dir(&dir).unwrap();
    let mut variables = BUSY.to_vec();
    variables.push(("SHOAL_QUERY_ANSWER_TIMES_MS", "100,200,500,1000,2000,4000,8000,16000,30000"));
    if place.left_mib > 0 {
        variables.push(("SHOAL_INGEST_FREE_BYTES_MIN", "67108864"));
    }
    let setup = Setup::new(&dir, &variables);
    setup.serve().stop_in_order();
    let path = dir.join(place.dir);
    let disk = match run.numbers.one_in(2) {
        true => Mounted::in_memory(place.mib, &path, Trial::FullDisk),
        false => Mounted::image_in_place(place.mib, &path, Trial::FullDisk),
    };
    let mut full = Full { place, setup, senders: Senders::default(), acts: Acts::default() };
    let mut service = full.setup.serve();
    for _ in 0..run.count {
        service = full.round(service, disk.path());
        if run.numbers.one_in(3) {
            service.kill();
            service = full.setup.serve();
        }
    }
    service.stop_in_order();
    all_is_there(&full.senders, &full.setup);
}

#[test]
fn a_full_disk_is_answered_as_such_and_all_goes_on_by_itself_when_there_is_room() {
    let Some(mut run) = Run::begin(Trial::FullDisk) else { return };
    for place in &PLACES {
        trial(&mut run, place);
    }
}
