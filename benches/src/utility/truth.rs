//! What is true of the events, counted while they are made, with nothing bounded and nothing left out.
//!
//! The definitions are those of the questions (`questions.rs`): a funnel's step counts when the events of the steps
//! before it happened in this order and no more than [`WITHIN_MS`] passed since the first; a cohort is the week of a
//! subject's first opening in the range. Not here: what was answered, and how far off it is (`judge.rs`).

use shoal_schemas::calendar::DAY_MS;

use super::population::{COUNTRIES, ENDPOINTS, Event, Habits, SCREENS, VERSIONS, What};

/// Steps of the funnel.
pub(super) const STEPS: usize = 5;
/// Longest time from the first step to the last.
pub(super) const WITHIN_MS: i64 = 7 * DAY_MS;
const NEVER: i64 = i64::MIN;

/// What has to be remembered of a subject.
#[derive(Clone)]
struct Past {
    /// Latest first step of a chain that has come to each step.
    started_ms: [i64; STEPS],
    reached: u8,
    first_week: Option<u8>,
    weeks: u32,
    /// Of the last week: bits of versions and endpoints, and whether the app crashed.
    versions: u8,
    endpoints: u8,
    has_asked_first: bool,
    has_crashed: bool,
}

/// A day's numbers.
#[derive(Clone, Default)]
pub(super) struct DayTruth {
    pub(super) subjects: u64,
    pub(super) opens: u64,
    pub(super) by_country: [u64; COUNTRIES.len()],
    /// Subjects that saw the screen.
    pub(super) viewers: [u64; SCREENS.len()],
}

/// Numbers that are exact.
pub(super) struct Truth {
    first_of_last_week: u32,
    subjects: Vec<Past>,
    pub(super) days: Vec<DayTruth>,
    /// Response times of the last week, by endpoint; ascending after [`Truth::sort`].
    durations: [Vec<u32>; ENDPOINTS.len()],
    /// Those of the first endpoint on all days.
    of_first: Vec<u32>,
}

impl Truth {
    pub(super) fn new(subjects: u64, days: u32) -> Truth {
        let past = Past {
            started_ms: [NEVER; STEPS],
            reached: 0,
            first_week: None,
            weeks: 0,
            versions: 0,
            endpoints: 0,
            has_asked_first: false,
            has_crashed: false,
        };
        Truth {
            first_of_last_week: days.saturating_sub(7),
            subjects: vec![past; usize::try_from(subjects).unwrap_or(usize::MAX)],
            days: vec![DayTruth::default(); days as usize],
            durations: Default::default(),
            of_first: Vec::new(),
        }
    }

    /// Takes one subject's events of a day.
    pub(super) fn take(&mut self, subject: usize, habits: &Habits, day: u32, events: &[Event]) {
        let past = &mut self.subjects[subject];
        let numbers = &mut self.days[day as usize];
        let is_last_week = day >= self.first_of_last_week;
        if !events.is_empty() {
            numbers.subjects += 1;
            numbers.by_country[usize::from(habits.country)] += 1;
        }
        let mut seen = 0_u8;
        for event in events {
            past.step(event, i64::from(day) * DAY_MS + i64::from(event.at_ms));
            let place = usize::from(event.place);
            match event.what {
                What::Open => {
                    let week = (day / 7) as u8;
                    numbers.opens += 1;
                    past.first_week.get_or_insert(week);
                    past.weeks |= 1 << week;
                }
                What::Viewed => seen |= 1 << place,
                What::Request => {
                    if place == 0 {
                        past.has_asked_first = true;
                        self.of_first.extend(event.duration_ms);
                    }
                    if is_last_week {
                        past.endpoints |= 1 << place;
                        self.durations[place].extend(event.duration_ms);
                    }
                }
                What::Crash => past.has_crashed |= is_last_week,
                What::Login | What::Added | What::Watched | What::Bought => {}
            }
            let is_usage = !matches!(event.what, What::Request | What::Crash);
            if is_last_week && is_usage {
                past.versions |= 1 << habits.version(day);
            }
        }
        (0..SCREENS.len()).filter(|at| seen & (1 << at) != 0).for_each(|at| numbers.viewers[at] += 1);
    }

    /// To be called once, when all is taken.
    pub(super) fn sort(&mut self) {
        self.of_first.sort_unstable();
        self.durations.iter_mut().for_each(|values| values.sort_unstable());
    }

    /// Subjects that came to a step, from 1.
    pub(super) fn reached(&self, step: usize) -> u64 {
        self.count(|past| usize::from(past.reached) >= step)
    }

    /// Subjects of the cohort of a week that came back `after` weeks later.
    pub(super) fn came_back(&self, week: u32, after: u32) -> u64 {
        let first = u8::try_from(week).ok();
        self.count(|past| past.first_week == first && past.weeks & (1 << (week + after)) != 0)
    }

    /// Subjects that used a version in the last week, and those of them without a crash.
    pub(super) fn of_version(&self, version: usize) -> (u64, u64) {
        let uses = |past: &Past| past.versions & (1 << version) != 0;
        (self.count(uses), self.count(|past| uses(past) && !past.has_crashed))
    }

    /// Subjects that asked an endpoint in the last week.
    pub(super) fn of_endpoint(&self, endpoint: usize) -> u64 {
        self.count(|past| past.endpoints & (1 << endpoint) != 0)
    }

    /// Subjects that asked the first endpoint on any day.
    pub(super) fn of_first_endpoint(&self) -> u64 {
        self.count(|past| past.has_asked_first)
    }

    /// A quantile of an endpoint's response times in the last week.
    pub(super) fn quantile(&self, endpoint: usize, share: f64) -> f64 {
        quantile(&self.durations[endpoint], share)
    }

    /// A quantile of the first endpoint's response times on all days.
    pub(super) fn quantile_of_first(&self, share: f64) -> f64 {
        quantile(&self.of_first, share)
    }

    fn count(&self, is: impl Fn(&Past) -> bool) -> u64 {
        self.subjects.iter().filter(|past| is(past)).count() as u64
    }
}

impl Past {
    fn step(&mut self, event: &Event, at_ms: i64) {
        let step = match event.what {
            What::Open => {
                self.started_ms[0] = at_ms;
                self.reached = self.reached.max(1);
                return;
            }
            What::Login => 1,
            What::Added => 2,
            What::Watched => 3,
            What::Bought => 4,
            What::Viewed | What::Request | What::Crash => return,
        };
        let started_ms = self.started_ms[step - 1];
        if event.ok && started_ms != NEVER && at_ms - started_ms <= WITHIN_MS {
            self.started_ms[step] = self.started_ms[step].max(started_ms);
            self.reached = self.reached.max(step as u8 + 1);
        }
    }
}

/// Linear between the two nearest of ascending values.
fn quantile(values: &[u32], share: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    let at = share * last as f64;
    let (low, high) = (values[at.floor() as usize], values[at.ceil() as usize]);
    f64::from(low) + at.fract() * (f64::from(high) - f64::from(low))
}

/// The name of a version.
pub(super) fn version_name(version: usize) -> &'static str {
    VERSIONS[version].0
}
