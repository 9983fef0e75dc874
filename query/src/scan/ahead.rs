//! Reading ahead: while the merge works on one batch of a stream, another thread makes its next one.
//!
//! ```text
//! merge -(stream)-> jobs -> worker: next batch -(stream, batch)-> merge
//! ```
//! Used when a query has fewer released parts than threads: a single day, or one bucket of days. A stream goes to the
//! worker and comes back with its batch, so that there is never more than one batch ahead and nobody waits for the
//! wrong stream.
//!
//! Invariants: batches come as they would without it. The worker ends with the streams: when the merge lets go of them, it
//! finishes the batch at hand at the most. Not here: the thread itself (`work`).

use std::sync::mpsc::{Receiver, Sender, channel};

use super::merge::{Role, Stream};
use super::runs::Loaded;
use crate::failure::Failure;

/// A stream and what it gave.
type Step<S> = (S, Result<Option<Loaded>, Failure>);

/// A stream whose next batch is wanted, and where it goes.
struct Job<S> {
    stream: S,
    reply: Sender<Step<S>>,
}

/// Makes batches. Ends when every [`Ahead`] is gone.
pub(super) struct Worker<S> {
    jobs: Receiver<Job<S>>,
}

impl<S: Stream> Worker<S> {
    /// Runs on a thread of its own.
    pub(super) fn run(self) {
        while let Ok(Job { mut stream, reply }) = self.jobs.recv() {
            let next = stream.next();
            // Nobody waits for it: the next job, or the end, comes soon.
            let _ = reply.send((stream, next));
        }
    }
}

/// A stream that is read ahead.
pub(super) struct Ahead<S> {
    role: Role,
    jobs: Sender<Job<S>>,
    /// Whose other end goes with the job: a worker that is gone is noticed. None at the end.
    reply: Option<Receiver<Step<S>>>,
}

/// The streams as they are to be merged, and who reads them.
pub(super) fn ahead<S: Stream>(streams: Vec<S>) -> Result<(Vec<Ahead<S>>, Worker<S>), Failure> {
    let (jobs, queue) = channel();
    let mut all = Vec::with_capacity(streams.len());
    for stream in streams {
        let mut ahead = Ahead { role: stream.role(), jobs: jobs.clone(), reply: None };
        ahead.ask(stream)?;
        all.push(ahead);
    }
    Ok((all, Worker { jobs: queue }))
}

impl<S: Stream> Ahead<S> {
    fn ask(&mut self, stream: S) -> Result<(), Failure> {
        let (reply, receiver) = channel();
        self.reply = Some(receiver);
        self.jobs.send(Job { stream, reply }).map_err(|_| Failure::Internal)
    }
}

impl<S: Stream> Stream for Ahead<S> {
    fn role(&self) -> Role {
        self.role
    }

    fn next(&mut self) -> Result<Option<Loaded>, Failure> {
        let Some(reply) = self.reply.take() else { return Ok(None) };
        let (stream, next) = reply.recv().map_err(|_| Failure::Internal)?;
        let next = next?;
        if next.is_some() {
            self.ask(stream)?;
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::runs::Run;
    use super::*;

    /// Gives the numbers up to `last`, then fails or ends.
    struct Numbers {
        next: u128,
        last: u128,
        fails: bool,
    }

    impl Stream for Numbers {
        fn role(&self) -> Role {
            Role::Member { membership: self.last as usize, day: 0 }
        }

        fn next(&mut self) -> Result<Option<Loaded>, Failure> {
            if self.next > self.last {
                return if self.fails { Err(Failure::Internal) } else { Ok(None) };
            }
            self.next += 1;
            let runs = vec![Run { subject: self.next - 1, end: 1 }];
            Ok(Some(Loaded { runs, times_us: vec![0], event_ids: vec![0], ..Loaded::default() }))
        }
    }

    fn drain(stream: &mut Ahead<Numbers>) -> (Vec<u128>, bool) {
        let mut seen = Vec::new();
        loop {
            match stream.next() {
                Ok(Some(loaded)) => seen.extend(loaded.runs.iter().map(|run| run.subject)),
                Ok(None) => return (seen, true),
                Err(_) => return (seen, false),
            }
        }
    }

    #[test]
    fn batches_come_in_order_and_the_worker_ends_with_the_streams() {
        let numbers = |last, fails| Numbers { next: 1, last, fails };
        let (mut streams, worker) =
            ahead(vec![numbers(5, false), numbers(3, true), numbers(0, false)]).unwrap();
        let worker = std::thread::spawn(|| worker.run());
        assert_eq!(streams[0].role(), Role::Member { membership: 5, day: 0 });
        assert_eq!(drain(&mut streams[0]), (vec![1, 2, 3, 4, 5], true));
        assert_eq!(drain(&mut streams[0]), (vec![], true));
        assert_eq!(drain(&mut streams[1]), (vec![1, 2, 3], false));
        drop(streams);
        worker.join().unwrap();
    }

    #[test]
    fn a_stream_without_its_worker_fails() {
        let (mut streams, worker) = ahead(vec![Numbers { next: 1, last: 5, fails: false }]).unwrap();
        drop(worker);
        assert!(streams[0].next().is_err());
    }
}
