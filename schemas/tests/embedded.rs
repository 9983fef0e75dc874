//! What the embedded definitions promise: the public columns, every country, every retention, examples, mappings.
#![allow(clippy::unwrap_used)]

use arrow_schema::{DataType, TimeUnit};
use shoal_schemas::{
    Class, ColumnRole, ColumnType, Country, Domain, Kind, Programme, Protocol, Region, Registry, ValueType,
    columns,
};

fn registry() -> Registry {
    Registry::load(None).unwrap()
}

fn region(code: &str) -> Option<Region> {
    registry().region_of(Country::parse(code).unwrap())
}

#[test]
fn every_column_of_the_public_schema_exists() {
    let registry = registry();
    let public: [(Kind, &[&str], &[&str]); 4] = [
        (
            Kind::Usage,
            &["screen", "element", "method", "step", "result"],
            &["duration_ms", "items", "amount"],
        ),
        (
            Kind::Performance,
            &["screen", "endpoint", "status_code", "error_code"],
            &["duration_ms", "dropped_frames"],
        ),
        (Kind::Crash, &["exception_type", "crash_group", "foreground", "screen"], &[]),
        (Kind::Device, &["firmware", "fault_code"], &["uptime_h"]),
    ];
    for (kind, dimensions, measures) in public {
        let table = registry.table(kind);
        assert_eq!(table.kind, kind);
        for name in dimensions {
            let (_, column) = table.column(name).unwrap_or_else(|| panic!("{kind} has no {name}"));
            assert!(matches!(column.role, ColumnRole::Dimension { .. }), "{kind}.{name}");
        }
        for name in measures {
            let (_, column) = table.column(name).unwrap_or_else(|| panic!("{kind} has no {name}"));
            assert!(matches!(column.role, ColumnRole::Measure(_)), "{kind}.{name}");
            assert_eq!(column.ty, ColumnType::Integer);
        }
    }
    for (kind, name) in [
        (Kind::Crash, "stack"),
        (Kind::Crash, "message"),
        (Kind::Crash, "thread"),
        (Kind::Device, "device_name"),
    ] {
        assert_eq!(registry.table(kind).column(name).unwrap().1.role, ColumnRole::Hidden, "{kind}.{name}");
    }
}

#[test]
fn every_table_opens_with_the_system_columns_and_ends_with_the_day() {
    let registry = registry();
    for kind in Kind::ALL {
        let table = registry.table(*kind);
        let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
        let (day, before) = columns::SYSTEM.split_last().unwrap();
        assert_eq!(&names[..before.len()], before);
        assert_eq!(names.last(), Some(day));
        let declared = &names[before.len()..names.len() - 1];
        assert!(declared.is_sorted() && !declared.is_empty());
        assert!(table.columns.iter().all(|c| !c.doc.is_empty()), "{kind}: every column is documented");
        let schema = table.arrow_schema();
        assert_eq!(schema.fields().len(), names.len());
        for (field, column) in schema.fields().iter().zip(&table.columns) {
            assert_eq!((field.name(), field.is_nullable()), (&column.name, column.nullable));
        }
        let ty = |name: &str| schema.field_with_name(name).unwrap().data_type().clone();
        assert_eq!(ty("time"), DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
        assert_eq!(
            (ty("subject"), ty("day"), ty("event")),
            (DataType::Binary, DataType::Date32, DataType::Utf8)
        );
        for hidden in ["event_id", "consent", "epoch"] {
            assert_eq!(table.column(hidden).unwrap().1.role, ColumnRole::Hidden);
        }
        for unit in ["subject", "session"] {
            assert_eq!(table.column(unit).unwrap().1.role, ColumnRole::Unit);
        }
    }
}

#[test]
fn every_property_has_the_column_that_its_class_calls_for() {
    let registry = registry();
    for (index, event) in registry.events().iter().enumerate() {
        assert_eq!(usize::from(event.index), index);
        assert_eq!(registry.event(&event.name).unwrap().index, event.index);
        let table = registry.table(event.kind);
        assert!(table.day_max >= event.day_max);
        for property in &event.properties {
            assert_eq!(event.property(&property.name).unwrap().name, property.name);
            let stored = !matches!(property.class, Class::Identifier(_) | Class::Drop);
            let own = stored && property.ty != ValueType::Frames;
            assert_eq!(property.column.is_some(), own, "{}.{}", event.name, property.name);
            if let Some(at) = property.column {
                assert_eq!(table.columns[usize::from(at)].name, property.name);
            }
            let number = matches!(property.ty, ValueType::Number { .. }) && property.class != Class::Drop;
            assert_eq!(property.bounds.is_some(), number, "{}.{}", event.name, property.name);
        }
    }
    assert!(registry.event("no_such_event").is_none());
    let names: Vec<&str> = registry.events().iter().map(|e| e.name.as_str()).collect();
    assert!(names.is_sorted());
    for name in [
        "app_open",
        "screen_view",
        "click",
        "login",
        "device_add",
        "alarm_view",
        "live_view_start",
        "playback_start",
        "purchase",
        "session_start",
        "session",
        "app_start",
        "page_load",
        "page_lag",
        "api_request",
        "stream_first_frame",
        "operation",
        "app_crash",
        "app_hang",
        "device_profile",
        "device_fault",
    ] {
        assert!(names.contains(&name), "{name}");
    }
}

#[test]
fn a_shared_column_has_the_union_of_its_events() {
    let registry = registry();
    let (_, result) = registry.table(Kind::Usage).column("result").unwrap();
    let ColumnRole::Dimension { domain: Domain::Listed(values), .. } = &result.role else {
        panic!("result is listed")
    };
    for value in ["ok", "failed", "cancelled", "crashed"] {
        assert_eq!(values.iter().filter(|v| *v == value).count(), 1, "{value}");
    }
    let (_, event) = registry.table(Kind::Crash).column("event").unwrap();
    let ColumnRole::Dimension { domain: Domain::Listed(values), keys_max } = &event.role else {
        panic!("event is listed")
    };
    assert_eq!((values.as_slice(), *keys_max), (&["app_crash".to_owned(), "app_hang".to_owned()][..], 2));
    let (_, amount) = registry.table(Kind::Usage).column("amount").unwrap();
    let ColumnRole::Measure(amount) = &amount.role else { panic!("amount is a measure") };
    assert_eq!((amount.scale, amount.min, amount.max, amount.day_sum_max), (2, 0, 1_000_000, 20_000));
}

#[test]
fn all_countries_of_iso_3166_have_a_region_and_a_controller() {
    let registry = registry();
    assert_eq!(registry.countries().len(), 250, "all of ISO 3166-1, and XK");
    assert!(registry.countries().is_sorted_by(|a, b| a.country < b.country));
    let germany =
        "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE IS LI NO GB CH";
    assert_eq!(germany.split(' ').count(), 27 + 3 + 2);
    for code in germany.split(' ') {
        let country = Country::parse(code).unwrap();
        assert_eq!(registry.region_of(country), Some(Region::De), "{code}");
        assert_eq!(registry.controller_of(country), Some("europe"), "{code}");
    }
    for (code, expected) in [
        ("MY", Region::My),
        ("SG", Region::Sg),
        ("JP", Region::Sg),
        ("CN", Region::Sg),
        ("AU", Region::Sg),
        ("IN", Region::Sg),
        ("US", Region::Us),
        ("BR", Region::Us),
        ("CA", Region::Us),
        ("MX", Region::Us),
    ] {
        assert_eq!(region(code), Some(expected), "{code}");
        let country = Country::parse(code).unwrap();
        assert_eq!(registry.controller_of(country), Some("international"), "{code}");
    }
    let serbia = Country::parse("rs").unwrap();
    assert_eq!(
        (registry.region_of(serbia), registry.controller_of(serbia)),
        (Some(Region::De), Some("international"))
    );
    for unknown in ["ZZ", "XX", "AA", "EU"] {
        assert_eq!(region(unknown), None, "{unknown}");
    }
}

#[test]
fn programmes_regions_and_retention_are_complete() {
    let registry = registry();
    for programme in Programme::ALL {
        let def = registry.programme(*programme);
        assert_eq!((def.programme, def.age_min), (*programme, 16));
        assert!(!def.policy_versions.is_empty());
        for kind in Kind::ALL {
            let days = registry.retention_days(*programme, *kind);
            assert!((30..=400).contains(&days), "{programme} {kind}: {days}");
        }
    }
    for region in Region::ALL {
        assert_eq!(registry.region(*region).region, *region);
    }
}

#[test]
fn vendors_names_find_their_events() {
    let registry = registry();
    let to = |protocol, name: &str| registry.vendor(protocol).rule(name).map(|r| r.to.as_str());
    for (name, event) in [
        ("Application Opened", "app_open"),
        ("order completed", "purchase"),
        ("Product Added", "click"),
        ("page", "screen_view"),
        ("screen", "screen_view"),
        ("Signed In", "login"),
    ] {
        assert_eq!(to(Protocol::Segment, name), Some(event), "{name}");
    }
    for (name, event) in [
        ("event", "app_crash"),
        ("session", "session"),
        ("transaction:ui.load", "page_load"),
        ("transaction:app.start.cold", "app_start"),
        ("span:http.client", "api_request"),
        ("transaction:http.server", "api_request"),
        ("transaction:task", "operation"),
        ("span:", "operation"),
    ] {
        assert_eq!(to(Protocol::Sentry, name), Some(event), "{name}");
    }
    assert_eq!(to(Protocol::Segment, "Something Else"), None);
    assert!(registry.vendor(Protocol::Native).events.is_empty());
    let order = registry.vendor(Protocol::Segment).rule("Order Completed").unwrap();
    let sources: Vec<&str> = order.properties.iter().map(|(from, _)| from.as_str()).collect();
    assert_eq!(sources, ["total", "revenue", "value", "currency"], "in the order of the file");
}

#[test]
fn every_event_has_examples_of_both_kinds() {
    for event in registry().events() {
        assert!(!event.pass.is_empty() && event.fail.len() >= 2, "{}", event.name);
        for (json, code) in &event.fail {
            let value: serde_json::Value = serde_json::from_str(json).unwrap();
            assert_eq!(value["event"], event.name.as_str());
            let known = ["missing_property", "wrong_type", "out_of_bounds", "too_long", "not_listed"];
            assert!(known.contains(&code.as_str()), "{}: {code}", event.name);
        }
    }
}
