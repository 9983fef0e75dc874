//! Bits flip in a directory that a service has left: found, by an error that names the file, or nothing is different.
//! Never silently wrong.
//!
//! The directory has each kind of file: tables with checkpoints, logs of a process that was killed, runs of event ids,
//! consents and their journal, ledger, marks, audit, keys of every sort. Every flip has a copy of it of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use shoal_faults::{Flip, Trial, kind_of};

use crate::acts::Acts;
use crate::kill::{BUSY, today};
use crate::load::Senders;
use crate::run::Run;
use crate::service::{Service, Setup};
use crate::tables;

/// What became of a flip.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Seen {
    /// The start was refused.
    AtStart,
    /// A request, the end or a copy of the tables failed.
    Later,
    /// The start, a request or a copy failed, and the error does not say which file it is about.
    Unnamed,
    /// All is as before.
    Nowhere,
}

/// Makes the directory.
fn make(dir: &Path) -> (Setup, Senders, Acts) {
    let mut variables = BUSY.to_vec();
    variables.push(("SHOAL_QUERY_ANSWER_TIMES_MS", "100,200,500,1000,2000,4000,8000,16000,30000"));
    let setup = Setup::new(dir, &variables);
    let (senders, mut acts) = (Senders::default(), Acts::default());
    for _ in 0..2 {
        let service = setup.serve();
        work(&service, &setup, &senders, &mut acts);
        let rotate = ["keys", "rotate", "--table", "de/usage", "--day", &today()];
        let (code, _, told) = setup.run(&rotate);
        assert_eq!(code, Some(0), "{told}");
        service.stop_in_order();
    }
    let service = setup.with("SHOAL_INGEST_FLUSH_INTERVAL_MS", "300000").serve();
    work(&service, &setup, &senders, &mut acts);
    service.kill();
    (setup, senders, acts)
}

fn work(service: &Service, setup: &Setup, senders: &Senders, acts: &mut Acts) {
    let mut client = service.client();
    for _ in 0..3 {
        for _ in 0..10 {
            assert!(senders.send_next(&mut client, setup));
        }
        std::thread::sleep(Duration::from_millis(150));
        acts.withdraw(service, setup);
    }
    acts.ask(service, setup);
    Acts::run_retention(service, setup);
}

/// Every file below a directory but the log lines, by its path in it, with its length.
fn files(dir: &Path) -> Vec<(String, u64)> {
    let (mut found, mut open) = (Vec::new(), vec![dir.to_path_buf()]);
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let about = fs::symlink_metadata(&path).unwrap();
            if about.is_dir() {
                open.push(path);
            } else if about.is_file() && !path.ends_with("shoal.log") {
                let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                found.push((name, used(&path)));
            }
        }
    }
    found.sort();
    found
}

/// Bytes of a file up to its last one that is not zero, and a few more: a log has its length from the beginning, and a
/// flip far behind what was written to it shows nothing.
fn used(path: &Path) -> u64 {
    let bytes = fs::read(path).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    (used + used / 8 + 64).min(bytes.len()) as u64
}

fn copy(from: &Path, to: &Path, files: &[(String, u64)]) {
    for (name, _) in files {
        let target = to.join(name);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(from.join(name), target).unwrap();
    }
}

/// A directory as it was left, and what was acknowledged in it.
struct Left {
    setup: Setup,
    files: Vec<(String, u64)>,
    senders: Senders,
    acts: Acts,
}

impl Left {
    /// Looks at a copy with these bits flipped. An error is what is silently wrong, or an error that does not say which
    /// file it is about.
    fn look(&self, flip: &Flip, dir: &Path) -> Result<Seen, String> {
        copy(&self.setup.dir, dir, &self.files);
        let path = dir.join(&flip.file);
        let mut bytes = fs::read(&path).unwrap();
        flip.apply(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let setup = self.setup.moved(dir);
        let named = |told: &str| is_named(&flip.file, told);
        let service = match setup.try_serve() {
            Ok(service) => service,
            Err(told) if named(&told) => return Ok(Seen::AtStart),
            Err(told) if told.contains("shoal: ") => {
                println!("flips: the start does not name the file: {flip}: {told}");
                return Ok(Seen::Unnamed);
            }
            Err(told) => return Err(format!("the start ended without a word: {told}")),
        };
        // Whether it is known there must not change what is compared below.
        let senders = Senders::with(self.senders.sent.lock().unwrap().clone());
        let answered =
            senders.are_known(&service, &setup, 30).and_then(|()| self.acts.hold(&service, &setup));
        let (status, mut lines) = service.stop();
        let rows = tables::read(&setup);
        // An error of these has been told. What differs and was not told is silently wrong.
        let is_told =
            answered.as_ref().is_err_and(|told| told.contains(" 50")) || rows.is_err() || !status.success();
        lines.push_str(rows.as_ref().err().map_or("", String::as_str));
        let same = rows.map(|rows| self.senders.sent.lock().unwrap().compare(&rows)).unwrap_or(Ok(()));
        match (answered.and(same), is_told) {
            (Ok(()), false) => Ok(Seen::Nowhere),
            (Err(wrong), _) if !named(&lines) => Err(format!("{wrong}: {lines}")),
            _ if named(&lines) => Ok(Seen::Later),
            _ => {
                println!("flips: an error does not name the file: {flip}: {lines}");
                Ok(Seen::Unnamed)
            }
        }
    }
}

/// Whether a text says which file it is about: its name, or that of its folder where its own is a number.
fn is_named(file: &str, told: &str) -> bool {
    let path = PathBuf::from(file);
    let name = path.file_name().unwrap().to_str().unwrap();
    told.contains(name)
}

#[test]
fn a_flipped_bit_is_found_and_named_or_changes_nothing() {
    let Some(mut run) = Run::begin(Trial::Flips) else { return };
    let left = run.dir().join("left");
    fs::create_dir(&left).unwrap();
    let (setup, senders, acts) = make(&left);
    let left = Left { files: files(&left), setup, senders, acts };
    // Where one kind of file is looked at closely.
    let of = std::env::var("SHOAL_FLIPS_OF").unwrap_or_default();
    let flipped: Vec<(String, u64)> =
        left.files.iter().filter(|(name, _)| name.contains(&of)).cloned().collect();
    let bytes: u64 = left.files.iter().map(|(_, length)| length).sum();
    println!("flips: {} files, {bytes} bytes", left.files.len());
    let (mut seen, mut wrong) = (BTreeMap::<(String, Seen), u32>::new(), Vec::new());
    for turn in 0..run.count {
        let flip = Flip::choose(turn as usize, &flipped, &mut run.numbers).unwrap();
        let dir = run.dir().join(format!("flip-{turn}"));
        match left.look(&flip, &dir) {
            Ok(what) => {
                *seen.entry((kind_of(&flip.file), what)).or_default() += 1;
                fs::remove_dir_all(dir).unwrap();
            }
            Err(told) => {
                println!("flips: WRONG, in flip-{turn}: {flip}: {told}");
                wrong.push(format!("{flip}: {told}"));
            }
        }
    }
    let unnamed: Vec<&str> =
        seen.keys().filter(|(_, what)| *what == Seen::Unnamed).map(|(kind, _)| kind.as_str()).collect();
    let unknown = unnamed.iter().find(|kind| !kind.contains("/tables/"));
    assert!(
        unknown.is_none(),
        "errors must name their files, and so far those of tables alone do not: {unknown:?}"
    );
    for ((kind, what), count) in &seen {
        println!("flips: {kind}: {what:?} {count}");
    }
    assert!(wrong.is_empty(), "{} flips: {wrong:#?}", wrong.len());
}
