//! Times on the clocks of a zone: what is said of them, and how many hours they are ahead of UTC on the days that are asked.
//!
//! Invariants: each look-up is counted as steps, and the hours of a zone are looked up once for the same days. What was taken for so
//! many hours is kept as a [`Clock`], so that whoever learns later which days are read can see whether it holds for all of them.
//! Not here: conditions (`in_utc`), keys and items (`zoned`), the zones (`zones`).

use sqlparser::ast::{CastKind, DataType, DateTimeField, Expr, Spanned};
use sqlparser::tokenizer::Span;

use crate::bind::literal::is_utc;
use crate::calendar::day_text;
use crate::error::{Refusal, Rule};
use crate::private_query::DayRange;
use crate::syntax::{any, plain_call, plain_name, text_of};
use crate::work::Work;
use crate::zones::{NAME_STEPS, NoHours, Zone, hours_steps};

pub(super) const BY_HOUR: &str = "SELECT date_trunc('hour', time AT TIME ZONE 'Asia/Singapore') AS hour, COUNT(*) AS n FROM usage WHERE \
    day >= current_date - 6 GROUP BY 1 ORDER BY 1";

/// A time on the clocks of a zone.
pub(super) struct Local<'e> {
    /// `time`, as it is written.
    pub(super) time: &'e Expr,
    pub(super) zone: Zone,
    pub(super) span: Span,
}

/// A zone whose clocks were taken to be so many hours ahead of UTC, on these days.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) zone: Zone,
    pub(super) hours: i64,
    days: DayRange,
    span: Span,
}

/// Reads what is said of times of zones.
pub(super) struct Clocks<'w> {
    pub(super) work: &'w Work,
    pub(super) now_ms: i64,
    /// The days that are asked; `None` where they are not known yet, and hours are left as they are.
    pub(super) days: Option<DayRange>,
    /// The zones whose hours were looked up.
    pub(super) known: Vec<Clock>,
}

/// Whether an expression names a zone other than UTC.
pub(super) fn has_zone(expr: &Expr) -> bool {
    any(expr, &mut |inner| matches!(inner, Expr::AtTimeZone { time_zone, .. } if !is_utc(time_zone)))
}

/// The time of `extract(hour FROM ..)`, also as a whole number of another type.
pub(super) fn hour_of(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::Nested(inner) => hour_of(inner),
        Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr: inner, data_type, .. }
            if is_whole_number(data_type) =>
        {
            hour_of(inner)
        }
        Expr::Extract { field: DateTimeField::Hour | DateTimeField::Hours, expr: of, .. } => Some(of),
        Expr::Function(function) => match plain_call(function)? {
            (name, args) if name == "date_part" => match args.as_slice() {
                [part, of] if text_of(part)?.eq_ignore_ascii_case("hour") => Some(of),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// The time of `date_trunc('hour', ..)`.
pub(super) fn cut(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::Nested(inner) => cut(inner),
        Expr::Function(function) => match plain_call(function)? {
            (name, args) if name == "date_trunc" => match args.as_slice() {
                [unit, of] if text_of(unit)?.eq_ignore_ascii_case("hour") => Some(of),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// Whether a type holds every hour of a day.
pub(super) fn is_whole_number(ty: &DataType) -> bool {
    matches!(
        ty,
        DataType::Int(None)
            | DataType::Integer(None)
            | DataType::Int4(None)
            | DataType::SmallInt(None)
            | DataType::BigInt(None)
            | DataType::Int8(None)
            | DataType::Int64
    )
}

/// Whether an expression asks for an hour on the clocks of a zone.
pub(super) fn has_hours(expr: &Expr) -> bool {
    any(expr, &mut |inner| hour_of(inner).is_some_and(has_zone))
}

impl<'w> Clocks<'w> {
    /// With the days that are asked, where they are known.
    pub(super) fn of(work: &'w Work, now_ms: i64, days: Option<DayRange>) -> Clocks<'w> {
        Clocks { work, now_ms, days, known: Vec::new() }
    }

    /// The zone of a name.
    pub(super) fn zone(&self, name: &Expr) -> Result<Zone, Refusal> {
        self.work.add(NAME_STEPS);
        self.work.step(|| name.span())?;
        text_of(name).and_then(Zone::of).ok_or_else(|| {
            let message = "There is no such time zone. Zones have names, such as 'Europe/Berlin'; a distance such as '+08' would be west in \
                PostgreSQL and east elsewhere.";
            Refusal::new(Rule::Literal, name.span(), message, BY_HOUR)
        })
    }

    /// The time of `time AT TIME ZONE 'name'`; `None` for every other expression, and for UTC.
    pub(super) fn local<'e>(&self, expr: &'e Expr) -> Result<Option<Local<'e>>, Refusal> {
        let (time, zone) = match expr {
            Expr::Nested(inner) => return self.local(inner),
            Expr::AtTimeZone { timestamp, time_zone } if !is_utc(time_zone) => {
                (timestamp.as_ref(), time_zone)
            }
            _ => return Ok(None),
        };
        let is_time = match time {
            Expr::Identifier(name) => plain_name(name) == "time",
            Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|name| plain_name(name) == "time"),
            _ => false,
        };
        match is_time {
            true => Ok(Some(Local { time, zone: self.zone(zone)?, span: expr.span() })),
            false => Ok(None),
        }
    }

    /// How many hours a zone is ahead of UTC on the days that are asked; `None` where these are not known.
    pub(super) fn hours(&mut self, of: &Local<'_>) -> Result<Option<i64>, Refusal> {
        let Some(days) = self.days else { return Ok(None) };
        if let Some(known) = self.known.iter().find(|known| known.zone == of.zone) {
            return Ok(Some(known.hours));
        }
        let hours = looked_up(of.zone, days, of.span, self.work)?;
        self.known.push(Clock { zone: of.zone, hours, days, span: of.span });
        Ok(Some(hours))
    }
}

/// What a reader should know of a zone.
pub(super) fn note(clock: &Clock) -> String {
    let by = clock.hours;
    let way = if by < 0 { "behind" } else { "ahead of" };
    let hours = if by.abs() == 1 { "one hour".to_owned() } else { format!("{} hours", by.abs()) };
    let name = clock.zone.name();
    format!("Hours are those of the clocks of {name}, {hours} {way} UTC; the days that are asked are UTC.")
}

/// Refuses clocks that are not as many hours ahead of UTC on all of these days as they were taken for.
pub(super) fn hold(clocks: &[Clock], days: DayRange, work: &Work) -> Result<(), Refusal> {
    for clock in clocks {
        let is_known = clock.days.first <= days.first && days.last <= clock.days.last;
        if !is_known && looked_up(clock.zone, days, clock.span, work)? != clock.hours {
            let message = format!(
                "The clocks of {} are set otherwise on the days that are asked than on the days that this subquery asks for: name the \
                 days beside this condition.",
                clock.zone.name()
            );
            return Err(Refusal::new(Rule::Range, clock.span, message, BY_HOUR));
        }
    }
    Ok(())
}

fn looked_up(zone: Zone, days: DayRange, span: Span, work: &Work) -> Result<i64, Refusal> {
    work.add(hours_steps(days));
    work.step(|| span)?;
    zone.hours(days).map_err(|no| {
        let message = match no {
            NoHours::Change(day) => format!(
                "The clocks of {} change on {}, within the days that are asked: ask for the days before and after it apart.",
                zone.name(),
                day_text(day)
            ),
            NoHours::Part => format!(
                "Times of events are known to the hour of UTC, and the clocks of {} are not whole hours from it.",
                zone.name()
            ),
        };
        Refusal::new(Rule::Range, span, message, BY_HOUR)
    })
}
