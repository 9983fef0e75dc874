//! The bodies and answers of all routes in the OpenAPI description, where no type of this crate is read or written as it stands.
//!
//! Invariants: these types are never made; they say what other crates write by hand, or JSON that a route puts together. A test compares
//! real answers with the schemas, member by member (`server/tests/it/described.rs`), so that they cannot drift apart. A member of an
//! answer that may be missing is optional and never null; one that may be null is always there.
//! Not here: refusals (`refusals.rs`), types that a route reads or writes by itself (`routes/`).
//!
//! - `answered`: what senders of events and consents are told; `catalogue`: what can be sent; `keys`: what a key is told of itself; `questions`: tables, answers and budgets
//! - `retention`: plans and runs; `rights`: what a person is told; `sent`: events and consents of Shoal's own form; `vendors`: what vendors' SDKs send and are told

pub(super) mod answered;
pub(super) mod catalogue;
pub(super) mod keys;
pub(super) mod questions;
pub(super) mod retention;
pub(super) mod rights;
pub(super) mod sent;
pub(super) mod vendors;

use std::borrow::Cow;

use shoal_schemas::{Kind, Programme, Protocol, Region};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// Declares types that stand for one of the words of a closed set.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident: $title:literal, $description:literal, $words:expr;)+) => {$(
        $(#[$doc])*
        pub(in crate::http) enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let words = ObjectBuilder::new().schema_type(Type::String).description(Some($description));
                words.enum_values(Some($words)).build().into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                $title.into()
            }
        }
    )+};
}

words! {
    /// See [`Region`].
    RegionWord: "Region", "A storage region", Region::ALL.iter().map(|region| region.as_str());
    /// See [`Kind`].
    KindWord: "Kind", "A kind of event, and the name of its table", Kind::ALL.iter().map(|kind| kind.as_str());
    /// See [`Programme`].
    ProgrammeWord: "Programme", "What a person opts in to", Programme::ALL.iter().map(|programme| programme.as_str());
    /// See [`Protocol`].
    ProtocolWord: "Protocol", "How events were written", Protocol::ALL.iter().map(|protocol| protocol.as_str());
    /// See [`Precision`](shoal_anonymity::budget::Precision).
    PrecisionWord: "Precision", "How exact an answer shall be, and so its price", ["low", "normal", "high"];
}

/// Declares types that stand for one of several forms; `$builder` is `OneOfBuilder` where at most one fits, `AnyOfBuilder` else.
macro_rules! forms {
    ($($(#[$doc:meta])* $name:ident: $title:literal, $description:literal, $builder:ident [$($of:ty),+];)+) => {$(
        $(#[$doc])*
        pub(in crate::http) enum $name {}

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                let forms = utoipa::openapi::schema::$builder::new().description(Some($description));
                $(let forms = forms.item($crate::http::described::named::<$of>());)+
                utoipa::openapi::schema::Schema::from(forms.build()).into()
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                $title.into()
            }

            fn schemas(
                all: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>)>,
            ) {
                $(
                    all.push((<$of as utoipa::ToSchema>::name().into_owned(), <$of as utoipa::PartialSchema>::schema()));
                    <$of as utoipa::ToSchema>::schemas(all);
                )+
            }
        }
    )+};
}
use forms;

/// The schema of this name.
fn named<T: ToSchema>() -> Ref {
    Ref::from_schema_name(T::name())
}

/// A value that is no list and no object.
pub(super) enum Scalar {}

impl PartialSchema for Scalar {
    fn schema() -> RefOr<Schema> {
        let types = [Type::String, Type::Number, Type::Boolean, Type::Null];
        let scalar = ObjectBuilder::new()
            .schema_type(types.into_iter().collect::<utoipa::openapi::schema::SchemaType>());
        scalar.description(Some("A value that is no list and no object")).build().into()
    }
}

impl ToSchema for Scalar {}

/// An identifier of a person or a thing, or a time.
pub(super) enum TextOrNumber {}

impl PartialSchema for TextOrNumber {
    fn schema() -> RefOr<Schema> {
        let types = [Type::String, Type::Number, Type::Null];
        let either = ObjectBuilder::new()
            .schema_type(types.into_iter().collect::<utoipa::openapi::schema::SchemaType>());
        either
            .description(Some(
                "A text or a number: an identifier; a time as RFC 3339 or in milliseconds since 1970",
            ))
            .build()
            .into()
    }
}

impl ToSchema for TextOrNumber {}
