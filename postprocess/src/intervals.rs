//! One number of an answer: its standard deviation and its 95 % interval.
//!
//! Invariants: a number is shown with an interval that holds it, or not at all. The deviation of a computed number is the
//! root of the mean square of its companions' differences from it; its interval reaches as far beyond that as the worlds say,
//! in which groups that are not shown are at one end or the other. Not here: columns (`answer`), companions (`replicate`).

use shoal_anonymity::budget::Z_95;

/// A number of an answer; where its error is not known, or it cannot be computed, everything is `None`. Where it stands for a
/// group that is not shown, only the interval is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cell {
    pub(super) value: Option<f64>,
    pub(super) sd: Option<f64>,
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
}

/// The companions of one number.
pub(super) struct Companions {
    pub(super) moved: Vec<Option<f64>>,
    /// With conditions moved as far as a 95 % interval goes.
    pub(super) steps: Vec<Option<f64>>,
    pub(super) worlds: Vec<Option<f64>>,
}

impl Cell {
    fn of(value: f64, sd: f64, (low, high): (f64, f64)) -> Cell {
        let is_known = [value, sd, low, high].into_iter().all(f64::is_finite);
        match is_known {
            true => Cell {
                value: Some(value),
                sd: Some(sd),
                low: Some(low.min(value)),
                high: Some(high.max(value)),
            },
            false => Cell::default(),
        }
    }

    fn between(low: f64, high: f64) -> Cell {
        match low.is_finite() && high.is_finite() && low < high {
            true => Cell { low: Some(low), high: Some(high), ..Cell::default() },
            false => Cell::default(),
        }
    }

    /// The same of a count, which is never below zero. The interval of a negative estimate goes from it to where that of zero
    /// would end: so it holds the estimate, and what the truth can be.
    pub(super) fn counted(self) -> Cell {
        let Some(value) = self.value else {
            return Cell { low: self.low.map(|low| low.max(0.0)), ..self };
        };
        let below = value.min(0.0);
        Cell { low: self.low.map(|low| low.max(below)), high: self.high.map(|high| high - below), ..self }
    }
}

/// A number whose deviation and ends are stated, in this order.
pub(super) fn stated(value: Option<f64>, mut of: impl Iterator<Item = Option<f64>>) -> Cell {
    let mut next = || of.next().flatten();
    let (sd, low, high) = (next(), next(), next());
    match (value, sd, low, high) {
        // Times a negative number, the ends change places.
        (Some(value), Some(sd), Some(a), Some(b)) => Cell::of(value, sd.abs(), (a.min(b), a.max(b))),
        (None, _, Some(a), Some(b)) => Cell::between(a.min(b), a.max(b)),
        _ => Cell::default(),
    }
}

/// A number that is computed from noisy ones.
pub(super) fn computed(value: Option<f64>, companions: &Companions) -> Cell {
    let (sd, reach) = (value.and_then(|x| deviation(x, &companions.moved)), reach(value, &companions.worlds));
    match (value, sd, reach) {
        (Some(value), Some(sd), Some((low, high))) => {
            let (low, high) = (low.min(value), high.max(value));
            let (down, up) = jump(value, &companions.steps);
            let (low, high) = (low + down, high + up);
            let ends = (low - Z_95 * sd, high + Z_95 * sd);
            // Of a number that may jump, or stand for a withheld group: that of a normal estimate with an interval of this width.
            let sd = if low < high { (ends.1 - ends.0) / (2.0 * Z_95) } else { sd };
            Cell::of(value, sd, ends)
        }
        (None, _, Some((low, high))) => Cell::between(low, high),
        _ => Cell::default(),
    }
}

/// The root of the mean square of the companions' differences from the number.
fn deviation(x: f64, moved: &[Option<f64>]) -> Option<f64> {
    if moved.is_empty() {
        return None;
    }
    let squares = moved.iter().try_fold(0.0, |sum, moved| Some(sum + (moved.as_ref()? - x).powi(2)))?;
    Some((squares / moved.len() as f64).sqrt())
}

/// How far down and up a number goes where conditions are moved. Where there is no number then, there is none to hold.
fn jump(value: f64, steps: &[Option<f64>]) -> (f64, f64) {
    let by = steps.iter().flatten().map(|step| step - value);
    by.fold((0.0, 0.0), |(down, up), by| (down.min(by), up.max(by)))
}

/// How far the worlds reach: from the first, what those of each side, which are two, add below and above.
fn reach(value: Option<f64>, worlds: &[Option<f64>]) -> Option<(f64, f64)> {
    let Some((first, others)) = worlds.split_first() else { return value.map(|x| (x, x)) };
    let first = (*first)?;
    others.chunks(2).try_fold((first, first), |(low, high), of_side| {
        let (mut down, mut up) = (0.0_f64, 0.0_f64);
        for other in of_side {
            let step = other.as_ref()? - first;
            // A number that is not known makes the ends unknown, which `min` and `max` would pass over.
            if step.is_nan() {
                return None;
            }
            (down, up) = (down.min(step), up.max(step));
        }
        Some((low + down, high + up))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(cell: Cell) -> (Option<f64>, Option<f64>) {
        (cell.low, cell.high)
    }

    #[test]
    fn the_interval_of_a_negative_count_holds_it_and_what_the_truth_can_be() {
        let sd = 31.6;
        for value in [-120.0, -59.0, -1.0, 0.0, 40.0, 400.0] {
            let half = Z_95 * sd;
            let of = [Some(sd), Some(value - half), Some(value + half)];
            let cell = stated(Some(value), of.into_iter()).counted();
            let (Some(low), Some(high)) = ends(cell) else { panic!("{value} has no interval") };
            assert!(low <= value && low >= value.min(0.0), "{value}: {low}");
            assert!(high >= half && high >= value + half, "{value}: {high}");
        }
    }

    #[test]
    fn a_number_is_shown_with_its_interval_or_not_at_all() {
        assert_eq!(stated(Some(3.0), [Some(1.0), None, Some(4.0)].into_iter()), Cell::default());
        let none = Companions { moved: vec![Some(1.0), None], steps: Vec::new(), worlds: Vec::new() };
        assert_eq!(computed(Some(1.0), &none), Cell::default());
        let unknown = Companions { moved: vec![Some(1.0)], steps: Vec::new(), worlds: vec![Some(1.0), None] };
        assert_eq!(computed(Some(1.0), &unknown), Cell::default());
        let infinite = Companions { moved: vec![Some(f64::INFINITY)], steps: Vec::new(), worlds: Vec::new() };
        assert_eq!(computed(Some(1.0), &infinite), Cell::default());
    }

    #[test]
    fn worlds_widen_the_interval_on_their_side() {
        // 1 - coalesce(n, 0) / 189, where n is 0 to 140.
        let high = 1.0 - 140.0 / 189.0;
        let of = |value| Companions {
            moved: vec![Some(value); 2],
            steps: Vec::new(),
            worlds: vec![Some(1.0), Some(high)],
        };
        let cell = computed(Some(1.0), &of(1.0));
        assert_eq!(ends(cell), (Some(high), Some(1.0)));
        assert!(cell.sd.is_some_and(|sd| sd > 0.15));
        // Without COALESCE there is no number, only what it is between.
        let cell = computed(None, &of(1.0));
        assert_eq!((cell.value, ends(cell)), (None, (Some(high), Some(1.0))));
        // Two sides of a difference go apart; the worlds of one side do not add up.
        let worlds = vec![Some(0.0), Some(9.0), Some(2.0), Some(-5.0), Some(-1.0)];
        let both = Companions { moved: vec![Some(0.0)], steps: Vec::new(), worlds };
        assert_eq!(ends(computed(Some(0.0), &both)), (Some(-5.0), Some(9.0)));
    }

    #[test]
    fn ends_that_changed_places_are_put_in_order() {
        let cell = stated(Some(-10.0), [Some(-2.0), Some(-6.0), Some(-14.0)].into_iter());
        assert_eq!((cell.sd, ends(cell)), (Some(2.0), (Some(-14.0), Some(-6.0))));
    }
}
