//! Hundreds of faults between the client and the store, and what was told is true all the same.
//!
//! A model keeps what each name may stand for: one thing after an answer, several after an error. Whatever is read must be among them.
//! The seed is printed; `SHOAL_FAULTS` says after how many faults a run ends (100), `SHOAL_FAULTS_SEED` which seed it has.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use shoal_files::{Objects as _, S3, S3Settings};

use crate::proxy::{Deed, Proxy};
use crate::servers::{Server, open};

/// How many threads put the same name at once.
const RACERS: usize = 4;
const NAMES: [&str; 6] = ["a", "b", "f/c", "f/d", "f/g/e", "h"];

/// Numbers that a seed makes.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// What is done to each request: most pass, some do not, and now and then none passes for a while.
fn deeds(seed: u64, faults: Arc<AtomicUsize>) -> impl FnMut(usize, &str, &str) -> Deed + Send + 'static {
    let mut random = Random(seed);
    let mut outage = 0;
    move |_, _, path| {
        if outage == 0 && random.below(150) == 0 {
            outage = 20;
        }
        outage = u64::saturating_sub(outage, 1);
        if outage == 0 && random.below(4) != 0 {
            return Deed::Pass;
        }
        faults.fetch_add(1, Ordering::Relaxed);
        match random.below(11) {
            0..3 => Deed::LoseAnswer,
            // The requests of an upload have more time than all of a run.
            10 if !path.contains("upload") => Deed::Late,
            3 => Deed::CutAnswer,
            4 => Deed::AnswerAfter(500, "InternalError"),
            5 => Deed::AnswerAfter(503, "SlowDown"),
            6 => Deed::AnswerBefore(503, "SlowDown"),
            7 => Deed::AnswerBefore(429, "TooManyRequests"),
            8 => Deed::AnswerBefore(409, "ConditionalRequestConflict"),
            _ => Deed::Reset,
        }
    }
}

/// What a name may stand for: bytes, or nothing.
type Possible = Vec<Option<Vec<u8>>>;

/// What was seen in a run.
#[derive(Debug, Default)]
struct Seen {
    calls: usize,
    unknown: usize,
    taken: usize,
    races: usize,
}

struct Run {
    s3: S3,
    proxy: Proxy,
    random: Random,
    names: BTreeMap<String, Possible>,
    next: u64,
    seen: Seen,
}

impl Run {
    /// Bytes that no other call writes.
    fn bytes(&mut self, length: usize) -> Vec<u8> {
        self.next += 1;
        let mut bytes = format!("{}:", self.next).into_bytes();
        bytes.resize(length.max(bytes.len()), b'x');
        bytes
    }

    fn name(&mut self) -> String {
        NAMES[self.random.below(NAMES.len() as u64) as usize].to_owned()
    }

    fn possible(&mut self, name: &str) -> &mut Possible {
        self.names.entry(name.to_owned()).or_insert_with(|| vec![None])
    }

    /// An error that tells nothing, after which what was before is possible, too.
    fn is_unknown(&mut self, error: &io::Error) {
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        self.seen.unknown += 1;
    }

    fn step(&mut self) {
        self.seen.calls += 1;
        // A request that was given up may still be carried out, and the model knows nothing of what comes late.
        self.proxy.settle();
        let name = self.name();
        match self.random.below(20) {
            0..4 => {
                let bytes = self.bytes(100);
                let put = self.s3.put(&name, &bytes);
                self.over(&name, Some(bytes), put);
            }
            4 => {
                let bytes = self.bytes(9 << 20);
                let written = self.s3.write(&name).and_then(|mut draft| {
                    draft.write_all(&bytes)?;
                    draft.finish().map(drop)
                });
                self.over(&name, Some(bytes), written);
            }
            5..8 => {
                let removed = self.s3.remove(&[&name]);
                self.over(&name, None, removed);
            }
            8..13 => self.put_if_absent(&name),
            13..15 => self.race(),
            15..19 => self.read(&name),
            _ => self.list(),
        }
    }

    fn over(&mut self, name: &str, now: Option<Vec<u8>>, outcome: io::Result<()>) {
        match outcome {
            Ok(()) => *self.possible(name) = vec![now],
            Err(e) => {
                self.is_unknown(&e);
                self.possible(name).push(now);
            }
        }
    }

    fn put_if_absent(&mut self, name: &str) {
        let bytes = self.bytes(100);
        match self.s3.put_if_absent(name, &bytes) {
            Ok(()) => {
                assert!(self.possible(name).contains(&None), "{name}: somebody else's was there");
                *self.possible(name) = vec![Some(bytes)];
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                self.seen.taken += 1;
                self.possible(name).retain(Option::is_some);
                assert!(!self.possible(name).is_empty(), "{name}: nobody else's was there");
            }
            Err(e) => {
                self.is_unknown(&e);
                if self.possible(name).contains(&None) {
                    self.possible(name).push(Some(bytes));
                }
            }
        }
    }

    /// Several put a name that nobody has.
    fn race(&mut self) {
        self.seen.races += 1;
        let name = format!("race/{}", self.seen.races);
        let all: Vec<Vec<u8>> = (0..RACERS).map(|_| self.bytes(100)).collect();
        let outcomes: Vec<io::Result<()>> = std::thread::scope(|scope| {
            let (s3, name) = (&self.s3, &name);
            let threads: Vec<_> =
                all.iter().map(|bytes| scope.spawn(move || s3.put_if_absent(name, bytes))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let winners: Vec<usize> = (0..RACERS).filter(|racer| outcomes[*racer].is_ok()).collect();
        let mut unknown = Vec::new();
        for (racer, outcome) in outcomes.iter().enumerate() {
            match outcome {
                Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                    self.is_unknown(e);
                    unknown.push(racer);
                }
                _ => {}
            }
        }
        match winners[..] {
            [winner] => *self.possible(&name) = vec![Some(all[winner].clone())],
            [] => {
                assert!(!unknown.is_empty(), "{name}: nobody has won");
                let mut possible: Possible = unknown.iter().map(|racer| Some(all[*racer].clone())).collect();
                // Whoever was told that it is there has seen it.
                if unknown.len() == RACERS {
                    possible.push(None);
                }
                *self.possible(&name) = possible;
            }
            _ => panic!("{name}: several have won: {winners:?}"),
        }
        self.proxy.settle();
        self.read(&name);
    }

    fn read(&mut self, name: &str) {
        let found = match self.s3.read(name) {
            Ok(bytes) => Some(bytes),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return self.is_unknown(&e),
        };
        let shown = |bytes: &Option<Vec<u8>>| {
            bytes.as_ref().map(|b| String::from_utf8_lossy(&b[..b.len().min(12)]).into_owned())
        };
        let possible = self.possible(name);
        let expected: Vec<_> = possible.iter().map(shown).collect();
        assert!(possible.contains(&found), "{name}: {:?} is none of {expected:?}", shown(&found));
        *possible = vec![found];
    }

    fn list(&mut self) {
        let listed = match self.s3.list("") {
            Ok(entries) => entries,
            Err(e) => return self.is_unknown(&e),
        };
        let listed: BTreeMap<String, u64> =
            listed.into_iter().map(|entry| (entry.name, entry.bytes)).collect();
        let length = |one: &Option<Vec<u8>>| one.as_ref().map(|bytes| bytes.len() as u64);
        for (name, possible) in &mut self.names {
            let bytes = listed.get(name).copied();
            let expected: Vec<_> = possible.iter().map(length).collect();
            possible.retain(|one| length(one) == bytes);
            assert!(!possible.is_empty(), "{name}: listed with {bytes:?} bytes, not {expected:?}");
        }
        assert!(listed.keys().all(|name| self.names.contains_key(name)));
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

#[test]
fn what_was_told_is_true_whatever_the_network_does() {
    let seed = variable("SHOAL_FAULTS_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let wanted = variable("SHOAL_FAULTS").unwrap_or(100) as usize;
    println!("SHOAL_FAULTS_SEED={seed} SHOAL_FAULTS={wanted}");
    let server = Server::shared();
    let faults = Arc::new(AtomicUsize::new(0));
    let proxy = Proxy::start(server.port, deeds(seed, Arc::clone(&faults)));
    let prefix = format!("faults-{seed}");
    let settings = S3Settings {
        request_timeout: Duration::from_millis(700),
        give_up_after: Duration::from_secs(2),
        ..S3Settings::default()
    };
    let s3 = open(proxy.port, &prefix, settings);
    let mut run =
        Run { s3, proxy, random: Random(!seed), names: BTreeMap::new(), next: 0, seen: Seen::default() };
    while faults.load(Ordering::Relaxed) < wanted || run.seen.calls < 3 * wanted {
        run.step();
    }
    run.proxy.settle();
    // At the end, without a fault: every name stands for what was told.
    run.s3 = server.bucket(&prefix);
    run.list();
    for name in run.names.keys().cloned().collect::<Vec<_>>() {
        run.read(&name);
    }
    println!("{:?}, {} faults", run.seen, faults.load(Ordering::Relaxed));
    assert!(run.seen.taken > 0 && run.seen.races > 0);
}
