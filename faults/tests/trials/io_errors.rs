//! The Nth call of a family of calls of the system fails, once, some times or from then on: EIO, or ENOSPC where a disk
//! without room can be the reason.
//!
//! The process ends with an error and says why, or goes on; it never hangs and never panics. The next start needs no
//! hand, and all that was acknowledged is there.

use std::time::{Duration, Instant};

use shoal_faults::Trial;

use crate::acts::Acts;
use crate::failing::{FailingCalls, Failure};
use crate::kill::{BUSY, all_is_there};
use crate::load::Senders;
use crate::run::Run;
use crate::service::{Service, Setup};

/// The trial and what it knows.
struct Io {
    run: Run,
    calls: FailingCalls,
    plain: Setup,
    senders: Senders,
    acts: Acts,
    /// Calls of each family during a start, and during some work.
    of_start: [u64; 9],
    of_work: [u64; 9],
    /// Errors so far, and those that ended the process.
    errors: u64,
    ends: u64,
}

impl Io {
    fn begin(run: Run) -> Io {
        let service_dir = run.dir().join("service");
        std::fs::create_dir(&service_dir).unwrap();
        let mut variables = BUSY.to_vec();
        variables.push(("SHOAL_QUERY_ANSWER_TIMES_MS", "100,200,500,1000,2000,4000,8000,16000,30000"));
        let plain = Setup::new(&service_dir, &variables);
        let calls = FailingCalls::new(run.dir());
        let (senders, acts) = (Senders::default(), Acts::default());
        let (of_start, of_work, errors, ends) = ([0; 9], [0; 9], 0, 0);
        Io { run, calls, plain, senders, acts, of_start, of_work, errors, ends }
    }

    /// Counts the calls of a start and of some work, so that N can be any of them.
    fn count_calls(&mut self) {
        let within = self.calls.within(&self.plain);
        within.serve().stop_in_order();
        let before = self.calls.calls();
        let service = within.serve();
        let started = self.calls.calls();
        self.work(&service, Duration::from_millis(300), false);
        let worked = self.calls.calls();
        service.stop_in_order();
        for family in 0..9 {
            self.of_start[family] = started[family] - before[family];
            self.of_work[family] = worked[family] - started[family];
        }
        println!("io: calls of a start {:?}, of work {:?}", &self.of_start[1..], &self.of_work[1..]);
    }

    /// Events, withdrawals, questions and retention, for a while or until something has failed and a little longer.
    fn work(&mut self, service: &Service, time: Duration, is_failing: bool) {
        let began = Instant::now();
        let (acts, plain, calls) = (&mut self.acts, &self.plain, &self.calls);
        let with_retention = self.run.numbers.one_in(8);
        self.senders.during(service, plain, || {
            acts.withdraw(service, plain);
            acts.ask(service, plain);
            if with_retention {
                Acts::run_retention(service, plain);
            }
            while began.elapsed() < time && !(is_failing && calls.failed() > 0) {
                std::thread::sleep(Duration::from_millis(10));
            }
            acts.withdraw(service, plain);
            std::thread::sleep(Duration::from_millis(50));
        });
    }

    /// What failed is counted and told.
    fn ended(&mut self, failure: &Failure) -> Vec<String> {
        let failed = self.calls.end();
        self.errors += failed.len().min(1) as u64;
        if !failed.is_empty() {
            println!("io {}: {failure:?}: {} failed, first {}", self.errors, failed.len(), failed[0]);
        }
        failed
    }

    /// A start in which a call fails.
    fn start(&mut self) {
        let failure = Failure::choose(&mut self.run.numbers, &self.of_start);
        self.calls.begin(&failure);
        let started = self.calls.within(&self.plain).try_serve();
        if let Ok(service) = &started {
            let time = Duration::from_millis(self.run.numbers.below(200));
            self.work(service, time, true);
        }
        self.ended(&failure);
        match started {
            Ok(service) => self.stop(service, &failure),
            Err(told) => {
                self.ends += 1;
                assert!(told.contains("exit status") && told.contains("rror"), "{failure:?}: {told}");
            }
        }
    }

    /// A process in which nothing fails at the start and all of before is there; then calls fail until it ends, or for
    /// some rounds.
    fn rounds(&mut self) {
        let mut service = self.calls.within(&self.plain).serve();
        let ready = service.ready();
        self.run.took("ready after an error", ready);
        self.senders.are_known(&service, &self.plain, 12).unwrap();
        self.acts.hold(&service, &self.plain).unwrap();
        self.senders.send_again(&service, &self.plain);
        let mut last = None;
        for _ in 0..3 {
            let failure = Failure::choose(&mut self.run.numbers, &self.of_work);
            self.calls.begin(&failure);
            self.work(&service, Duration::from_millis(400), true);
            if !self.ended(&failure).is_empty() {
                last = Some(failure);
            }
            if !service.is_running() || self.run.numbers.one_in(3) {
                break;
            }
        }
        match last {
            Some(failure) => self.stop(service, &failure),
            None => service.stop_in_order(),
        }
    }

    /// Ends a process in which something failed: by itself, in order or by a kill.
    fn stop(&mut self, mut service: Service, failure: &Failure) {
        if service.is_running() && self.run.numbers.one_in(2) {
            return service.kill();
        }
        let (status, lines) = service.stop();
        assert!(status.code().is_some(), "{failure:?}: {status}: {lines}");
        if !status.success() {
            self.ends += 1;
            assert!(lines.contains("ERROR"), "{failure:?}: it ended without a word: {lines}");
        }
    }
}

#[test]
fn what_was_acknowledged_is_there_once_whichever_call_of_the_system_fails() {
    let Some(run) = Run::begin(Trial::Io) else { return };
    let count = run.count;
    let mut io = Io::begin(run);
    io.count_calls();
    let mut compared = 0;
    while io.errors < count {
        if io.run.numbers.one_in(3) {
            io.start();
        }
        io.rounds();
        if io.errors >= compared + 40 {
            compared = io.errors;
            all_is_there(&io.senders, &io.plain);
        }
    }
    all_is_there(&io.senders, &io.plain);
    let service = io.plain.serve();
    io.acts.hold(&service, &io.plain).unwrap();
    service.stop_in_order();
    let (withdrawals, answers) = io.acts.counts();
    println!(
        "io: {} errors, {} ended the process; {} batches, {withdrawals} withdrawals and {answers} answers were acknowledged",
        io.errors,
        io.ends,
        io.senders.count.into_inner(),
    );
}
