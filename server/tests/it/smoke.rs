//! One event's whole life, and what each door says to those who may not pass.

use serde_json::{Value, json};
use shoal_schemas::Region;
use shoal_server::keys::Role;

use crate::world::{NOW_MS, POLICY, World};

const DAY_MS: i64 = 86_400_000;

fn batch(people: usize, country: &str) -> Value {
    let events: Vec<Value> = (0..people)
        .map(|n| {
            json!({"id": format!("{country}-{n}"), "event": "screen_view", "time": "2026-11-22T09:00:00Z",
                "user_id": format!("user-{n}@example.com"), "country": country, "properties": {"screen": "home"}})
        })
        .collect();
    json!({"consent": {"policy_version": POLICY}, "events": events})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_taken_once_answered_about_and_gone_on_time() {
    let world = World::start().await;
    let key = world.ingest_key().await;
    let officer = world.person_key(Role::Officer, Region::ALL).await;
    let sent = batch(400, "DE").to_string();
    let first = world.post("/v1/events", &key, sent.clone()).await;
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(first.json()["accepted"], 400);
    // Once more, after a restart.
    let world = world.restart().await;
    assert_eq!(world.post("/v1/events", &key, sent).await.json()["duplicate"], 400);
    world.running.flush().await.unwrap();

    let sql = "SELECT COUNT(DISTINCT subject) AS people FROM usage WHERE day = DATE '2026-11-22'";
    let question = json!({"sql": sql, "precision": "high"}).to_string();
    let answer = world.post("/v1/sql", &officer, question.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let row = &answer.json()["rows"][0];
    let (people, sd) = (row["people"].as_f64().unwrap(), row["people_sd"].as_f64().unwrap());
    assert!((people - 400.0).abs() < 8.0 * sd, "{row}");

    let days = 181;
    world.advance_ms(days * DAY_MS);
    let ran = world.post("/v1/retention/runs", &officer, "{}").await;
    let last: Value = serde_json::from_str(ran.text().lines().last().unwrap()).unwrap();
    let gone: u64 =
        last["report"]["expired"].as_array().unwrap().iter().map(|l| l["rows"].as_u64().unwrap()).sum();
    assert_eq!(gone, 400, "{last}");
    world.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_door_takes_its_own_keys_only() {
    let world = World::start().await;
    let (ingest, analyst) = (world.ingest_key().await, world.person_key(Role::Analyst, &[Region::De]).await);
    let status = async |path: &str, key: &str| world.post(path, key, "{}").await.status;
    assert_eq!(status("/v1/events", "ing00.wrong").await, 401);
    assert_eq!(status("/v1/events", &analyst).await, 403);
    assert_eq!(status("/v1/sql", &ingest).await, 403);
    assert_eq!(status("/v1/retention/runs", &analyst).await, 403);
    assert_eq!(status("/v1/retention/runs", &ingest).await, 403);
    assert_eq!(status("/v1/nothing", &ingest).await, 404);
    world.store.revoke(ingest.split('.').next().unwrap(), NOW_MS).unwrap();
    world.running.flush().await.unwrap();
    assert_eq!(status("/v1/events", &ingest).await, 401);
    let refused = json!({"sql": "SELECT MIN(duration_ms) FROM usage"}).to_string();
    let refused = world.post("/v1/sql", &analyst, refused).await;
    assert_eq!((refused.status, refused.json()["code"].as_str().unwrap()), (400, "refused"));
    world.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sdks_get_the_answers_they_expect() {
    let world = World::start().await;
    let key = world.ingest_key().await;
    let event = json!({"type": "track", "event": "Screen Viewed", "messageId": "m-1", "userId": "u"});
    let segment = json!({"batch": [event], "writeKey": key, "sentAt": "2026-11-22T10:00:00Z"}).to_string();
    let json_type = || ("content-type", "application/json".to_owned());
    let answer = world.send("POST", "/v1/batch", &[json_type()], segment.into_bytes()).await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"success": true})),
        "no consent, and yet a success"
    );
    let dsn_key = key.replacen('.', "_", 1);
    let id = "fc6d8c0c43fc4630ad850ee518f1b9d0";
    let envelope = format!("{{\"event_id\":\"{id}\"}}\n{{\"type\":\"client_report\"}}\n{{}}\n");
    let path = format!("/api/1/envelope/?sentry_key={dsn_key}&sentry_version=7");
    let answer = world.send("POST", &path, &[], envelope.into_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let origin = [("origin", "https://shop.example".to_owned())];
    let preflight = world.send("OPTIONS", "/v1/events", &origin, Vec::new()).await;
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, Some("*")));
    assert_eq!(
        world.send("OPTIONS", "/v1/sql", &origin, Vec::new()).await.header("access-control-allow-origin"),
        None
    );
    world.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_finds_health_metrics_and_the_description() {
    let world = World::start().await;
    assert_eq!(world.get("/healthz").await.status, 200);
    assert_eq!(world.get("/readyz").await.text(), "ready\n");
    let metrics = world.get("/metrics").await.text();
    assert!(metrics.contains("server_requests_total{route=\"/healthz\",status=\"200\"} 1"), "{metrics}");
    assert!(metrics.trim_end().ends_with("# EOF"));
    assert_eq!(world.get("/openapi.json").await.json()["info"]["title"], "Shoal");
    let page = world.get("/docs/").await;
    assert!(page.status == 200 && page.text().contains("swagger-ui"));
    let too_long = vec![b' '; (2 << 20) + 1];
    let key = world.ingest_key().await;
    assert_eq!(world.post("/v1/events", &key, too_long).await.status, 413);
    world.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_service_over_the_same_directory_is_refused() {
    let world = World::start().await;
    let config = shoal_server::Config::embedded(world.dir.path()).unwrap();
    let error = shoal_server::start(config, shoal_server::system_clock()).await.err().unwrap();
    assert!(error.to_string().contains("locked"), "{error}");
    world.running.stop().await.unwrap();
}
