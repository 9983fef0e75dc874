//! The members of an object of a native event, read onto the end of a vector.
//!
//! Not here: which object it is (`decode.rs`), what a property means (`stages/validate.rs`).

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::wire::{
    batch::Property,
    json::{Bounds, Broken, Json, Key},
};

/// Everything that is not an object is one answer.
macro_rules! scalars {
    () => {
        fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Self::Value, E> {
            self.other()
        }
        fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Self::Value, E> {
            self.other()
        }
        fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Self::Value, E> {
            self.other()
        }
        fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Self::Value, E> {
            self.other()
        }
        fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Self::Value, E> {
            self.other()
        }
    };
}
pub(super) use scalars;

/// Reads the members of an object onto the end of a vector.
pub(super) struct Members<'x, 'a> {
    pub(super) bounds: &'x Bounds,
    pub(super) out: &'x mut Vec<Property<'a>>,
    pub(super) max: usize,
}

/// What stood where an object should.
#[derive(PartialEq)]
pub(super) enum Object {
    Whole,
    TooMany,
    Not,
}

impl<'a> DeserializeSeed<'a> for Members<'_, 'a> {
    type Value = Object;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Object, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Members<'_, '_> {
    fn other<E: serde::de::Error>(self) -> Result<Object, E> {
        Ok(Object::Not)
    }
}

impl<'a> Visitor<'a> for Members<'_, 'a> {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    scalars!();

    fn visit_unit<E: serde::de::Error>(self) -> Result<Object, E> {
        Ok(Object::Whole)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Object, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.other()
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Object, A::Error> {
        let start = self.out.len();
        let mut object = Object::Whole;
        while let Some(key) = map.next_key_seed::<Key>(Key)? {
            if self.out.len() - start >= self.max {
                map.next_value::<IgnoredAny>()?;
                object = Object::TooMany;
                continue;
            }
            let value: Json<'a> = map.next_value_seed(self.bounds.value())?;
            let key: Cow<'a, str> = key;
            self.out.push((key, value));
        }
        if self.bounds.spend(self.out.len() - start) {
            return Ok(object);
        }
        Err(self.bounds.stop(Broken::Values))
    }
}
