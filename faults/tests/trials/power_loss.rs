//! A power cut at any moment: what the disk had then is copied, and a service is started on the copy.
//!
//! Everything that was acknowledged before the cut is there once, the start needs no hand, and withdrawals and answers
//! hold.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use shoal_faults::{Sent, Trial};

use crate::acts::Acts;
use crate::disks::CutDisk;
use crate::kill::{BUSY, Running, maintenance};
use crate::load::Senders;
use crate::run::Run;
use crate::service::{Service, Setup};
use crate::tables;

/// MiB of the disk.
const MIB: u64 = 384;

/// The running service, and what was sent to it.
struct Cut {
    // Dropped in this order: the service, its disk, and the directory in which the disk is mounted.
    service: Option<Service>,
    setup: Setup,
    senders: Senders,
    acts: Acts,
    disk: CutDisk,
    run: Run,
}

impl Cut {
    fn begin(mut run: Run) -> Cut {
        let all = ["data=ordered", "data=ordered,commit=1", "data=writeback", "data=journal"];
        let options = *run.numbers.one_of(&all);
        println!("power-loss: ext4 with {options}");
        let disk = CutDisk::new(run.dir(), MIB, options);
        let mut variables = BUSY.to_vec();
        variables.push(("SHOAL_QUERY_ANSWER_TIMES_MS", "100,200,500,1000,2000,4000,8000,16000,30000"));
        let setup = Setup::new(disk.path(), &variables);
        Cut { run, service: None, setup, senders: Senders::default(), acts: Acts::default(), disk }
    }

    /// Load, a cut, and a look at what it left.
    fn cut(&mut self, at: u64) {
        let Cut { run, service, setup, senders, acts, disk } = self;
        if run.numbers.one_in(5)
            && let Some(running) = service.take()
        {
            running.kill();
        }
        let service = service.get_or_insert_with(|| setup.serve());
        let what = run.numbers.one_in(3).then(|| maintenance(&mut run.numbers, setup, at));
        let pause = Duration::from_millis(30 + run.numbers.below(700));
        let (running, before, copied) = senders.during(service, setup, || {
            acts.withdraw(service, setup);
            acts.ask(service, setup);
            let running = what.map(|what| Running::start(&what, service, setup));
            std::thread::sleep(pause);
            let before = senders.sent.lock().unwrap().clone();
            (running, before, disk.cut(run.dir()))
        });
        if let Some(running) = running {
            running.end(false);
        }
        let began = Instant::now();
        self.look(&before, copied.path());
        self.run.took("a look at what a cut left", began.elapsed());
    }

    /// What was sent until now may be in it, and what was acknowledged before it must.
    fn look(&mut self, before: &Sent, copied: &Path) {
        let mut sent = before.clone();
        let all = self.senders.sent.lock().unwrap().clone();
        all.acknowledged().chain(all.unknown()).for_each(|batch| sent.lose(batch));
        let senders = Senders::with(sent);
        let setup = self.setup.moved(copied);
        let service = setup.serve();
        self.run.took("ready after a cut", service.ready());
        senders.are_known(&service, &setup, 20).unwrap();
        self.acts.hold(&service, &setup).unwrap();
        senders.send_again(&service, &setup);
        service.stop_in_order();
        let rows = tables::read(&setup).unwrap();
        senders.sent.lock().unwrap().compare(&rows).unwrap();
    }
}

#[test]
fn what_was_acknowledged_before_a_power_cut_is_there_once_after_it() {
    let Some(run) = Run::begin(Trial::PowerLoss) else { return };
    let count = run.count;
    let mut cut = Cut::begin(run);
    for at in 0..count {
        cut.cut(at);
    }
    if let Some(service) = cut.service.take() {
        service.stop_in_order();
    }
    let (withdrawals, answers) = cut.acts.counts();
    let batches = cut.senders.count.load(Ordering::SeqCst);
    println!("power-loss: {batches} batches, {withdrawals} withdrawals, {answers} answers were acknowledged");
}
