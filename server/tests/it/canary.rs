//! The canary test: whatever an SDK sends, wherever it puts an identifier, nothing of it is on the disk, in a log line, in a
//! metric or in an answer; in no form.
//!
//! A person's own SQL is the one exception: an answer to it may repeat what the analyst wrote, to that analyst. Neither
//! the disk, the log nor the metrics may.
//! Not here: the identifiers and bodies (`marks.rs`), the forms that are looked for (`search.rs`).

use serde_json::{Value, json};

use crate::http::{Client, gzip, request};
use crate::marks::{self, ALL, EMAIL, IMEI, IP4, IP6, NAME, PHONE, SERIAL, TOKEN, USER};
use crate::process::{Process, Setup};
use crate::search::Searcher;
use crate::stage::{Keys, consent};
use crate::tables::{Tables, cells, clear_and_sealed, text};

/// Everything that was answered, to be searched.
struct Sender<'a> {
    client: Client,
    metrics: Client,
    keys: &'a Keys,
    answers: Vec<u8>,
    count: usize,
}

impl Sender<'_> {
    /// Sends these bytes; an answer is kept, with what it was an answer to left out.
    fn raw(&mut self, bytes: &[u8]) -> u16 {
        self.count += 1;
        match self.client.send(bytes) {
            Ok(answer) => {
                self.answers.extend_from_slice(answer.head.as_bytes());
                self.answers.extend_from_slice(&answer.body);
                // What looks like a deletion or a consent is kept with its sender.
                let is_kept = answer.status == 503 && answer.text().contains("not_yet");
                assert!(answer.status < 500 || is_kept, "{}: {}", answer.status, answer.text());
                answer.status
            }
            Err(_) => 0,
        }
    }

    /// Posts with every header that could carry an identifier.
    fn post(&mut self, path: &str, key: &[(&str, &str)], body: &[u8]) -> u16 {
        self.method("POST", path, key, body)
    }

    fn method(&mut self, method: &str, path: &str, key: &[(&str, &str)], body: &[u8]) -> u16 {
        let agent = format!("Camera/4.2 ({NAME}; {IMEI}; {SERIAL})");
        let referer = format!("https://x.example/?token={TOKEN}&mail={EMAIL}");
        let cookie = format!("session={TOKEN}; user={USER}");
        let forwarded = format!("for=\"[{IP6}]\";by={IP4}");
        let many = format!("{IP4}, {IP6}");
        let mut headers = vec![
            ("user-agent", agent.as_str()),
            ("referer", referer.as_str()),
            ("cookie", cookie.as_str()),
            ("x-forwarded-for", many.as_str()),
            ("forwarded", forwarded.as_str()),
            ("x-real-ip", IP4),
            ("from", EMAIL),
            ("x-user-id", USER),
            ("x-request-id", TOKEN),
            ("traceparent", TOKEN),
            ("origin", "https://annacanary.example.org"),
            ("accept-language", NAME),
            ("x-retry-count", PHONE),
        ];
        headers.extend_from_slice(key);
        self.raw(&request(method, path, &headers, body))
    }

    fn native(&mut self, body: &[u8]) -> u16 {
        let key = format!("Bearer {}", self.keys.app);
        let path = format!("/v1/events?user={USER}&token={TOKEN}");
        self.post(&path, &[("authorization", &key), ("content-type", "application/json")], body)
    }

    fn segment(&mut self, body: &[u8]) -> u16 {
        let key = format!("Bearer {}", self.keys.app);
        self.post(&format!("/v1/batch?mail={EMAIL}"), &[("authorization", &key)], body)
    }

    fn sentry(&mut self, body: &[u8]) -> u16 {
        let key = format!("Sentry sentry_key={}, sentry_version=7", self.keys.asserting.reveal_for_dsn());
        self.post(&format!("/api/{NAME}/envelope/?mail={EMAIL}"), &[("x-sentry-auth", &key)], body)
    }
}

/// Files of tables are encrypted: their bytes are searched, and their cells in a copy in the clear.
#[test]
fn no_identifier_is_kept_logged_counted_or_answered() {
    nothing_is_kept_anywhere("true");
}

/// What is written before it is encrypted: every cell of every file where it lies.
#[test]
fn no_identifier_is_in_a_cell_of_a_table_in_the_clear() {
    nothing_is_kept_anywhere("false");
}

fn nothing_is_kept_anywhere(encrypt: &str) {
    let dir = tempfile::tempdir().unwrap();
    let quiet = [
        ("SHOAL_STORAGE_ENCRYPT", encrypt),
        ("SHOAL_LOG_LEVEL", "trace"),
        ("SHOAL_INGEST_FLUSH_INTERVAL_MS", "300000"),
        ("SHOAL_INGEST_BODY_BYTES_MAX", "131072"),
        ("SHOAL_INGEST_DEPTH_MAX", "16"),
    ];
    let setup = Setup { dir: dir.path(), variables: &quiet };
    let keys = Keys::create(&setup.data_dir());
    let searcher = Searcher::new(&ALL);
    assert!(searcher.len() > 20 * ALL.len());

    let server = setup.serve();
    let mut sender =
        Sender { client: server.client, metrics: server.metrics, keys: &keys, answers: Vec::new(), count: 0 };
    send_events(&mut sender);
    send_malformed(&mut sender);
    send_consents(&mut sender);
    force_errors(&mut sender);
    observe(&mut sender);
    let in_log = searcher.hits_in_files(dir.path());
    assert!(in_log.is_empty(), "before the flush:\n{}", in_log.join("\n"));
    assert!(
        server.log().contains("/v1/events"),
        "the log must be at trace level for this test to mean anything"
    );
    assert!(server.terminate().success());

    let server = setup.serve();
    (sender.client, sender.metrics) = (server.client, server.metrics);
    ask(&server, &keys);
    observe(&mut sender);
    assert!(sender.count > 80);
    let mut hits = searcher.hits(&sender.answers);
    hits.extend(searcher.hits_in_files(dir.path()));
    hits.extend(searcher.hits(&cells(&setup)));
    assert!(hits.is_empty(), "{} hits:\n{}", hits.len(), hits.join("\n"));
    assert!(server.terminate().success());
    the_events_are_there(&Tables::read(&setup));
    let (clear, sealed) = clear_and_sealed(&setup.data_dir());
    assert_eq!((clear == 0, sealed == 0), (encrypt == "true", encrypt == "false"), "{clear} {sealed}");
}

/// The other half of the test: what was sent did arrive, without the identifiers.
fn the_events_are_there(tables: &Tables) {
    let crashes = tables.events("app_crash");
    // Native, Segment, Sentry; the native batch was sent in five forms with the same ids.
    assert_eq!(crashes.len(), 3, "one crash by each protocol");
    let mut sentrys = 0;
    for (table, row) in crashes {
        assert_eq!(table, "de/crash");
        let message = text(row, "message");
        // Of Sentry's person the e-mail address and the user name are identifiers, which are known as such in its texts.
        let is_sentrys = message.contains("mail=<identifier>");
        sentrys += usize::from(is_sentrys);
        for placeholder in
            ["<email>", "<ip>", "<mac>", "<imei>", "<national_id>", "<coordinates>", "<user>", "<phone>"]
        {
            let is_known = is_sentrys && ["<email>", "<user>"].contains(&placeholder);
            let wanted = if is_known { "<identifier>" } else { placeholder };
            assert!(message.contains(wanted), "{wanted} is not in {message}");
        }
        assert_eq!(row["subject"].as_str().unwrap().len(), 32);
    }
    assert_eq!(sentrys, 1);
    for name in [
        "click",
        "device_profile",
        "device_fault",
        "purchase",
        "screen_view",
        "page_load",
        "api_request",
        "session",
    ] {
        assert!(!tables.events(name).is_empty(), "no {name} arrived");
    }
}

fn send_events(sender: &mut Sender<'_>) {
    let native = marks::native().to_string().into_bytes();
    assert_eq!(sender.native(&native), 200);
    let lines: Vec<String> =
        marks::native()["events"].as_array().unwrap().iter().map(Value::to_string).collect();
    assert_eq!(sender.native(lines.join("\n").as_bytes()), 200);
    assert_eq!(sender.native(&gzip(&native)), 200);
    assert_eq!(sender.native(&zstd::encode_all(&native[..], 1).unwrap()), 200);
    let key = format!("Bearer {}", sender.keys.app);
    assert_eq!(sender.post("/v1/validate", &[("authorization", &key)], &native), 200);
    let segment = marks::segment().to_string().into_bytes();
    assert_eq!(sender.segment(&segment), 200);
    assert_eq!(sender.segment(&gzip(&segment)), 200);
    assert_eq!(sender.sentry(&marks::sentry()), 200);
    assert_eq!(sender.sentry(&gzip(&marks::sentry())), 200);
}

/// Bodies that are refused as a whole, and events that are rejected; both with identifiers where the fault is.
fn send_malformed(sender: &mut Sender<'_>) {
    let native = marks::native().to_string().into_bytes();
    let segment = marks::segment().to_string().into_bytes();
    let sentry = marks::sentry();
    let packed = gzip(&native);
    let deep = format!("{}\"{EMAIL}\"{}", "[".repeat(64), "]".repeat(64));
    let long = format!("{{\"events\":[{{\"event\":\"{}\"}}]}}", EMAIL.repeat(4000));
    let huge = format!("{{\"{EMAIL}\":\"{}\"}}", sentence_of(140_000));
    let invalid = [b"{\"user_id\":\"".as_slice(), EMAIL.as_bytes(), b"\xff\xfe\"}"].concat();
    let bodies: Vec<Vec<u8>> = vec![
        native[..native.len() / 2].to_vec(),
        native[1..].to_vec(),
        packed[..packed.len() / 2].to_vec(),
        [b"\x1f\x8b", marks::sentence().as_bytes()].concat(),
        [b"\x28\xb5\x2f\xfd", EMAIL.as_bytes()].concat(),
        deep.into_bytes(),
        long.into_bytes(),
        huge.into_bytes(),
        invalid,
        marks::sentence().into_bytes(),
        json!(EMAIL).to_string().into_bytes(),
        json!([EMAIL, USER, 7]).to_string().into_bytes(),
        segment[..segment.len() - 9].to_vec(),
        sentry[..sentry.len() / 3].to_vec(),
        sentry[20..].to_vec(),
        format!("{{}}\n{{\"type\":\"event\",\"length\":99999}}\n{}", marks::sentence()).into_bytes(),
        Vec::new(),
    ];
    for body in &bodies {
        sender.native(body);
        sender.segment(body);
        sender.sentry(body);
    }
    let good = json!({"event": "click", "user_id": "u", "country": "DE", "consent": consent(), "properties": {"element": "a"}});
    let with = |field: &str, value: Value| {
        let mut event = good.clone();
        event[field] = value;
        event
    };
    let events = json!([
        with("event", json!(EMAIL)),
        with("event", marks::bag()),
        with("time", json!(PHONE)),
        with("country", json!(EMAIL)),
        with("user_id", marks::bag()),
        with("user_id", json!(EMAIL.repeat(50))),
        with("id", json!(EMAIL.repeat(50))),
        with("id", marks::bag()),
        with("properties", json!(marks::sentence())),
        with("properties", json!({"element": marks::bag()})),
        with("properties", json!({"element": marks::sentence()})),
        with("context", json!(EMAIL)),
        with("context", json!({"os": EMAIL})),
        with("context", json!({"app_version": marks::bag()})),
        with("consent", json!({"policy_version": EMAIL})),
        with("consent", json!(EMAIL)),
        with("session_id", marks::bag()),
        with("properties", json!({"element": EMAIL, "screen": EMAIL.repeat(9)})),
    ]);
    assert_eq!(sender.native(events.to_string().as_bytes()), 200);
    for broken in [
        json!({"batch": EMAIL}),
        json!({"batch": [EMAIL, {"type": EMAIL}, {"type": "track", "event": marks::bag()}]}),
    ] {
        sender.segment(broken.to_string().as_bytes());
    }
}

fn sentence_of(bytes: usize) -> String {
    marks::sentence().replace(['"', '\\'], " ").chars().cycle().take(bytes).collect()
}

fn send_consents(sender: &mut Sender<'_>) {
    let key = format!("Bearer {}", sender.keys.app);
    let grant = json!({"action": "grant", "programme": "user-experience", "policy_version": "2026-1", "user_id": USER,
        "install_id": "3f0e8a52-7c1d-4f6e-9b59-2f0fca0a8e10", "device_id": "canarydeviceb7a1c3d9", "serial_number": SERIAL,
        "country": "DE", "email": EMAIL});
    let with = |field: &str, value: Value| {
        let mut change = grant.clone();
        change[field] = value;
        change
    };
    let of_device = with("programme", json!("device-experience"));
    for (body, wanted) in [
        (grant.clone(), true),
        (of_device, true),
        (with("action", json!(EMAIL)), false),
        (with("programme", json!(EMAIL)), false),
        (with("policy_version", json!(EMAIL)), false),
        (with("country", json!(EMAIL)), false),
        (with("user_id", json!(EMAIL.repeat(50))), false),
        (with("granted_at", json!(PHONE)), false),
        (json!([USER, EMAIL]), false),
        (json!(marks::sentence()), false),
    ] {
        let status = sender.post("/v1/consents", &[("authorization", &key)], body.to_string().as_bytes());
        assert_eq!(status == 200, wanted, "{status} for {body}");
    }
}

/// Wrong keys, wrong paths, wrong methods, wrong HTTP.
fn force_errors(sender: &mut Sender<'_>) {
    let body = marks::native().to_string().into_bytes();
    let basic = format!("Basic {}", base64(&format!("{USER}:{TOKEN}")));
    for key in [
        format!("Bearer {TOKEN}"),
        format!("Bearer {USER}.{TOKEN}"),
        basic,
        format!("Digest {EMAIL}"),
        EMAIL.to_owned(),
    ] {
        for path in
            ["/v1/events", "/v1/batch", "/v1/consents", "/v1/validate", "/v1/sql", "/v1/retention/runs"]
        {
            let status = sender.post(path, &[("authorization", &key)], &body);
            assert_eq!(status, 401, "{path}");
        }
    }
    let in_body = json!({"writeKey": TOKEN, "batch": [marks::bag()]}).to_string();
    assert_eq!(sender.post("/v1/batch", &[], in_body.as_bytes()), 401);
    let auth = format!("Sentry sentry_key={USER}_{TOKEN}, sentry_client={EMAIL}");
    assert_eq!(sender.post("/api/1/envelope/", &[("x-sentry-auth", &auth)], &marks::sentry()), 401);
    assert_eq!(
        sender.post(&format!("/api/{EMAIL}/envelope/?sentry_key={TOKEN}"), &[], &marks::sentry()),
        401
    );
    let app = format!("Bearer {}", sender.keys.app);
    let encoding = [("authorization", app.as_str()), ("content-encoding", EMAIL), ("content-type", NAME)];
    assert_eq!(sender.post("/v1/events", &encoding, &body), 415);
    assert_eq!(sender.post("/v1/sql", &[("authorization", &app)], EMAIL.as_bytes()), 403);
    for path in [
        format!("/{EMAIL}"),
        format!("/v1/events/{USER}?token={TOKEN}"),
        format!("/docs/{NAME}/../{TOKEN}"),
        format!("/v1/{IP6}"),
    ] {
        for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", NAME] {
            assert!(matches!(sender.method(method, &path, &[], b""), 400..=405 | 501 | 503 | 204));
        }
    }
    sender.raw(format!("{EMAIL} /{USER} HTTP/9.9\r\n{PHONE}\r\n\r\n").as_bytes());
    sender.raw(format!("GET /{TOKEN} HTTP/1.1\r\nhost: {EMAIL}\r\n{IP6}: \x01{NAME}\r\n\r\n").as_bytes());
    sender.raw(format!("GET / HTTP/1.1\r\nhost: x\r\ncookie: {}\r\n\r\n", TOKEN.repeat(10_000)).as_bytes());
    let chunked = format!(
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: {app}\r\ntransfer-encoding: chunked\r\n\r\n{EMAIL}\r\n"
    );
    sender.raw(chunked.as_bytes());
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(text)
}

/// What anyone may read.
fn observe(sender: &mut Sender<'_>) {
    for path in ["/metrics", "/healthz", "/readyz", "/docs/"] {
        sender.raw(&request("GET", path, &[], b""));
    }
    let metrics = sender.metrics.ask("GET", "/metrics", &[], b"").unwrap().expect(200);
    sender.answers.extend_from_slice(&metrics.body);
    let officer = format!("Bearer {}", sender.keys.officer);
    for path in ["/v1/tables", "/v1/retention/plan"] {
        assert_eq!(sender.raw(&request("GET", path, &[("authorization", &officer)], b"")), 200, "{path}");
    }
    let grouped = json!({"sql": "SELECT event, COUNT(*) AS n FROM usage GROUP BY event"}).to_string();
    let json = [("authorization", officer.as_str()), ("content-type", "application/json")];
    assert_eq!(sender.raw(&request("POST", "/v1/sql", &json, grouped.as_bytes())), 200);
}

/// Questions with identifiers in them: their answers go to the one who asked, so they are not searched.
fn ask(server: &Process, keys: &Keys) {
    for sql in [
        format!("SELECT COUNT(*) AS n FROM usage WHERE screen = '{EMAIL}'"),
        format!("SELECT COUNT(*) AS n FROM crash WHERE exception_type LIKE '%{SERIAL}%'"),
        format!("SELECT \"{USER}\" FROM usage"),
        format!("SELECT {NAME}(1) FROM usage WHERE a = '{PHONE}'"),
        format!("'{EMAIL}"),
        format!("DROP TABLE \"{TOKEN}\" -- {IP4}"),
    ] {
        let answer = server.client.post("/v1/sql", &keys.analyst, json!({"sql": sql}).to_string());
        assert!(matches!(answer.status, 200 | 400), "{}: {}", answer.status, answer.text());
    }
}
