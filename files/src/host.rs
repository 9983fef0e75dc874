//! What a process has of its machine besides durable bytes: the time, random numbers, and threads.
//!
//! ```text
//! now_ms, instant, fill, random_id, ordered_id, blocking, start, alone -> the host of the thread that asks
//!     Machine: the operating system (every thread, unless it was told otherwise)      a simulation: one seed, one thread
//! ```
//! Everything between the bytes of a request and a commit asks here for what a run cannot repeat by itself, and `clippy.toml` of the
//! crates that lie between forbids to ask anybody else. A simulation puts its own [`Host`] in the place of the machine and has the
//! same run again from the same seed.
//!
//! Which host a thread has is a value of the thread, as its stack is, and not an argument: what asks is often deep below (the nonce
//! of a record, the name of an unfinished file), and libraries between could not hand it on. Nothing but a simulation ever sets it.
//!
//! Invariant: a thread that was not told otherwise is on the machine. Not here: durable bytes (`objects`, `medium`), the time that the
//! data were served (`shoal-server`), a simulation (`shoal-ingest`, `tests/simulation`).

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;
use uuid::Uuid;

/// Work that blocks the thread that does it.
pub type Work = Box<dyn FnOnce() + Send>;
/// What a thread of its own does until it ends, or what is done in one piece.
pub type Life<'l> = Pin<Box<dyn Future<Output = ()> + Send + 'l>>;

/// Where a process runs.
pub trait Host: Send + Sync {
    /// The present, ms since 1970.
    fn now_ms(&self) -> i64;

    /// The present of a clock that only goes forward.
    fn instant(&self) -> Instant;

    /// Fills the bytes with random ones.
    ///
    /// # Errors
    /// When there are none.
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()>;

    /// Does work away from the caller, also when the caller waits for it no more.
    fn work(&self, work: Work);

    /// Starts a thread of this name.
    ///
    /// # Errors
    /// When there is none.
    fn start(&self, name: &str, life: Life<'static>) -> io::Result<()>;

    /// What is done in one piece where there is one thread alone: nothing else happens meanwhile. For calls of libraries that have
    /// threads of their own.
    fn alone<'l>(&self, life: Life<'l>) -> Life<'l>;
}

/// The operating system.
struct Machine;

// Nobody else may ask it: see `clippy.toml`.
#[allow(clippy::disallowed_methods)]
impl Host for Machine {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }

    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        Ok(getrandom::fill(bytes)?)
    }

    fn work(&self, work: Work) {
        tokio::task::spawn_blocking(work);
    }

    fn start(&self, name: &str, life: Life<'static>) -> io::Result<()> {
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread.spawn(move || futures::executor::block_on(life)).map(drop)
    }

    fn alone<'l>(&self, life: Life<'l>) -> Life<'l> {
        life
    }
}

thread_local! {
    static HOST: RefCell<Option<Arc<dyn Host>>> = const { RefCell::new(None) };
}

fn with<T>(ask: impl FnOnce(&dyn Host) -> T) -> T {
    // A thread that ends has no values of its own any more.
    let host = HOST.try_with(|host| host.borrow().clone()).ok().flatten();
    match host {
        Some(host) => ask(&*host),
        None => ask(&Machine),
    }
}

/// This thread has another host until it is dropped.
#[must_use]
pub struct Entered {
    before: Option<Arc<dyn Host>>,
    /// It stays on its thread.
    _thread: PhantomData<Rc<()>>,
}

/// This thread has this host from now on. For simulations alone.
pub fn enter(host: Arc<dyn Host>) -> Entered {
    Entered { before: HOST.replace(Some(host)), _thread: PhantomData }
}

impl Drop for Entered {
    fn drop(&mut self) {
        HOST.set(self.before.take());
    }
}

/// The present, ms since 1970.
pub fn now_ms() -> i64 {
    with(|host| host.now_ms())
}

/// The present of a clock that only goes forward.
pub fn instant() -> Instant {
    with(|host| host.instant())
}

/// How long it is since an instant of this host, seconds.
pub fn seconds_since(began: Instant) -> f64 {
    instant().saturating_duration_since(began).as_secs_f64()
}

/// Fills the bytes with random ones.
///
/// # Errors
/// When there are none.
pub fn fill(bytes: &mut [u8]) -> io::Result<()> {
    with(|host| host.fill(bytes))
}

/// A random number.
///
/// # Errors
/// When there is none.
pub fn random_u64() -> io::Result<u64> {
    let mut bytes = [0; 8];
    fill(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// An id that nothing else has.
///
/// # Panics
/// When there are no random numbers: nothing can be told from anything else then.
pub fn random_id() -> Uuid {
    let mut bytes = [0; 16];
    fill(&mut bytes).expect("the operating system has random numbers");
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// An id that nothing else has, and that sorts after those of earlier milliseconds.
///
/// # Panics
/// As [`random_id`].
pub fn ordered_id() -> Uuid {
    let mut bytes = [0; 10];
    fill(&mut bytes).expect("the operating system has random numbers");
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(now_ms()).unwrap_or(0), &bytes).into_uuid()
}

/// Does work that blocks, off the threads of tasks. It begins now, and goes on when nobody waits for its end any more.
///
/// # Errors
/// When it panicked, or the process is ending.
pub fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = io::Result<T>> + Send {
    let (reply, done) = oneshot::channel();
    with(|host| {
        host.work(Box::new(move || {
            // Nobody may wait any more.
            let _ = reply.send(work());
        }));
    });
    async { done.await.map_err(|_| io::Error::other("work that was to be done has ended before its end")) }
}

/// Starts a thread of this name.
///
/// # Errors
/// When there is none.
pub fn start(name: &str, life: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    with(|host| host.start(name, Box::pin(life)))
}

/// What calls of libraries with threads of their own answer: in one piece where there is one thread alone.
pub async fn alone<T: Send>(life: impl Future<Output = T> + Send) -> T {
    let mut answer = None;
    let whole: Life<'_> = Box::pin(async { answer = Some(life.await) });
    with(|host| host.alone(whole)).await;
    answer.expect("what is done alone is done to its end")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// It counts what it is asked.
    #[derive(Default)]
    struct Counted(AtomicU64);

    impl Host for Counted {
        fn now_ms(&self) -> i64 {
            7
        }

        fn instant(&self) -> Instant {
            Machine.instant()
        }

        fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
            bytes.fill(self.0.fetch_add(1, Ordering::Relaxed) as u8);
            Ok(())
        }

        fn work(&self, work: Work) {
            work();
        }

        fn start(&self, _: &str, life: Life<'static>) -> io::Result<()> {
            futures::executor::block_on(life);
            Ok(())
        }

        fn alone<'l>(&self, life: Life<'l>) -> Life<'l> {
            futures::executor::block_on(life);
            Box::pin(std::future::ready(()))
        }
    }

    #[test]
    fn a_thread_has_the_host_that_it_was_told_and_no_other_thread_has() {
        let (first, second) = (Arc::new(Counted::default()), Arc::new(Counted::default()));
        let entered = enter(first.clone());
        assert_eq!((now_ms(), random_u64().unwrap(), random_u64().unwrap()), (7, 0, 0x0101_0101_0101_0101));
        let inner = enter(second.clone());
        assert_eq!(random_u64().unwrap(), 0);
        drop(inner);
        assert_eq!((first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed)), (2, 1));
        std::thread::scope(|scope| scope.spawn(|| assert!(now_ms() > 1_500_000_000_000)).join().unwrap());
        assert_eq!(ordered_id().get_timestamp().unwrap().to_unix(), (0, 7_000_000));
        drop(entered);
        assert!(now_ms() > 1_500_000_000_000);
    }

    #[tokio::test]
    async fn work_comes_to_its_end_and_what_panics_is_an_error() {
        let told: [Option<Arc<dyn Host>>; 2] = [None, Some(Arc::new(Counted::default()))];
        for host in told {
            let _entered = host.map(enter);
            assert_eq!(blocking(|| 7).await.unwrap(), 7);
            assert_eq!(alone(async { 8 }).await, 8);
            let (sender, receiver) = oneshot::channel();
            start("named", async { sender.send(9).unwrap() }).unwrap();
            assert_eq!(receiver.await.unwrap(), 9);
        }
        assert!(blocking(|| panic!("as work might")).await.map(|(): ()| ()).is_err());
    }
}
