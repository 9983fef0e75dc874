//! Every route against every kind of key, by one table, which must have every route of the description.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shoal_schemas::Region;
use shoal_server::access_keys::Scope;

use crate::stage::{World, batch, click};
use crate::tables::Tables;

/// Who a key is of. Nobody has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Nobody,
    App,
    Server,
    Account,
    Analyst,
    Officer,
}
use Who::{Account, Analyst, App, Nobody, Officer, Server};

const ALL: [Who; 6] = [Nobody, App, Server, Account, Analyst, Officer];

/// Method, path, and whose keys may use it.
const TABLE: &[(&str, &str, &[Who])] = &[
    ("POST", "/v1/events", &[App, Server]),
    ("POST", "/v1/batch", &[App, Server]),
    ("POST", "/api/{project}/envelope/", &[App, Server]),
    ("POST", "/v1/consents", &[App, Server]),
    ("POST", "/v1/consents/query", &[Server, Account]),
    ("POST", "/v1/validate", &[App, Server]),
    ("GET", "/v1/schema", &[App, Server]),
    ("POST", "/v1/sql", &[Analyst, Officer]),
    ("GET", "/v1/sql", &[Analyst, Officer]),
    ("DELETE", "/v1/sql/{id}", &[Analyst, Officer]),
    ("GET", "/v1/tables", &[Analyst, Officer]),
    ("GET", "/v1/budget", &[Analyst, Officer]),
    ("GET", "/v1/keys/self", &[App, Server, Account, Analyst, Officer]),
    ("GET", "/v1/retention/plan", &[Officer]),
    ("POST", "/v1/retention/runs", &[Officer]),
    ("POST", "/v1/subjects/access", &[Account]),
    ("POST", "/v1/subjects/erase", &[Account, Officer]),
    ("POST", "/v1/subjects/exclude", &[Account, Officer]),
    ("POST", "/v1/subjects/object", &[Account, Officer]),
    ("POST", "/v1/subjects/restrict", &[Officer]),
    ("GET", "/v1/subjects/requests", &[Officer]),
    ("GET", "/v1/subjects/requests/{id}", &[Account, Officer]),
    ("GET", "/v1/subjects/requests/{id}/receipt", &[Account, Officer]),
    ("POST", "/v1/subjects/requests/{id}/lift", &[Officer]),
    ("GET", "/healthz", &ALL),
    ("GET", "/readyz", &ALL),
];

/// Routes of the description, as method and path.
fn described(world: &World) -> BTreeSet<(String, String)> {
    let description = world.client().get("/openapi.json", &world.keys.analyst).expect(200).json();
    let paths = description["paths"].as_object().unwrap();
    let of = |(path, item): (&String, &Value)| {
        let methods = item.as_object().unwrap().keys().map(|method| method.to_uppercase());
        let methods =
            methods.filter(|method| ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str()));
        methods.map(|method| (method, path.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).collect()
}

fn account(world: &World, regions: &[Region]) -> String {
    world.key(Scope::Account { app: "camera".into(), regions: regions.to_vec() }).reveal()
}

#[test]
fn every_route_takes_the_keys_that_the_table_says_and_no_others() {
    let world = World::new();
    let listed: BTreeSet<(String, String)> =
        TABLE.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(listed, described(&world), "the table has every route of the description");
    let service = account(&world, Region::ALL);
    for (method, path, allowed) in TABLE {
        let path = path.replace("{id}", "1f0e5d9c-6c6e-4a53-9a3c-0b9c4b1d7a10").replace("{project}", "1");
        for who in ALL {
            let keys = &world.keys;
            let key = match who {
                Nobody => "",
                App => &keys.shipped,
                Server => &keys.app,
                Account => &service,
                Analyst => &keys.analyst,
                Officer => &keys.officer,
            };
            let value = match path.starts_with("/api/") {
                true => format!("Sentry sentry_key={key}"),
                false => format!("Bearer {key}"),
            };
            let headers: &[(&str, &str)] = if who == Nobody { &[] } else { &[("authorization", &value)] };
            let status = world.client().ask(method, &path, headers, b"").unwrap().status;
            let is_refused = [401, 403].contains(&status);
            assert_eq!(is_refused, !allowed.contains(&who), "{method} {path} of {who:?}: {status}");
        }
    }
}

#[test]
fn an_account_service_erases_who_deletes_an_account_in_its_regions_and_a_bound_number_of_them() {
    let world = World::new();
    let sent = batch("DE", (0..3).map(|n| click(&format!("u-{n}"), &format!("person-{n}"), "a")).collect());
    assert_eq!(world.client().events(&world.keys.app, &sent)["accepted"], 3);
    world.flush();
    let service = account(&world, &[Region::De]);
    let erase = |body: &Value| world.client().post("/v1/subjects/erase", &service, body.to_string());
    let told = erase(&json!({"subjects": [{"user_id": "person-1"}]})).expect(200).json();
    let path = format!("/v1/subjects/requests/{}", told["request"].as_str().unwrap());
    let state = crate::process::until("the erasure", || {
        let state = world.client().get(&path, &service).expect(200).json();
        (state["state"] == "done").then_some(state)
    });
    assert_eq!(state["regions"].as_array().unwrap().len(), 1, "{state}");
    assert_eq!(Tables::read(&world).count(), 2);
    let elsewhere = erase(&json!({"subjects": [{"user_id": "person-1"}], "regions": ["US"]}));
    assert_eq!((elsewhere.status, elsewhere.json()["code"].as_str()), (403, Some("not_allowed")));
    let persons = |numbers: std::ops::Range<usize>| -> Value {
        numbers.map(|n| json!({"user_id": format!("nobody-{n}")})).collect()
    };
    assert_eq!(erase(&json!({"subjects": persons(0..101)})).status, 422);
    for n in 0..9 {
        erase(&json!({"subjects": persons(100 * n..100 * (n + 1))})).expect(200);
    }
    let refused = erase(&json!({"subjects": persons(900..1_000)}));
    assert_eq!(
        (refused.status, refused.json()["code"].as_str()),
        (429, Some("busy")),
        "one was erased before"
    );
    assert!(refused.header("retry-after").is_some());
    erase(&json!({"subjects": persons(900..999)})).expect(200);
}
