//! Everything that outlives a process: its disk, its store, its callers, the time; and what a seed makes of all of it.

use std::{sync::Arc, time::Duration};

use shoal_files::{Memory, host};
use shoal_ingest::IngestError;
use shoal_privacy::keyring::Keyring;
use shoal_storage::Store;

use crate::{
    callers::Callers,
    chance::Chance,
    drive::Drive,
    host::{Hosted, SimHost},
    power::{End, Ending, Late, Power, Troubles},
    process::{Process, registry},
};

const HOUR_MS: i64 = 3_600_000;
const YEAR_MS: i64 = 365 * 24 * HOUR_MS;

/// What a seed decides once.
pub struct Shape {
    pub group_bytes_max: usize,
    pub is_encrypted: bool,
    pub events_max: u32,
    pub flush_interval_ms: u64,
    /// Where tables are, when they are not on the disk.
    bucket: Option<Memory>,
    troubles: Troubles,
    jumps: bool,
}

impl Shape {
    fn of(chance: &mut Chance) -> Shape {
        let bucket = chance.one_in(2).then(Memory::new);
        let is_late = bucket.is_some() && chance.one_in(2);
        let troubles = match chance.below(4) {
            0 | 1 => Troubles { disk: 0, store: 0, late: is_late },
            2 => Troubles { disk: 0, store: chance.within(5, 100), late: is_late },
            _ => Troubles { disk: chance.within(50, 400), store: 0, late: is_late },
        };
        Shape {
            group_bytes_max: [256, 2_048, 16_384][chance.below(3) as usize],
            is_encrypted: chance.one_in(2),
            events_max: if chance.one_in(3) { 3 } else { 5_000 },
            flush_interval_ms: [1, 1_000, 10_000][chance.below(3) as usize],
            bucket,
            troubles,
            jumps: chance.one_in(3),
        }
    }
}

/// The world of a seed.
pub struct World {
    pub host: Arc<SimHost>,
    pub keyring: Arc<Keyring>,
    pub disk: Memory,
    pub callers: Arc<Callers>,
    pub shape: Shape,
    late: Late,
    trace: u64,
    chance: Chance,
    root: tempfile::TempDir,
}

impl World {
    /// The tables: on the disk, or in a bucket.
    pub async fn open_store(&self, power: &Arc<Power>) -> Result<Store, IngestError> {
        match &self.shape.bucket {
            None => Ok(Store::open_unlocked(Drive::disk(&self.disk.below("data"), power), None)),
            Some(bucket) => {
                let objects = Arc::new(Drive::store(bucket, power));
                let directory = url::Url::from_directory_path(self.root.path()).unwrap();
                Ok(Store::open_apart(&directory, objects, None).await?)
            }
        }
    }

    fn new(mut chance: Chance, host: Arc<SimHost>) -> World {
        World {
            host,
            keyring: Arc::new(Keyring::ephemeral()),
            disk: Memory::new(),
            callers: Arc::new(Callers::new(&mut chance, registry())),
            shape: Shape::of(&mut chance),
            late: Late::default(),
            trace: 0,
            chance,
            root: tempfile::tempdir().unwrap(),
        }
    }

    /// A process from its start to its end. The last one ends when all is done.
    fn live(&mut self, is_last: bool) {
        let troubles = if is_last { Troubles::default() } else { self.shape.troubles };
        let end = if self.chance.one_in(2) { End::Killed } else { End::PowerCut };
        let (after, after_commits) = match self.chance.below(4) {
            0 => (u64::MAX, 0),
            1 => (self.chance.below(400), 0),
            2 => (self.chance.below(30), 0),
            _ => (self.chance.below(5), self.chance.within(1, 8)),
        };
        let ending = (!is_last).then_some(Ending { how: end, after, after_commits });
        let power = Power::new(self.chance.fork(), troubles, ending, &self.late);
        let mut chance = self.chance.fork();
        let long = Duration::from_millis(chance.below(15_000));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            self.host.begin();
            match Process::start(self, &power).await {
                Ok(process) if is_last => process.finish(self.shape.events_max).await,
                Ok(process) => {
                    process.serve(&mut chance, self.shape.events_max, long).await;
                    if chance.one_in(8) && power.has_ended().is_none() {
                        let _ = process.ingest.stop().await;
                    }
                }
                Err(_) if power.has_ended().is_some() || power.has_failed() => {}
                Err(error) => self.note(format!("a start failed without a cause: {error}")),
            }
            power.end(end);
            let later_ms = chance.below(60_000) as i64;
            self.host.end(later_ms);
        });
        drop(runtime);
        self.trace = self.trace.rotate_left(7) ^ power.trace();
        if power.has_ended() == Some(End::PowerCut) {
            self.disk = self.disk.after_power_cut(self.chance.next());
        }
    }

    fn note(&self, what: String) {
        self.callers.ledger.lock().unwrap().note(what);
    }

    /// Between two processes.
    fn between(&mut self) {
        if self.shape.jumps && self.chance.one_in(2) {
            let by_ms = [HOUR_MS, 24 * HOUR_MS, YEAR_MS, 3 * YEAR_MS][self.chance.below(4) as usize];
            self.host.jump(if self.chance.one_in(2) { by_ms } else { -by_ms });
        }
    }
}

/// What is wrong with the run of a seed, which is nothing where all is well; and what has happened, in a number.
pub fn run(seed: u64) -> (Vec<String>, u64) {
    let mut chance = Chance::new(seed);
    let host = SimHost::new(chance.fork());
    let _entered = host::enter(Arc::new(Hosted(Arc::clone(&host))));
    let mut world = World::new(chance, host);
    for _ in 0..world.chance.within(1, 5) {
        world.live(false);
        world.between();
    }
    world.live(true);
    let wrong = std::mem::take(&mut world.callers.ledger.lock().unwrap().wrong);
    (wrong, world.trace)
}
