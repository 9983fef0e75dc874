//! The types, constants and operators that expressions are made of.
//!
//! Not here: the expressions themselves (`mod.rs`).

/// What an expression evaluates to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Type {
    /// Text.
    Text,
    /// True or false.
    Boolean,
    /// An integer of units of 10^-scale.
    Number {
        /// Decimal places.
        scale: u8,
    },
    /// A time, in milliseconds.
    Time,
    /// A calendar day.
    Day,
}

impl Type {
    /// Its name for a person.
    pub fn name(self) -> String {
        match self {
            Type::Text => "text".to_owned(),
            Type::Boolean => "boolean".to_owned(),
            Type::Number { scale: 0 } => "whole number".to_owned(),
            Type::Number { scale } => format!("number with {scale} decimal places"),
            Type::Time => "timestamp".to_owned(),
            Type::Day => "date".to_owned(),
        }
    }
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compare {
    /// `=`
    Eq,
    /// `<>`
    NotEq,
    /// `<`
    Lt,
    /// `<=`
    LtEq,
    /// `>`
    Gt,
    /// `>=`
    GtEq,
}

impl Compare {
    /// The same comparison with its sides exchanged.
    pub const fn flipped(self) -> Compare {
        match self {
            Compare::Lt => Compare::Gt,
            Compare::LtEq => Compare::GtEq,
            Compare::Gt => Compare::Lt,
            Compare::GtEq => Compare::LtEq,
            Compare::Eq | Compare::NotEq => self,
        }
    }

    pub(super) const fn text(self) -> &'static str {
        match self {
            Compare::Eq => "=",
            Compare::NotEq => "<>",
            Compare::Lt => "<",
            Compare::LtEq => "<=",
            Compare::Gt => ">",
            Compare::GtEq => ">=",
        }
    }
}

/// A constant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Value {
    /// NULL, of any type.
    Null,
    /// True or false.
    Boolean(bool),
    /// Units of 10^-scale.
    Number(i64, u8),
    /// Days since 1970-01-01.
    Day(i32),
    /// Milliseconds since 1970, UTC.
    Time(i64),
    /// Text.
    Text(String),
}

/// An operation on numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
}

impl Arithmetic {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Arithmetic::Add => "+",
            Arithmetic::Subtract => "-",
            Arithmetic::Multiply => "*",
        }
    }
}

/// A part of the event's hour, as PostgreSQL's EXTRACT has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimePart {
    /// 0 to 23.
    Hour,
    /// 0 (Sunday) to 6.
    Dow,
    /// 1 (Monday) to 7.
    Isodow,
    /// 1 to 31.
    Day,
    /// ISO week, 1 to 53.
    Week,
    /// 1 to 12.
    Month,
    /// 1 to 4.
    Quarter,
    /// The calendar year.
    Year,
    /// Days since 1970-01-01.
    DayNumber,
}

impl TimePart {
    /// Its name in SQL, lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            TimePart::Hour => "hour",
            TimePart::Dow => "dow",
            TimePart::Isodow => "isodow",
            TimePart::Day => "day",
            TimePart::Week => "week",
            TimePart::Month => "month",
            TimePart::Quarter => "quarter",
            TimePart::Year => "year",
            TimePart::DayNumber => "day_number",
        }
    }

    /// Smallest and largest value; a year's are not known.
    pub const fn range(self) -> Option<(i64, i64)> {
        match self {
            TimePart::Hour => Some((0, 23)),
            TimePart::Dow => Some((0, 6)),
            TimePart::Isodow => Some((1, 7)),
            TimePart::Day => Some((1, 31)),
            TimePart::Week => Some((1, 53)),
            TimePart::Month => Some((1, 12)),
            TimePart::Quarter => Some((1, 4)),
            TimePart::Year | TimePart::DayNumber => None,
        }
    }
}
