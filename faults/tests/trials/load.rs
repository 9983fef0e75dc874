//! Senders: several connections that send batches until they are told to stop or the service is gone.
//!
//! Invariants: an answer of 200 must say that each event is accepted or a duplicate; any other answer must be one that
//! tells the client to come back; what was not answered with 200 is not known, and is sent again with the same ids.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use shoal_faults::{Batch, Sent};

use crate::http::Client;
use crate::service::{Service, Setup};

/// Connections that send at one time.
const SENDERS: usize = 4;
/// Between two batches of a sender: what is on trial is faults, and tables of millions of rows would only make it slow.
const PAUSE: Duration = Duration::from_millis(15);

/// What an answer to a batch means.
pub(crate) enum Outcome {
    Acknowledged {
        /// How many of its events were known before.
        duplicates: u64,
    },
    /// Refused for now, with this status and code.
    Later(u16, String),
    /// There is no answer.
    Gone(String),
}

/// Sends a batch once.
pub(crate) fn send(client: &mut Client, setup: &Setup, batch: Batch) -> Outcome {
    let answer = match client.post("/v1/events", &setup.ingest_key, &batch.body()) {
        Ok(answer) => answer,
        Err(error) => {
            let is_hang =
                matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
            assert!(!is_hang, "a batch has no answer for a minute: {error}");
            return Outcome::Gone(error.to_string());
        }
    };
    if answer.status != 200 {
        assert!(
            matches!(answer.status, 429 | 500 | 503 | 507),
            "batch {batch:?}: {} {}",
            answer.status,
            answer.text()
        );
        return Outcome::Later(answer.status, answer.code());
    }
    let told = answer.json();
    let [accepted, duplicates] = ["accepted", "duplicate"].map(|name| told[name].as_u64().unwrap());
    assert_eq!(accepted + duplicates, batch.count(), "batch {batch:?}: {told}");
    Outcome::Acknowledged { duplicates }
}

/// The senders of a trial, over all processes that serve it.
#[derive(Default)]
pub(crate) struct Senders {
    next: AtomicU64,
    pub(crate) sent: Mutex<Sent>,
    /// How many batches were acknowledged.
    pub(crate) count: AtomicU64,
    /// Statuses other than 200 that were answered.
    pub(crate) refusals: Mutex<Vec<(u16, String)>>,
}

impl Senders {
    /// Senders that know of what others have sent, and send nothing new.
    pub(crate) fn with(sent: Sent) -> Senders {
        Senders { sent: Mutex::new(sent), ..Senders::default() }
    }

    /// Sends new batches until `meanwhile` has ended, or the service is gone.
    pub(crate) fn during<T>(&self, service: &Service, setup: &Setup, meanwhile: impl FnOnce() -> T) -> T {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..SENDERS {
                scope.spawn(|| {
                    let mut client = service.client();
                    let mut is_answered = true;
                    while is_answered && !is_over.load(Ordering::SeqCst) {
                        is_answered = self.send_next(&mut client, setup);
                        std::thread::sleep(PAUSE);
                    }
                });
            }
            let _over = Over(&is_over);
            meanwhile()
        })
    }

    /// Sends one new batch; whether there was an answer.
    pub(crate) fn send_next(&self, client: &mut Client, setup: &Setup) -> bool {
        let batch = Batch(self.next.fetch_add(1, Ordering::SeqCst));
        // From here on it may be there.
        self.sent.lock().unwrap().lose(batch);
        match send(client, setup, batch) {
            Outcome::Acknowledged { duplicates } => {
                assert_eq!(duplicates, 0, "{batch:?} is new");
                self.acknowledge(batch);
                true
            }
            Outcome::Later(status, code) => {
                self.refusals.lock().unwrap().push((status, code));
                true
            }
            Outcome::Gone(_) => false,
        }
    }

    fn acknowledge(&self, batch: Batch) {
        self.sent.lock().unwrap().acknowledge(batch);
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    /// Sends batches again of which nobody knows, but for every third one: those must be there once or not at all all
    /// the same. A part of them only, when there are very many.
    pub(crate) fn send_again(&self, service: &Service, setup: &Setup) {
        let unknown: Vec<Batch> =
            self.sent.lock().unwrap().unknown().filter(|batch| batch.0 % 3 != 0).collect();
        let mut client = service.client();
        for batch in unknown.into_iter().take(60) {
            match send(&mut client, setup, batch) {
                Outcome::Acknowledged { .. } => self.acknowledge(batch),
                Outcome::Later(..) => {}
                Outcome::Gone(_) => return,
            }
        }
    }

    /// Batches that were acknowledged are known again: about so many of them, the last one among them.
    pub(crate) fn are_known(&self, service: &Service, setup: &Setup, most: usize) -> Result<(), String> {
        let mut acknowledged: Vec<Batch> = self.sent.lock().unwrap().acknowledged().collect();
        acknowledged.reverse();
        let every = (acknowledged.len() / most).max(1);
        let acknowledged: Vec<Batch> = acknowledged.into_iter().step_by(every).collect();
        let mut client = service.client();
        for batch in acknowledged {
            match send(&mut client, setup, batch) {
                Outcome::Acknowledged { duplicates } if duplicates == batch.count() => {}
                Outcome::Acknowledged { duplicates } => {
                    return Err(format!("{batch:?} was acknowledged, and {duplicates} of it are known"));
                }
                Outcome::Later(status, code) => return Err(format!("{batch:?}: {status} {code}")),
                Outcome::Gone(error) => return Err(format!("{batch:?}: {error}")),
            }
        }
        Ok(())
    }
}

/// Says that it is over, also when something panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
