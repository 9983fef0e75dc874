//! The catalogue: what can be sent, from the definitions, in the words in which it is written on the wire.
//!
//! Invariant: it depends on the definitions alone, and shows everybody with an ingest key what answers to events tell already.
//! Not here: the commands (`cli/schemas.rs`) and the endpoint (`http/routes/schema.rs`) that show it.

use serde_json::{Map, Value, json};
use shoal_ingest::{NATIVE_FIELDS, NativeField};
use shoal_schemas::{Class, Domain, EventDef, Programme, PropertyDef, Registry, ValueType};

/// The fields of the native protocol, and the events of a programme, or of all where none is named.
pub(crate) fn whole(registry: &Registry, programme: Option<Programme>) -> Value {
    let events = registry.events().iter().filter(|event| programme.is_none_or(|of| of == event.programme));
    let names = ["event", "event or batch", "batch"];
    let fields =
        NATIVE_FIELDS.iter().zip(names).flat_map(|(fields, of)| fields.iter().map(move |one| field(one, of)));
    json!({"fields": fields.collect::<Vec<_>>(), "events": events.map(event).collect::<Vec<_>>()})
}

fn field(field: &NativeField, of: &str) -> Value {
    let mut shown = Map::new();
    shown.insert("name".to_owned(), json!(field.name));
    shown.insert("of".to_owned(), json!(of));
    shown.insert("type".to_owned(), json!(field.ty));
    if let Some(bytes) = field.bytes_max {
        shown.insert("bytes_max".to_owned(), json!(bytes));
    }
    shown.insert("doc".to_owned(), json!(field.doc));
    Value::Object(shown)
}

/// An event with its properties and an example that is accepted.
pub(crate) fn event(event: &EventDef) -> Value {
    let example = event.pass.first().and_then(|text| serde_json::from_str::<Value>(text).ok());
    json!({
        "name": event.name,
        "doc": event.doc,
        "kind": event.kind,
        "programme": event.programme,
        "properties": event.properties.iter().map(property).collect::<Vec<_>>(),
        "example": example,
    })
}

fn property(property: &PropertyDef) -> Value {
    let (mut shown, mut scale) = (Map::new(), 0);
    let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    put("name", json!(property.name));
    put("required", json!(property.required));
    let ty = match property.ty {
        ValueType::Text { bytes_max } => {
            put("bytes_max", json!(bytes_max));
            "text"
        }
        ValueType::Number { scale: places } => {
            scale = u32::from(places);
            put("decimal_places", json!(places));
            "number"
        }
        ValueType::Boolean => "boolean",
        ValueType::Frames => "frames",
    };
    put("type", json!(ty));
    if let Some((min, max)) = property.bounds {
        // Bounds are whole numbers of the unit.
        let unit = 10_i64.saturating_pow(scale);
        put("min", json!(min / unit));
        put("max", json!(max / unit));
    }
    let class = match &property.class {
        Class::Identifier(kind) => {
            put("identifier", json!(kind));
            "identifier"
        }
        Class::Dimension { domain, .. } => {
            if let (Domain::Listed(values), ValueType::Text { .. }) = (domain, property.ty) {
                put("values", json!(values));
            }
            "dimension"
        }
        Class::Measure(measure) => {
            put("unit", json!(measure.unit));
            "measure"
        }
        Class::Text => "text",
        Class::Location => "location",
        Class::Drop => "drop",
    };
    put("class", json!(class));
    put("doc", json!(property.doc));
    Value::Object(shown)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_catalogue_has_what_definitions_say_and_the_events_of_one_programme_only() {
        let registry = Registry::load(None).unwrap();
        let all = whole(&registry, None);
        assert_eq!(all["events"].as_array().unwrap().len(), registry.events().len());
        let of = whole(&registry, Some(Programme::DeviceExperience));
        let events = of["events"].as_array().unwrap();
        assert!(!events.is_empty() && events.iter().all(|event| event["programme"] == "device-experience"));
        let click = event(registry.event("click").unwrap());
        assert_eq!(
            click["properties"][0],
            json!({"name": "element", "required": true, "bytes_max": 64, "type": "text", "class": "dimension",
                "doc": "Name of the control, as the app's code calls it."})
        );
        assert_eq!(click["example"]["event"], "click");
        for event in all["events"].as_array().unwrap() {
            assert!(event["example"].is_object(), "{event}");
            for property in event["properties"].as_array().unwrap() {
                let is_number = property["type"] == "number";
                // What is never kept needs no bounds.
                let is_kept = property["class"] != "drop";
                assert!(!is_kept || is_number == property["min"].is_i64(), "{property}");
            }
        }
    }
}
