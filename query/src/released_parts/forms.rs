//! The forms of one query on its days and in its regions, each made once, and how much work all of that may be.
//!
//! A form depends on a day in one way only: by how the day, or its times, lie to the constants of the query. So days that lie
//! alike have one form, of which everything that says it has a pointer, and the same for regions, where the query names none.
//! A range of 400 days in four regions has two forms and not 1,600.
//! Invariants: the form that is shared is the one that the day alone would have. Work is counted and never timed, so whether it is too
//! much follows from the text, the public schema, the key's regions and the time of the request.
//! Not here: the form itself (`canonical`), identity (`mod.rs`).

use std::collections::HashMap;
use std::sync::Arc;

use shoal_anonymity::budget::PartDigest;
use shoal_language::{DayRange, PrivateQuery, Refusal, Rule, Scalar, Value};
use shoal_schemas::Region;

use super::canonical::{Form, form};
use super::simplify::Spot;

/// The encoding's version: another one makes other released parts of everything.
const VERSION: &[u8] = b"piece 1";
/// Most work of a statement's forms and released parts together: parts of expressions that are looked at or written, and what
/// a part and each of its blocks are worth of that. `docs/sql.md` has it.
pub(crate) const FORM_WORK_MAX: u64 = 4_000_000;
/// What a released part and each block that it charges are worth.
const WORK_OF_A_BLOCK: u64 = 8;

/// The work that the forms of a statement have been so far.
#[derive(Default)]
pub(crate) struct FormWork(u64);

impl FormWork {
    /// Counts work.
    ///
    /// # Errors
    /// [`Rule::Size`] when it is too much.
    fn add(&mut self, more: u64) -> Result<(), Refusal> {
        self.0 = self.0.saturating_add(more);
        if self.0 <= FORM_WORK_MAX {
            return Ok(());
        }
        let message = "The conditions of this statement read differently on its days and in its regions, or its windows read each day \
            many times, and writing all of that down is too much work. Ask for fewer days or regions at once, or with shorter \
            conditions.";
        let example = "SELECT COUNT(*) AS events FROM usage WHERE day = current_date - 1";
        Err(Refusal::whole(Rule::Size, message, example))
    }

    /// Counts a released part that charges so many blocks.
    ///
    /// # Errors
    /// As [`FormWork::add`].
    pub(super) fn part(&mut self, blocks: usize) -> Result<(), Refusal> {
        self.add(WORK_OF_A_BLOCK.saturating_mul(1 + blocks as u64))
    }

    /// How much it has been.
    #[cfg(test)]
    pub(crate) fn spent(&self) -> u64 {
        self.0
    }
}

/// The regions, days and times that a query's expressions name, and the constants that they can be compared with.
#[derive(Default)]
struct Named {
    has_region: bool,
    items: Vec<Scalar>,
    constants: Vec<Value>,
}

/// How the days of a form lie to the constants of the query: for the first and the last value of each item, how many constants
/// are below it, and whether one is equal to it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Lie {
    region: Option<Region>,
    ends: Vec<(usize, bool)>,
}

impl Named {
    fn of(query: &PrivateQuery) -> Named {
        let mut named = Named::default();
        let members = query.members().iter().filter_map(|member| member.filter.as_ref());
        query.expressions().into_iter().chain(members).for_each(|expression| named.add(expression));
        named.constants.sort();
        named.constants.dedup();
        named
    }

    fn add(&mut self, scalar: &Scalar) {
        let is_moment = |value: &&Value| matches!(value, Value::Day(_) | Value::Time(_));
        match scalar {
            Scalar::Region => self.has_region = true,
            Scalar::Day | Scalar::Time(_) if !self.items.contains(scalar) => self.items.push(scalar.clone()),
            Scalar::Value(value) => self.constants.extend(Some(value).filter(is_moment).cloned()),
            Scalar::In(_, values) => self.constants.extend(values.iter().filter(is_moment).cloned()),
            _ => {}
        }
        scalar.each(&mut |inner| self.add(inner));
    }

    fn lie(&self, region: Region, days: DayRange) -> Lie {
        let spot = Spot::new(region, days);
        let of = |end: Value| {
            let at = self.constants.partition_point(|constant| *constant < end);
            (at, self.constants.get(at) == Some(&end))
        };
        let ends = self.items.iter().filter_map(|item| spot.range(item));
        let ends = ends.flat_map(|(low, high)| [of(low), of(high)]).collect();
        Lie { region: self.has_region.then_some(region), ends }
    }
}

/// A form, and the digest of what the released parts of one region that have it begin with.
#[derive(Clone)]
pub(super) struct Formed {
    pub(super) form: Arc<Form>,
    pub(super) digest: PartDigest,
}

/// The forms of a query.
pub(super) struct Forms<'q> {
    query: &'q PrivateQuery,
    named: Named,
    made: HashMap<Lie, Arc<Form>>,
    formed: HashMap<(Lie, Region), Formed>,
    pub(super) work: &'q mut FormWork,
}

impl<'q> Forms<'q> {
    pub(super) fn of(query: &'q PrivateQuery, work: &'q mut FormWork) -> Forms<'q> {
        Forms { query, named: Named::of(query), made: HashMap::new(), formed: HashMap::new(), work }
    }

    /// The form on these days of a region.
    ///
    /// # Errors
    /// When making it is too much work.
    pub(super) fn on(&mut self, region: Region, days: DayRange) -> Result<Formed, Refusal> {
        let key = (self.named.lie(region, days), region);
        if let Some(formed) = self.formed.get(&key) {
            return Ok(formed.clone());
        }
        let form = match self.made.get(&key.0) {
            Some(form) => Arc::clone(form),
            None => {
                let form = Arc::new(form(self.query, region, days));
                self.work.add(form.work)?;
                self.made.insert(key.0.clone(), Arc::clone(&form));
                form
            }
        };
        let mut digest = PartDigest::default();
        for field in [VERSION, region.as_str().as_bytes(), self.query.table().as_str().as_bytes()] {
            digest.field(field);
        }
        digest.field(form.text.as_bytes());
        let formed = Formed { form, digest };
        self.formed.insert(key, formed.clone());
        Ok(formed)
    }
}
