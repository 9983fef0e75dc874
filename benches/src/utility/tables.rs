//! Events of one day become the rows of three tables, as an ingest would have written them.
//!
//! The writer of `shoal-storage` sorts, compresses and commits; here are only the columns. Columns that the trial does
//! not need are left out, and so are null.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array, StringArray, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::cast;
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use shoal_schemas::{Kind, Programme, Registry, calendar, columns};
use shoal_storage::Part;

use super::draw::mix;
use super::population::{COUNTRIES, ENDPOINTS, Event, Habits, SCREENS, VERSIONS, What};

const DAY_US: i64 = 1_000 * calendar::DAY_MS;

/// Rows of one table and day that are not written yet.
#[derive(Default)]
pub(super) struct Rows {
    subject: Vec<[u8; 16]>,
    event_id: Vec<[u8; 16]>,
    /// One a subject and day.
    session: Vec<[u8; 16]>,
    time_us: Vec<i64>,
    event: Vec<&'static str>,
    country: Vec<&'static str>,
    os: Vec<&'static str>,
    version: Vec<&'static str>,
    /// Screen or endpoint.
    place: Vec<Option<&'static str>>,
    result: Vec<Option<&'static str>>,
    step: Vec<Option<&'static str>>,
    duration_ms: Vec<Option<i64>>,
    /// Status of a request; cents of a purchase.
    number: Vec<Option<i64>>,
}

/// The table that an event belongs to.
pub(super) fn kind(what: What) -> Kind {
    match what {
        What::Request => Kind::Performance,
        What::Crash => Kind::Crash,
        What::Open | What::Login | What::Added | What::Watched | What::Bought | What::Viewed => Kind::Usage,
    }
}

fn name(what: What) -> &'static str {
    match what {
        What::Open => "app_open",
        What::Login => "login",
        What::Added => "device_add",
        What::Watched => "live_view_start",
        What::Bought => "purchase",
        What::Viewed => "screen_view",
        What::Request => "api_request",
        What::Crash => "app_crash",
    }
}

impl Rows {
    pub(super) fn push(&mut self, subject: [u8; 16], habits: &Habits, day: (i32, u32), event: &Event) {
        let time_us = i64::from(day.0) * DAY_US + i64::from(event.at_ms) * 1_000;
        self.subject.push(subject);
        self.event_id.push(event_id(subject, time_us));
        self.session.push(event_id(subject, -i64::from(day.0)));
        self.time_us.push(time_us);
        self.event.push(name(event.what));
        self.country.push(COUNTRIES[usize::from(habits.country)].0);
        self.os.push(if habits.is_ios { "ios" } else { "android" });
        self.version.push(VERSIONS[usize::from(habits.version(day.1))].0);
        let outcome = if event.ok { "ok" } else { "failed" };
        let place = usize::from(event.place);
        let is_shown = matches!(event.what, What::Viewed | What::Watched | What::Crash);
        self.place.push(match event.what {
            What::Request => Some(ENDPOINTS[place].0),
            _ => is_shown.then(|| SCREENS[place].0),
        });
        let has_result = matches!(event.what, What::Login | What::Added | What::Watched | What::Bought);
        self.result.push(has_result.then_some(outcome));
        self.step.push((event.what == What::Added).then_some("done"));
        self.duration_ms.push(event.duration_ms.map(i64::from));
        self.number.push(match event.what {
            What::Request => Some(if event.ok { 200 } else { 500 }),
            What::Bought => Some(500 + i64::from(event.at_ms % 15_000)),
            _ => None,
        });
    }

    pub(super) fn len(&self) -> usize {
        self.subject.len()
    }

    /// The rows as one file of a table.
    ///
    /// # Errors
    /// When a column does not fit its table.
    pub(super) fn part(self, registry: &Registry, kind: Kind, day: i32) -> Result<Part, String> {
        let rows = self.len();
        let def = registry.table(kind);
        let all = |text: &'static str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows)))
        };
        let text =
            |values: &[Option<&'static str>]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
        let known = |values: &[&'static str]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
        let digest = |values: &[[u8; 16]]| -> ArrayRef { Arc::new(BinaryArray::from_iter_values(values)) };
        let number = |values: &[Option<i64>]| -> ArrayRef { Arc::new(Int64Array::from(values.to_vec())) };
        let mut named: Vec<(&str, ArrayRef)> = vec![
            (columns::EVENT_ID, digest(&self.event_id)),
            (columns::SUBJECT, digest(&self.subject)),
            (columns::SESSION, digest(&self.session)),
            (columns::TIME, Arc::new(TimestampMicrosecondArray::from(self.time_us).with_timezone("UTC"))),
            (columns::EVENT, known(&self.event)),
            (columns::COUNTRY, known(&self.country)),
            (columns::PROGRAMME, all("user-experience")),
            (columns::APP, all("camera")),
            (columns::APP_VERSION, known(&self.version)),
            (columns::OS, known(&self.os)),
            (columns::CONSENT, all("carried")),
            (columns::EPOCH, Arc::new(UInt32Array::from(vec![0; rows]))),
        ];
        match kind {
            Kind::Performance => {
                named.push(("endpoint", text(&self.place)));
                named.push(("status_code", number(&self.number)));
                named.push(("duration_ms", number(&self.duration_ms)));
            }
            Kind::Crash => {
                named.push(("screen", text(&self.place)));
                named.push(("exception_type", all("IllegalStateException")));
            }
            Kind::Usage | Kind::Device => {
                named.push(("screen", text(&self.place)));
                named.push(("result", text(&self.result)));
                named.push(("step", text(&self.step)));
                named.push(("duration_ms", number(&self.duration_ms)));
                named.push(("amount", number(&self.number)));
            }
        }
        let mut fields = Vec::with_capacity(named.len());
        let mut arrays = Vec::with_capacity(named.len());
        for (name, array) in named {
            let (_, column) = def.column(name).ok_or_else(|| format!("no column {name} in {kind}"))?;
            let array = cast(&array, &column.ty.arrow()).map_err(|e| format!("{name}: {e}"))?;
            fields.push(Field::new(name, column.ty.arrow(), column.nullable));
            arrays.push(array);
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(|e| e.to_string())?;
        Ok(Part { programme: Programme::UserExperience, day, batch })
    }
}

/// A digest that no other event has: no two events of a subject share their time.
fn event_id(subject: [u8; 16], time_us: i64) -> [u8; 16] {
    let subject = u128::from_be_bytes(subject);
    let high = mix((subject >> 64) as u64 ^ time_us.unsigned_abs());
    let low = mix(high ^ subject as u64);
    ((u128::from(high) << 64) | u128::from(low)).to_be_bytes()
}
