//! The host of a simulation: the time, random numbers and threads of one seed, all on one thread.
//!
//! Time is that of tokio's paused clock, which goes on when nobody has anything to do. A thread is a task that is held up at times; work
//! that blocks is done in one piece, some time after it was asked for. The wall clock jumps when it is told to.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use shoal_files::host::{Host, Life, Work};
use tokio::{
    runtime::Runtime,
    time::{Sleep, sleep},
};

use crate::chance::Chance;

/// 21 September 2026.
const BEGIN_MS: i64 = 1_790_000_000_000;

/// The host of one seed, through all of its processes.
pub struct SimHost(Mutex<State>);

struct State {
    chance: Chance,
    /// What the wall clock is ahead of the true time, ms.
    ahead_ms: i64,
    /// How long the processes before this one have lived, and what was between them, ms.
    before_ms: i64,
    /// When this process began.
    began: Option<tokio::time::Instant>,
    /// How many ms a thread is held up at the most.
    held_up_ms: u64,
}

impl SimHost {
    pub fn new(mut chance: Chance) -> Arc<SimHost> {
        let held_up_ms = [1, 5, 50, 2_000][chance.below(4) as usize];
        let state = State { chance, ahead_ms: 0, before_ms: 0, began: None, held_up_ms };
        Arc::new(SimHost(Mutex::new(state)))
    }

    fn hold(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A process begins, in a runtime of its own.
    pub fn begin(&self) {
        self.hold().began = Some(tokio::time::Instant::now());
    }

    /// The process has ended, and the next one begins so much later.
    pub fn end(&self, later_ms: i64) {
        let lived_ms = self.true_ms() - BEGIN_MS;
        let mut state = self.hold();
        state.before_ms = lived_ms + later_ms;
        state.began = None;
    }

    /// The wall clock is set by so much.
    pub fn jump(&self, by_ms: i64) {
        self.hold().ahead_ms += by_ms;
    }

    /// The time that no clock which was set wrong has changed, ms since 1970.
    pub fn true_ms(&self) -> i64 {
        let state = self.hold();
        let lived = state.began.map_or(Duration::ZERO, |began| began.elapsed());
        BEGIN_MS + state.before_ms + lived.as_millis() as i64
    }

    /// How long somebody is held up: mostly not at all.
    fn held_up(&self) -> Duration {
        let mut state = self.hold();
        let most = state.held_up_ms * 1_000;
        match state.chance.below(8) {
            0..4 => Duration::ZERO,
            4..7 => Duration::from_micros(state.chance.below(most / 10 + 1)),
            _ => Duration::from_micros(state.chance.below(most)),
        }
    }
}

/// The threads of libraries that have their own. Nothing else happens while the simulation waits for them.
fn others() -> &'static Runtime {
    static OTHERS: OnceLock<Runtime> = OnceLock::new();
    OTHERS.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    })
}

/// The host as a thread has it.
pub struct Hosted(pub Arc<SimHost>);

impl Host for Hosted {
    fn now_ms(&self) -> i64 {
        let ahead_ms = self.0.hold().ahead_ms;
        self.0.true_ms() + ahead_ms
    }

    fn instant(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        self.0.hold().chance.fill(bytes);
        Ok(())
    }

    fn work(&self, work: Work) {
        let held_up = self.0.held_up();
        tokio::spawn(async move {
            pause(held_up).await;
            work();
        });
    }

    fn start(&self, _: &str, life: Life<'static>) -> io::Result<()> {
        tokio::spawn(HeldUp { life, host: Arc::clone(&self.0), until: None });
        Ok(())
    }

    fn alone<'l>(&self, life: Life<'l>) -> Life<'l> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| others().block_on(life));
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        });
        Box::pin(std::future::ready(()))
    }
}

pub async fn pause(time: Duration) {
    match time.is_zero() {
        true => tokio::task::yield_now().await,
        false => sleep(time).await,
    }
}

/// A thread, which is held up at times before it sees what it was woken for.
struct HeldUp {
    life: Life<'static>,
    host: Arc<SimHost>,
    until: Option<Pin<Box<Sleep>>>,
}

impl Future for HeldUp {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.until.is_none() {
            let held_up = this.host.held_up();
            this.until = (!held_up.is_zero()).then(|| Box::pin(sleep(held_up)));
        }
        if let Some(until) = &mut this.until {
            if until.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            this.until = None;
        }
        this.life.as_mut().poll(context)
    }
}
