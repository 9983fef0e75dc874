//! One event's whole life, and what each endpoint says to those who may not pass.
//!
//! Not here: each part of that life at length (the other modules).

use serde_json::{Value, json};
use shoal_server::access_keys::KeyStore;

use crate::http::{Answer, Client};
use crate::stage::{DAY_MS, NOON_MS, TODAY, World, batch};

fn views(people: usize) -> Value {
    let view = |n| {
        json!({"id": format!("view-{n}"), "event": "screen_view", "time": NOON_MS, "user_id": format!("user-{n}@example.com"),
            "properties": {"screen": "home"}})
    };
    batch("DE", (0..people).map(view).collect())
}

#[test]
fn an_event_is_taken_once_answered_about_and_gone_on_time() {
    let mut world = World::new();
    let sent = views(400);
    assert_eq!(world.client().events(&world.keys.app, &sent)["accepted"], 400);
    world.restart(|_| {});
    assert_eq!(world.client().events(&world.keys.app, &sent)["duplicate"], 400);
    world.flush();

    let sql = format!("SELECT COUNT(DISTINCT subject) AS people FROM usage WHERE day = DATE '{TODAY}'");
    let row = crate::query::rows(&world.client().sql(&world.keys.analyst, &sql))[0].clone();
    let (people, sd) = (row["people"].as_f64().unwrap(), row["people_sd"].as_f64().unwrap());
    assert!((people - 400.0).abs() < 6.0 * sd, "{row}");

    world.set_now_ms(NOON_MS + 181 * DAY_MS);
    let asked = json!({"accept_clock": crate::stage::day_text(world.now_ms())}).to_string();
    let ran = world.client().post("/v1/retention/runs", &world.keys.officer, asked).expect(200);
    let last: Value = serde_json::from_str(ran.text().lines().last().unwrap()).unwrap();
    assert_eq!(last["report"]["failed"], json!([]), "{last}");
    assert_eq!(crate::tables::Tables::read(&world).count(), 0);
}

#[test]
fn each_endpoint_takes_its_own_keys_only() {
    let world = World::new();
    let (ingest, analyst) = (&world.keys.app, &world.keys.analyst);
    let status = |path: &str, key: &str| world.client().post(path, key, "{}").status;
    for path in ["/v1/events", "/v1/batch", "/v1/consents", "/v1/validate"] {
        assert_eq!((status(path, "ing00.wrong"), status(path, analyst)), (401, 403), "{path}");
    }
    assert_eq!((status("/v1/sql", "ana00.wrong"), status("/v1/sql", ingest)), (401, 403));
    assert_eq!(world.client().get("/v1/tables", ingest).status, 403);
    assert_eq!(status("/v1/nothing", ingest), 404);
    // The right id with another secret.
    let (id, _) = ingest.split_once('.').unwrap();
    assert_eq!(status("/v1/events", &format!("{id}.{}", "0".repeat(48))), 401);
    assert_eq!(world.client().events(ingest, &views(1))["accepted"], 1);
    KeyStore::new(&world.data_dir()).revoke(id, NOON_MS, &|_| Ok(())).unwrap();
    world.flush();
    assert_eq!(status("/v1/events", ingest), 401);
}

#[test]
fn sdks_and_browsers_get_the_answers_they_expect() {
    let world = World::new();
    let key = &world.keys.app;
    let event = json!({"type": "track", "event": "Screen Viewed", "messageId": "m-1", "userId": "u"});
    let segment = json!({"batch": [event], "writeKey": key, "sentAt": "2026-11-22T10:00:00Z"}).to_string();
    let send = |method: &str, path: &str, headers: &[(&str, &str)], body: &str| -> Answer {
        world.client().ask(method, path, headers, body.as_bytes()).unwrap()
    };
    let answer = send("POST", "/v1/batch", &[], &segment).expect(200);
    assert_eq!(answer.json(), json!({"success": true}), "no consent, and yet a success");
    let envelope = "{\"event_id\":\"fc6d8c0c43fc4630ad850ee518f1b9d0\"}\n{\"type\":\"client_report\"}\n{}\n";
    let path = format!("/api/1/envelope/?sentry_key={}&sentry_version=7", key.replacen('.', "_", 1));
    assert_eq!(
        send("POST", &path, &[], envelope).expect(200).json()["id"],
        "fc6d8c0c43fc4630ad850ee518f1b9d0"
    );
    let origin = [("origin", "https://shop.example")];
    let asked = |path: &str| {
        send("OPTIONS", path, &origin, "").header("access-control-allow-origin").map(str::to_owned)
    };
    assert_eq!(asked("/v1/events").as_deref(), Some("*"));
    assert_eq!(asked("/v1/sql"), None);
}

#[test]
fn an_operator_finds_health_metrics_and_the_description() {
    let world = World::with(|config| config.metrics.listen = Some(([127, 0, 0, 1], 0).into()));
    let get = |path: &str| world.client().ask("GET", path, &[], b"").unwrap().expect(200);
    assert_eq!(get("/healthz").text(), "ok\n");
    let ready = get("/readyz").json();
    assert_eq!((&ready["ready"], &ready["parts"][0]["state"]), (&json!(true), &json!("ready")), "{ready}");
    assert_eq!(world.client().events(&world.keys.app, &views(3))["accepted"], 3);
    let metrics = world.metrics().ask("GET", "/metrics", &[], b"").unwrap().expect(200).text();
    assert!(metrics.contains("server_requests_total{route=\"/healthz\",status=\"200\"} 1"), "{metrics}");
    assert!(metrics.trim_end().ends_with("# EOF"));
    assert_eq!(get("/openapi.json").json()["info"]["title"], "Shoal");
    assert!(get("/docs/").text().contains("swagger-ui"));
}

#[test]
fn metrics_are_on_no_socket_that_apps_and_analysts_reach() {
    let mut world = World::with(|config| config.metrics.listen = Some(([127, 0, 0, 1], 0).into()));
    let keys =
        ["", &world.keys.app, &world.keys.analyst, &world.keys.officer].map(|key| format!("Bearer {key}"));
    let asked = |client: Client, path: &str, headers: &[(&str, &str)]| {
        let answer = client.ask("GET", path, headers, b"").unwrap();
        assert!(answer.status == 200 || !answer.text().contains("server_requests"), "{}", answer.text());
        answer.status
    };
    for key in &keys {
        for path in ["/metrics", "/metrics/", "/v1/../metrics"] {
            assert_eq!(asked(world.client(), path, &[("authorization", key)]), 404, "{path}");
        }
        assert_eq!(asked(world.metrics(), "/metrics", &[("authorization", key)]), 200, "no key is asked for");
    }
    for path in ["/", "/healthz", "/v1/tables", "/v1/budget", "/openapi.json", "/docs/"] {
        assert_eq!(asked(world.metrics(), path, &[("authorization", &keys[3])]), 404, "{path}");
    }
    let question = json!({"sql": "SELECT COUNT(*) FROM usage"}).to_string();
    assert_eq!(world.metrics().post("/v1/sql", &world.keys.officer, question).status, 404);
    let description = world.client().ask("GET", "/openapi.json", &[], b"").unwrap().expect(200);
    assert!(!description.text().contains("/metrics"));
    // Nowhere, unless an operator says where.
    let before = world.metrics();
    world.restart(|config| config.metrics.listen = None);
    assert!(before.ask("GET", "/metrics", &[], b"").is_err());
    assert_eq!(asked(world.client(), "/metrics", &[]), 404);
}

#[test]
fn a_second_service_over_the_same_directory_is_refused() {
    let world = World::new();
    let config = shoal_server::Config::embedded(world.dir()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let error = runtime.block_on(shoal_server::start(config, shoal_server::Clocks::system())).err().unwrap();
    assert!(error.to_string().contains("locked"), "{error}");
}
