//! Who there is and what they do: one subject's day as a list of events, from the seed alone.
//!
//! ```text
//! habits (class, joining day, country, version) -> is active on this day? -> events in order of time
//! ```
//! Three classes of use, more use at weekends, people who join and stop again, a version that is rolled out, a
//! log-normal response time by endpoint, crashes that depend on the version. Times within a subject's day ascend
//! strictly, so that "in this order" has one meaning. Not here: tables (`tables.rs`) and what is true of them (`truth.rs`).

use super::draw::{Draw, mix};

/// Countries of the region that the trial is in, and how many of a thousand subjects live there.
pub(super) const COUNTRIES: [(&str, u32); 12] = [
    ("DE", 290),
    ("FR", 170),
    ("GB", 160),
    ("IT", 110),
    ("ES", 90),
    ("NL", 60),
    ("PL", 50),
    ("SE", 30),
    ("AT", 20),
    ("CH", 15),
    ("PT", 4),
    ("LU", 1),
];

/// Versions of the app, and how likely a crash is on an active day. The first has a dozen subjects, whatever the size.
pub(super) const VERSIONS: [(&str, f64); 7] = [
    ("7.0.0-beta", 0.10),
    ("5.9.4", 0.040),
    ("6.1.0", 0.020),
    ("6.2.0", 0.015),
    ("6.3.0", 0.008),
    ("6.4.0", 0.012),
    ("6.4.1", 0.005),
];

/// Endpoints, the median of their response time in milliseconds, and their share of requests.
pub(super) const ENDPOINTS: [(&str, f64, u32); 6] = [
    ("/v1/cameras", 180.0, 35),
    ("/v1/alarms", 120.0, 25),
    ("/v1/cameras/{id}", 240.0, 20),
    ("/v1/recordings", 350.0, 10),
    ("/v1/shares", 500.0, 7),
    ("/v1/firmware", 1_500.0, 3),
];

/// Screens, and their share of views.
pub(super) const SCREENS: [(&str, u32); 6] =
    [("home", 40), ("live", 25), ("alarms", 15), ("settings", 10), ("cloud_offer", 7), ("help", 3)];

const BETA_SUBJECTS: u64 = 12;
/// Days from Monday, as part of the mean.
const WEEK: [f64; 7] = [0.93, 0.90, 0.92, 0.95, 1.00, 1.18, 1.12];

/// What happened. Events of three tables; the order is that of `NAMES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Open,
    Login,
    Added,
    Watched,
    Bought,
    Viewed,
    Request,
    Crash,
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) what: What,
    /// Milliseconds since the day began.
    pub(super) at_ms: u32,
    /// Whether it went well.
    pub(super) ok: bool,
    pub(super) duration_ms: Option<u32>,
    /// Position in `SCREENS` or `ENDPOINTS`.
    pub(super) place: u8,
}

/// What does not change from day to day.
#[derive(Clone, Copy)]
pub(super) struct Habits {
    daily: f64,
    joined: u32,
    leaves_after: u32,
    /// Position in `COUNTRIES`.
    pub(super) country: u8,
    pub(super) is_ios: bool,
    old: u8,
    new: u8,
    updates_on: u32,
    /// Factor of its response times.
    slow: f64,
}

/// A world of days 0 to `days`; a subject is a number.
#[derive(Clone, Copy)]
pub(super) struct Population {
    pub(super) seed: u64,
    pub(super) days: u32,
}

impl Population {
    /// A pseudonym, as good as any: 16 bytes that say nothing.
    pub(super) fn pseudonym(&self, subject: u64) -> [u8; 16] {
        let high = mix(mix(self.seed ^ 0x5348_4f41) ^ subject);
        let low = mix(high ^ subject.rotate_left(17));
        ((u128::from(high) << 64) | u128::from(low)).to_be_bytes()
    }

    pub(super) fn habits(&self, subject: u64) -> Habits {
        let mut draw = Draw::new(self.seed, subject, u64::MAX);
        let daily: f64 = [0.75, 0.35, 0.08][draw.pick(&[20, 40, 40])];
        let is_new = draw.chance(0.45);
        let joined = if is_new { draw.below(u64::from(self.days)) as u32 } else { 0 };
        let stays = !is_new || draw.chance(0.5);
        let leaves_after = if stays { u32::MAX } else { 1 + (-5.0 * (1.0 - draw.share()).ln()) as u32 };
        let country = draw.pick(&COUNTRIES.map(|(_, weight)| weight)) as u8;
        let version = match subject < BETA_SUBJECTS {
            true => (0, 0),
            false => {
                [(1, 1), (2, 2), (3, 3), (4, 4), (4, 5), (4, 6)][draw.pick(&[1, 20, 100, 279, 450, 150])]
            }
        };
        Habits {
            daily: if is_new { daily.max(0.2) } else { daily },
            joined: if subject < BETA_SUBJECTS { 0 } else { joined },
            leaves_after: if subject < BETA_SUBJECTS { u32::MAX } else { leaves_after },
            country,
            is_ios: draw.chance(0.42),
            old: version.0,
            new: version.1,
            updates_on: 3 + draw.below(20) as u32,
            slow: (0.2 * draw.normal()).exp(),
        }
    }

    /// The subject's events on a day, in order of time; none when it is not active. Day 0 is a Monday.
    pub(super) fn events(&self, subject: u64, habits: &Habits, day: u32, out: &mut Vec<Event>) {
        out.clear();
        if day < habits.joined || day - habits.joined > habits.leaves_after {
            return;
        }
        let mut draw = Draw::new(self.seed, subject, u64::from(day));
        let is_first = day == habits.joined && habits.joined > 0;
        if !is_first && !draw.chance((habits.daily * WEEK[day as usize % 7]).min(0.98)) {
            return;
        }
        let mut diary = Diary { at_ms: 1 + draw.below(79_200_000) as u32, draw, out };
        diary.write(What::Open, None, 0);
        if diary.draw.chance(if is_first { 0.95 } else { 0.15 }) {
            let duration = diary.log_normal(900.0, 0.5, 120_000);
            diary.write(What::Login, Some(duration), 0);
        }
        if diary.draw.chance(if is_first { 0.60 } else { 0.01 }) {
            let duration = diary.log_normal(40_000.0, 0.8, 900_000);
            diary.write(What::Added, Some(duration), 0);
        }
        if diary.draw.chance(0.40) {
            let duration = diary.log_normal(30_000.0, 1.2, 14_400_000);
            diary.write(What::Watched, Some(duration), 1);
        }
        if diary.draw.chance(if is_first { 0.05 } else { 0.01 }) {
            diary.write(What::Bought, None, 0);
        }
        diary.rest(habits, VERSIONS[usize::from(habits.version(day))].1);
    }
}

impl Habits {
    /// Position in `VERSIONS`.
    pub(super) fn version(&self, day: u32) -> u8 {
        if day < self.updates_on { self.old } else { self.new }
    }
}

/// A subject's day while it is written.
struct Diary<'a> {
    at_ms: u32,
    draw: Draw,
    out: &'a mut Vec<Event>,
}

impl Diary<'_> {
    fn log_normal(&mut self, median: f64, sigma: f64, max: u32) -> u32 {
        let value = median * (sigma * self.draw.normal()).exp();
        value.round().clamp(0.0, f64::from(max)) as u32
    }

    fn write(&mut self, what: What, duration_ms: Option<u32>, place: u8) {
        let ok = self.draw.chance(0.93);
        self.out.push(Event { what, at_ms: self.at_ms, ok, duration_ms, place });
        self.at_ms += 1 + self.draw.below(180_000) as u32;
    }

    fn rest(&mut self, habits: &Habits, crash: f64) {
        for _ in 0..self.draw.pick(&[50, 30, 20]) {
            let screen = self.draw.pick(&SCREENS.map(|(_, weight)| weight)) as u8;
            let duration = self.log_normal(8_000.0, 1.0, 3_600_000);
            self.write(What::Viewed, Some(duration), screen);
        }
        for _ in 0..self.draw.pick(&[65, 25, 10]) {
            self.write(What::Open, None, 0);
        }
        for _ in 0..self.draw.pick(&[25, 45, 20, 10]) {
            let endpoint = self.draw.pick(&ENDPOINTS.map(|(_, _, weight)| weight));
            let duration = self.log_normal(ENDPOINTS[endpoint].1 * habits.slow, 0.6, 120_000);
            self.write(What::Request, Some(duration), endpoint as u8);
        }
        if self.draw.chance(crash) {
            self.write(What::Crash, None, 1);
        }
    }
}
