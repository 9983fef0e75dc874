//! Text loses what identifies a person, and rows are made. Last stage of the pipeline; only it makes [`CleanBatch`]es.
//!
//! Invariants: every text of a row is a listed value, a declared name, or has been through the scrubber. A dimension's value
//! with a match is dropped and counted (replacing a part would make a new value out of each); free text has its matches
//! replaced. A device's own name is kept only when it is its model's. The row of a hidden event is made and forgotten.
//! What a request's texts may take is counted; those that are left when nothing is are withheld as a whole.
//! Not here: the patterns (`shoal-privacy`, `patterns/`), the bytes of a row (`row.rs`).

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use shoal_privacy::{scrub::Scrubber, work::Work};

use crate::{
    grant::IngestGrant,
    stages::{
        clean::CleanBatch,
        country,
        frames::{self, Stack},
        pseudonymise::{PseudonymousBatch, PseudonymousEvent},
        row::Value,
        row_layout::{Columns, RowLayout},
        validate::Tally,
        value::{Care, Checked, DROPPED},
    },
};

/// How many different values of dimensions are remembered as clean or not, a batch.
const REMEMBERED_MAX: usize = 4096;

/// The clean rows, one batch a region, and what was counted on the way.
pub(crate) struct Scrubbed {
    pub(crate) batches: Vec<CleanBatch>,
    pub(crate) tally: Tally,
    /// What is left of the work, and what was withheld for want of it.
    pub(crate) work: Work,
}

/// Scrubs and encodes every event within this much work. App and kind are the key's.
pub(crate) fn scrub(
    batch: PseudonymousBatch<'_>,
    scrubber: &Scrubber,
    layout: &RowLayout,
    grant: &IngestGrant,
    work: Work,
) -> Scrubbed {
    let (events, mut values, tally) = batch.into_parts();
    let mut stage = Stage { scrubber, remembered: FxHashMap::default(), dropped: 0, work };
    let mut batches: Vec<CleanBatch> = Vec::new();
    for event in &events {
        let columns = layout.kind(event.def.kind);
        let own = &mut values[event.values.clone()];
        let stack = stage.event(event, own, columns);
        let region = event.place.region;
        let at = batches.iter().position(|b| b.region() == region).unwrap_or_else(|| {
            batches.push(CleanBatch::new(region, grant.kind, layout.names()));
            batches.len() - 1
        });
        let row = Row { event, values: own, columns, app: &grant.app, stack: stack.as_ref() };
        row.put_into(&mut batches[at]);
    }
    batches.iter_mut().for_each(CleanBatch::finish);
    let tally = Tally { dropped_properties: tally.dropped_properties + stage.dropped, ..tally };
    Scrubbed { batches, tally, work: stage.work }
}

/// An event whose texts are clean, and what its row is made of.
struct Row<'x, 'a> {
    event: &'x PseudonymousEvent<'a>,
    values: &'x [(u16, Checked<'a>)],
    columns: &'x Columns,
    app: &'x str,
    stack: Option<&'x Stack>,
}

impl Row<'_, '_> {
    fn put_into(&self, batch: &mut CleanBatch) {
        let country = self.event.place.country.as_ref().map_or(country::UNKNOWN, |c| c.as_str());
        let system =
            [(self.columns.country, Value::Text(country)), (self.columns.app, Value::Text(self.app))];
        let own = self.values.iter().filter(|(column, _)| *column != DROPPED).map(|(column, value)| {
            let value = match value {
                Checked::Text(text, _) => Value::Text(text),
                Checked::Integer(number) => Value::Integer(*number),
                Checked::Boolean(flag) => Value::Boolean(*flag),
            };
            (*column, value)
        });
        let derived = [
            self.stack.and_then(|s| Some((self.columns.crash_group?, Value::Text(&s.group)))),
            self.stack
                .filter(|s| !s.text.is_empty())
                .and_then(|s| Some((self.columns.stack?, Value::Text(&s.text)))),
        ];
        let all = system.into_iter().chain(own).chain(derived.into_iter().flatten());
        match self.event.is_hidden {
            true => batch.hide(&self.event.head, &self.event.other_ids, all),
            false => batch.push(self.event.slot, &self.event.head, &self.event.other_ids, all),
        }
    }
}

struct Stage<'x> {
    scrubber: &'x Scrubber,
    /// Values of dimensions that were looked at before: batches repeat versions, models and screens.
    remembered: FxHashMap<String, bool>,
    dropped: u64,
    work: Work,
}

impl Stage<'_> {
    /// Makes the values clean; returns the stack when the event has one.
    fn event(
        &mut self,
        event: &PseudonymousEvent<'_>,
        values: &mut [(u16, Checked<'_>)],
        columns: &Columns,
    ) -> Option<Stack> {
        let mut at = 0;
        while at < values.len() {
            let keep = match &values[at].1 {
                Checked::Text(text, Care::Dimension) => self.is_clean(text),
                Checked::Text(text, Care::OwnName) => is_model(text, values, columns),
                _ => true,
            };
            if !keep && values[at].0 != DROPPED {
                values[at].0 = DROPPED;
                self.dropped += 1;
            }
            if let Checked::Text(text, Care::Text) = &mut values[at].1 {
                let changed = match self.scrubber.scrub(text, &mut self.work) {
                    Cow::Owned(scrubbed) => Some(scrubbed),
                    Cow::Borrowed(same) if same != &**text => Some(same.to_owned()),
                    Cow::Borrowed(_) => None,
                };
                if let Some(scrubbed) = changed {
                    *text = Cow::Owned(scrubbed);
                }
            }
            at += 1;
        }
        if event.frames.is_empty() && columns.crash_group.is_none() {
            return None;
        }
        let exception = columns.exception_type.and_then(|column| text_of(values, column)).unwrap_or_default();
        Some(frames::stack(exception, &event.frames, self.scrubber, &mut self.work))
    }

    fn is_clean(&mut self, text: &str) -> bool {
        if let Some(known) = self.remembered.get(text) {
            return *known;
        }
        let clean = !text.contains(char::is_control) && self.scrubber.is_clean(text, &mut self.work);
        if self.remembered.len() < REMEMBERED_MAX && !self.work.is_spent() {
            self.remembered.insert(text.to_owned(), clean);
        }
        clean
    }
}

fn text_of<'v>(values: &'v [(u16, Checked<'_>)], wanted: u16) -> Option<&'v str> {
    values.iter().find_map(|(column, value)| match value {
        Checked::Text(text, _) if *column == wanted => Some(&**text),
        _ => None,
    })
}

fn is_model(name: &str, values: &[(u16, Checked<'_>)], columns: &Columns) -> bool {
    text_of(values, columns.device_model).is_some_and(|model| model.trim().eq_ignore_ascii_case(name.trim()))
}
