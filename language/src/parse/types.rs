//! The types that a cast can name, and the parts of a time that can be named.
//!
//! Invariants: both lists are closed and complete; every other type and part is refused by name.

use sqlparser::ast::{DataType, DateTimeField};
use sqlparser::tokenizer::Span;

use crate::error::{Refusal, Rule, without_values};

/// Whether a cast to the type can be written at all.
#[rustfmt::skip] // lists of names, packed
pub(super) fn castable(ty: &DataType, span: Span) -> Result<(), Refusal> {
    match ty {
        DataType::Character(..) | DataType::Char(..) | DataType::CharacterVarying(..)
        | DataType::CharVarying(..) | DataType::Varchar(..) | DataType::Numeric(..) | DataType::Decimal(..)
        | DataType::Dec(..) | DataType::Float(..) | DataType::Int2(..) | DataType::SmallInt(..)
        | DataType::Int(..) | DataType::Int4(..) | DataType::Int8(..) | DataType::Int32 | DataType::Int64
        | DataType::Integer(..) | DataType::BigInt(..) | DataType::Float4 | DataType::Float32
        | DataType::Float64 | DataType::Real | DataType::Float8 | DataType::Double(..)
        | DataType::DoublePrecision | DataType::Bool | DataType::Boolean | DataType::Date
        | DataType::Timestamp(..) | DataType::Text | DataType::String(..)
        | DataType::Interval { fields: None, precision: None } => Ok(()),
        DataType::Interval { .. } | DataType::Table(..) | DataType::NamedTable { .. } | DataType::Nvarchar(..)
        | DataType::Uuid | DataType::CharacterLargeObject(..) | DataType::CharLargeObject(..)
        | DataType::Clob(..) | DataType::Binary(..) | DataType::Varbinary(..) | DataType::Blob(..)
        | DataType::TinyBlob | DataType::MediumBlob | DataType::LongBlob | DataType::Bytes(..)
        | DataType::DecimalUnsigned(..) | DataType::BigNumeric(..) | DataType::BigDecimal(..)
        | DataType::DecUnsigned(..) | DataType::FloatUnsigned(..) | DataType::TinyInt(..)
        | DataType::TinyIntUnsigned(..) | DataType::UTinyInt | DataType::Int2Unsigned(..)
        | DataType::SmallIntUnsigned(..) | DataType::USmallInt | DataType::MediumInt(..)
        | DataType::MediumIntUnsigned(..) | DataType::Int16 | DataType::Int128 | DataType::Int256
        | DataType::IntUnsigned(..) | DataType::Int4Unsigned(..) | DataType::IntegerUnsigned(..)
        | DataType::HugeInt | DataType::UHugeInt | DataType::UInt8 | DataType::UInt16 | DataType::UInt32
        | DataType::UInt64 | DataType::UInt128 | DataType::UInt256 | DataType::BigIntUnsigned(..)
        | DataType::UBigInt | DataType::Int8Unsigned(..) | DataType::Signed | DataType::SignedInteger
        | DataType::Unsigned | DataType::UnsignedInteger | DataType::RealUnsigned
        | DataType::DoubleUnsigned(..) | DataType::DoublePrecisionUnsigned | DataType::Date32
        | DataType::Time(..) | DataType::Datetime(..) | DataType::Datetime64(..) | DataType::TimestampNtz(..)
        | DataType::JSON | DataType::JSONB | DataType::Regclass | DataType::TinyText | DataType::MediumText
        | DataType::LongText | DataType::FixedString(..) | DataType::Bytea | DataType::Bit(..)
        | DataType::BitVarying(..) | DataType::VarBit(..) | DataType::Custom(..) | DataType::Array(..)
        | DataType::Map(..) | DataType::Tuple(..) | DataType::Nested(..) | DataType::Enum(..)
        | DataType::Set(..) | DataType::Struct(..) | DataType::Union(..) | DataType::Nullable(..)
        | DataType::LowCardinality(..) | DataType::Unspecified | DataType::Trigger | DataType::AnyType
        | DataType::GeometricType(..) | DataType::TsVector | DataType::TsQuery => refuse(span),
    }
}

fn refuse(span: Span) -> Result<(), Refusal> {
    let message = "A cast to this type cannot be used.";
    let suggestion = "SELECT time::date AS d, COUNT(*)::float AS n FROM usage GROUP BY d";
    Err(Refusal::new(Rule::Expression, span, message, suggestion))
}

/// Whether a part of a time can be named at all.
#[rustfmt::skip] // lists of names, packed
pub(super) fn field(part: &DateTimeField, span: Span) -> Result<(), Refusal> {
    match part {
        DateTimeField::Year | DateTimeField::Years | DateTimeField::Month | DateTimeField::Months
        | DateTimeField::Week(None) | DateTimeField::Weeks | DateTimeField::Day | DateTimeField::DayOfWeek
        | DateTimeField::DayOfYear | DateTimeField::Days | DateTimeField::Hour | DateTimeField::Hours
        | DateTimeField::Minute | DateTimeField::Minutes | DateTimeField::Second | DateTimeField::Seconds
        | DateTimeField::Dow | DateTimeField::Doy | DateTimeField::Epoch | DateTimeField::Isodow
        | DateTimeField::Isoyear | DateTimeField::IsoWeek | DateTimeField::Quarter
        | DateTimeField::NoDateTime => Ok(()),
        DateTimeField::Week(Some(_)) | DateTimeField::Date | DateTimeField::Datetime | DateTimeField::Century
        | DateTimeField::Decade | DateTimeField::Julian | DateTimeField::Microsecond
        | DateTimeField::Microseconds | DateTimeField::Millenium | DateTimeField::Millennium
        | DateTimeField::Millisecond | DateTimeField::Milliseconds | DateTimeField::Nanosecond
        | DateTimeField::Nanoseconds | DateTimeField::Time | DateTimeField::Timezone
        | DateTimeField::TimezoneAbbr | DateTimeField::TimezoneHour | DateTimeField::TimezoneMinute
        | DateTimeField::TimezoneRegion | DateTimeField::Custom(..) => {
            let message = without_values(&format!("{part} of a time cannot be used."));
            let suggestion = "SELECT extract(hour FROM time) AS h, COUNT(*) FROM usage GROUP BY h";
            Err(Refusal::new(Rule::Expression, span, message, suggestion))
        }
    }
}
