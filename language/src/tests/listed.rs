//! What is told of aggregates and templates can be asked, each of them by each of its names.

use shoal_schemas::Region;

use super::{now_ms, registry};
use crate::bind::aggregate_names::{AGGREGATES, computes};
use crate::question::{TEMPLATES, ask};

#[test]
fn every_aggregate_that_is_told_of_can_be_asked_by_each_of_its_names() {
    for form in AGGREGATES {
        let arguments = form.arguments.replace("measure", "duration_ms").replace("expression", "os");
        let arguments = arguments.replace("share", "0.9");
        for name in form.names {
            let sql = match form.is_per_subject {
                false => format!("SELECT {name}{arguments} AS n FROM performance"),
                true => format!(
                    "SELECT AVG(n) AS n FROM (SELECT subject, {name}{arguments} AS n FROM performance GROUP BY subject) AS t"
                ),
            };
            assert!(ask(&sql, &registry(), Region::ALL, now_ms()).is_ok(), "{sql}");
        }
    }
}

/// A name that stood for two computations would be bound as the first of them.
#[test]
fn a_name_computes_one_thing() {
    for form in AGGREGATES {
        let is_within_group = form.arguments.contains("WITHIN GROUP");
        for name in form.names {
            assert_eq!(computes(name, is_within_group), Some(form.computes), "{name}");
        }
    }
}

#[test]
fn every_template_that_is_told_of_can_be_asked() {
    for form in TEMPLATES {
        assert!(form.written.starts_with(&form.name.to_uppercase()), "{}", form.name);
        assert!(form.example.contains(&format!("FROM {}(", form.name)), "{}", form.name);
        assert!(ask(form.example, &registry(), Region::ALL, now_ms()).is_ok(), "{}", form.example);
    }
}
