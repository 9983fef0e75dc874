//! What apps send to answers however a browser, a proxy or an SDK gets there: keys in the address, encodings, slashes, methods,
//! pages of other origins, and whose address a request has.
//!
//! Not here: bodies in the forms of SDKs (`protocols.rs`), limits (`hostile.rs`).

use std::io::{Read, Write};

use serde_json::{Value, json};
use shoal_schemas::{Programme, Region};

use crate::http::{Answer, gzip};
use crate::process::Setup;
use crate::stage::{Keys, POLICY, World, batch, click, consent, ingest, shipped};
use crate::tables::{Tables, text};

fn segment(id: &str, key: Option<&str>) -> Value {
    let track = json!({"type": "track", "event": "click", "messageId": id, "userId": "u", "properties": {"element": id}});
    json!({"batch": [track], "sentAt": "2026-11-22T12:00:00Z", "writeKey": key})
}

fn crash(name: &str) -> String {
    let event = json!({"user": {"id": "u"}, "exception": {"values": [{"type": name, "value": "v"}]}});
    format!("{{}}\n{{\"type\":\"event\"}}\n{event}\n")
}

/// How a body is compressed.
type Pack<'p> = &'p dyn Fn(&[u8]) -> Vec<u8>;

#[test]
fn every_encoding_is_taken_on_every_protocol() {
    let world = World::new();
    let zlib = |bytes: &[u8]| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let deflate = |bytes: &[u8]| {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let brotli = |bytes: &[u8]| {
        let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 4, 22);
        encoder.write_all(bytes).unwrap();
        encoder.into_inner()
    };
    let plain = |bytes: &[u8]| bytes.to_vec();
    let marked = |bytes: &[u8]| [b"\xef\xbb\xbf", bytes].concat();
    let encodings: [(&str, &str, Pack<'_>); 7] = [
        ("zlib", "deflate", &zlib),
        ("raw", "deflate", &deflate),
        ("untold", "identity", &zlib),
        ("brotli", "br", &brotli),
        ("lie", "deflate", &plain),
        ("lied", "br", &plain),
        ("mark", "identity", &marked),
    ];
    let native = format!("Bearer {}", world.keys.app);
    let asserting = format!("Bearer {}", world.keys.asserting.reveal());
    let path = format!("/api/1/envelope/?sentry_key={}", world.keys.asserting.reveal_for_dsn());
    let send = |path: &str, key: &str, encoding: &str, body: &[u8]| {
        let headers = [("authorization", key), ("content-encoding", encoding)];
        world.client().ask("POST", path, &headers, body).unwrap()
    };
    for (name, encoding, pack) in encodings {
        let body = pack(batch("DE", vec![click(name, "u", &format!("n{name}"))]).to_string().as_bytes());
        assert_eq!(send("/v1/events", &native, encoding, &body).expect(200).json()["accepted"], 1, "{name}");
        let body = pack(segment(&format!("s{name}"), None).to_string().as_bytes());
        send("/v1/batch", &asserting, encoding, &body).expect(200);
        send(&path, "", encoding, &pack(crash(&format!("E{name}")).as_bytes())).expect(200);
        let grant = json!({"action": "grant", "programme": "user-experience", "policy_version": POLICY, "user_id": name, "country": "DE"});
        send("/v1/consents", &native, encoding, &pack(grant.to_string().as_bytes())).expect(200);
    }
    let bomb = vec![b' '; 12 << 20];
    for (name, encoding, pack) in &encodings[..4] {
        assert_eq!(send("/v1/events", &native, encoding, &pack(&bomb)).status, 413, "{name}");
    }
    assert_eq!(send("/v1/events", &native, "compress", b"{}").status, 415);
    world.flush();
    let tables = Tables::read(&world);
    assert_eq!((tables.rows("de/usage").len(), tables.rows("de/crash").len()), (14, 7));
}

#[test]
fn a_key_may_stand_in_the_address_and_is_in_no_log_line() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[("SHOAL_LOG_LEVEL", "trace")] };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    let event = |id: &str| json!({"consent": consent(), "country": "DE", "events": [{"id": id, "event": "click", "user_id": "u", "properties": {"element": "a"}}]});
    let post = |path: &str, headers: &[(&str, &str)], body: &str| {
        server.client.ask("POST", path, headers, body.as_bytes()).unwrap()
    };
    let (dotted, plain) = (keys.app.clone(), keys.app.replacen('.', "_", 1));
    for (at, key) in [&dotted, &plain].into_iter().enumerate() {
        let beacon = [("content-type", "text/plain"), ("origin", "https://shop.example")];
        for (way, path) in [
            ("query", format!("/v1/events?a=b&key={key}")),
            ("path", format!("/k/{key}/v1/events")),
            ("slash", format!("/k/{key}/v1/events/")),
        ] {
            let answer = post(&path, &beacon, &event(&format!("{way}{at}")).to_string()).expect(200);
            assert_eq!(answer.json()["accepted"], 1, "{way}");
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        }
        // What an SDK puts into its own place does not count then.
        let own = [("authorization", "Bearer x.y"), ("x-sentry-auth", "Sentry sentry_key=x")];
        let body = segment(&format!("m{at}"), Some("x.y")).to_string();
        post(&format!("/k/{key}/v1/batch"), &own, &body).expect(200);
        post(&format!("/k/{key}/v1/t/"), &own, &body).expect(200);
        post(&format!("/k/{key}/api/42/envelope/?sentry_key=x"), &own, &crash("E")).expect(200);
        let consent =
            json!({"action": "withdraw", "programme": "user-experience", "user_id": "w", "country": "DE"});
        post(&format!("/v1/consents?key={key}"), &own, &consent.to_string()).expect(200);
    }
    let wrong = dotted.replace('.', ".0");
    assert_eq!(post(&format!("/k/{wrong}/v1/events"), &[], "{}").status, 401);
    assert_eq!(post(&format!("/v1/events?key={wrong}"), &[], "{}").status, 401);
    // Analysts send theirs in a header.
    let get = |path: &str| server.client.ask("GET", path, &[], b"").unwrap().status;
    assert_eq!(
        (get(&format!("/v1/tables?key={}", keys.analyst)), get(&format!("/k/{}/v1/tables", keys.analyst))),
        (401, 404)
    );
    let metrics = server.metrics.ask("GET", "/metrics", &[], b"").unwrap().expect(200).text();
    let log = server.log();
    assert!(log.contains("/v1/events"), "requests are in the log: {log}");
    for key in [&dotted, &keys.analyst, &wrong] {
        let secret = key.split('.').nth(1).unwrap();
        assert!(!log.contains(secret) && !metrics.contains(secret));
    }
    assert!(server.terminate().success());
}

#[test]
fn a_slash_at_the_end_is_the_same_path_and_another_method_is_told_which_there_are() {
    let world = World::new();
    let key = format!("Bearer {}", world.keys.app);
    let analyst = format!("Bearer {}", world.keys.analyst);
    let ask = |method: &str, path: &str, key: &str, body: &str| -> Answer {
        world.client().ask(method, path, &[("authorization", key)], body.as_bytes()).unwrap()
    };
    let body = batch("DE", vec![click("1", "u", "a")]).to_string();
    for path in ["/v1/events/", "/v1/events", "//v1/events", "/v1//events", "///v1///events///"] {
        ask("POST", path, &key, &body).expect(200);
    }
    for path in ["/v1/batch/", "/v1/b", "/v1/t", "/v1/track/", "/v1/import", "//v1/batch", "/v1//t//"] {
        ask("POST", path, &key, &segment("m", None).to_string()).expect(200);
    }
    for path in
        ["/v1/tables", "/v1/tables/", "/v1/budget/", "/healthz/", "/readyz", "//v1//tables", "//healthz"]
    {
        ask("GET", path, &analyst, "").expect(200);
    }
    for (method, path, allowed) in [
        ("GET", "/v1/events", "POST"),
        ("PUT", "/k/x_y/v1/batch/", "POST"),
        ("PUT", "//v1//batch", "POST"),
        ("DELETE", "/api/7/envelope/", "POST"),
        ("DELETE", "/v1/sql", "POST, GET"),
        ("POST", "/v1/sql/7", "DELETE"),
        ("POST", "/v1/tables", "GET"),
        ("POST", "/healthz", "GET, HEAD"),
    ] {
        let answer = ask(method, path, &key, "").expect(405);
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
        assert_eq!(answer.json()["code"], "wrong_method");
    }
    let mut monitor = world.client().connect().unwrap();
    monitor.write_all(b"HEAD /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut head = String::new();
    monitor.read_to_string(&mut head).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(ask("POST", "/v1/nothing", &key, "").json()["code"], "unknown_path");
}

#[test]
fn pages_of_other_origins_may_send_whatever_headers_they_ask_for_to_what_apps_send_to() {
    let world = World::with(|config| config.http.cors_origins = vec!["https://shop.example".to_owned()]);
    let ask = |path: &str, origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "x-mcs-appkey, content-encoding,x-debug-id"),
        ];
        world.client().ask("OPTIONS", path, &headers, b"").unwrap()
    };
    for path in [
        "/v1/events",
        "/v1/events/",
        "/k/a_b/v1/batch",
        "/v1/t",
        "/api/1/envelope/",
        "/v1/consents",
        "/submit/app/deletion-request/1/x",
    ] {
        let answer = ask(path, "https://shop.example").expect(204);
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://shop.example"), "{path}");
        assert_eq!(
            answer.header("access-control-allow-headers"),
            Some("x-mcs-appkey, content-encoding,x-debug-id"),
            "{path}"
        );
        assert_eq!(answer.header("access-control-allow-methods"), Some("POST"));
        assert_eq!(ask(path, "https://evil.example").header("access-control-allow-origin"), None, "{path}");
    }
    for path in ["/v1/sql", "/v1/tables", "/v1/retention/runs", "/healthz"] {
        let answer = ask(path, "https://shop.example");
        assert_eq!((answer.status / 100, answer.header("access-control-allow-origin")), (4, None), "{path}");
    }
    // A page can read that its SDK has a wrong path or method, and nothing of what people ask.
    let refused = |method: &str, path: &str, origin: &str| {
        let answer = world.client().ask(method, path, &[("origin", origin)], b"{}").unwrap();
        let shown = answer.header("access-control-allow-origin").map(str::to_owned);
        (answer.status, answer.json()["code"].as_str().unwrap().to_owned(), shown)
    };
    let shop = "https://shop.example";
    for (method, path, status, code) in [
        ("POST", "/v1/event", 404, "unknown_path"),
        ("POST", "/v2/events", 404, "unknown_path"),
        ("POST", "/api/1/store/", 404, "unknown_path"),
        ("POST", "/k/a_b/v1/nothing", 404, "unknown_path"),
        ("POST", "/submit/app/baseline/1/x", 404, "unknown_path"),
        ("GET", "/v1/events", 405, "wrong_method"),
        ("PUT", "/v1//batch/", 405, "wrong_method"),
        ("GET", "/api/1/envelope/", 405, "wrong_method"),
        ("DELETE", "/k/a_b/v1/t", 405, "wrong_method"),
    ] {
        let told = (status, code.to_owned());
        assert_eq!(refused(method, path, shop), (told.0, told.1.clone(), Some(shop.to_owned())), "{path}");
        assert_eq!(refused(method, path, "https://evil.example"), (told.0, told.1, None), "{path}");
    }
    assert_eq!(ask("/v1/event", shop).expect(204).header("access-control-allow-methods"), Some("POST"));
    assert_eq!(ask("/v1/event", "https://evil.example").status, 404);
    assert_eq!(refused("PUT", "/v1/tables", shop).2, None);
}

#[test]
fn a_phone_that_puts_its_key_into_a_compressed_body_is_known() {
    let world = World::new();
    let key = world.keys.asserting.reveal();
    let send =
        |body: &[u8]| world.client().ask("POST", "/v1/b", &[("content-type", "text/plain")], body).unwrap();
    for (id, broken) in [("whole", ""), ("broken", ",\"x\":NaN")] {
        let text = segment(id, Some(&key)).to_string();
        let text = format!("{}{broken}}}", &text[..text.len() - 1]);
        send(&gzip(text.as_bytes())).expect(200);
    }
    send(segment("plain", Some(&key)).to_string().as_bytes()).expect(200);
    // A stranger has no more than 64 KiB decompressed.
    let mut late = segment("late", None);
    late["batch"][0]["filler"] = json!("x".repeat(70_000));
    let late = late.to_string().replace("\"writeKey\":null", &format!("\"writeKey\":\"{key}\""));
    assert!(late.ends_with(&format!("\"{key}\"}}")), "the key is at the end");
    assert_eq!(send(&gzip(late.as_bytes())).json()["code"], "no_key");
    assert_eq!(send(&gzip(segment("none", None).to_string().as_bytes())).status, 401);
    assert_eq!(send(&gzip(segment("wrong", Some("ing0.0")).to_string().as_bytes())).status, 401);
    world.flush();
    let tables = Tables::read(&world);
    let mut found: Vec<&str> = tables.rows("de/usage").iter().map(|row| text(row, "element")).collect();
    found.sort_unstable();
    assert_eq!(found, ["broken", "plain", "whole"]);
}

#[test]
fn no_sdk_deletes_a_request_for_deletion_that_cannot_be_taken_yet() {
    let world = World::new();
    let ping = "/submit/org-example-app/deletion-request/1/5f0c6f0e-6f0a-4b62-8f0c-0d4a0f7f9a11";
    for path in [ping.to_owned(), format!("{ping}/"), format!("/k/x_y{ping}")] {
        for method in ["POST", "PUT", "GET"] {
            let answer = world
                .client()
                .ask(method, &path, &[("origin", "https://shop.example")], b"{}")
                .unwrap()
                .expect(503);
            assert_eq!(
                (answer.json()["code"].as_str(), answer.header("retry-after")),
                (Some("not_yet"), Some("3600"))
            );
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        }
    }
    assert_eq!(world.client().ask("POST", "/submit/app/baseline/1/x", &[], b"{}").unwrap().status, 404);
    // By one rule, wherever SDKs of whichever vendor send theirs.
    for (method, path) in [
        ("DELETE", "/v1/users/u-1"),
        ("DELETE", "/v1/consents/u-1"),
        ("DELETE", "/v1/consents"),
        ("PUT", "/v1/consents/"),
        ("PATCH", "/k/x_y/v1/consents"),
        ("POST", "/v1/consents/withdraw"),
        ("POST", "/v2/consents"),
        ("POST", "/consent"),
        ("POST", "/v1/deletions"),
        ("POST", "/v1/erase/"),
        ("POST", "/v1/regulations"),
        ("POST", "/v1/users/u-1/delete?now=1"),
        ("GET", "/opt-out"),
    ] {
        let answer = world.client().ask(method, path, &[], b"{}").unwrap().expect(503);
        assert_eq!(
            (answer.json()["code"].as_str(), answer.header("retry-after")),
            (Some("not_yet"), Some("3600")),
            "{method} {path}"
        );
    }
    for (method, path, status) in
        [("GET", "/v1/consents", 405), ("DELETE", "/v1/sql", 405), ("POST", "/v1/users/u-1", 404)]
    {
        assert_eq!(world.client().ask(method, path, &[], b"").unwrap().status, status, "{method} {path}");
    }
}

/// A MaxMind database in which every IPv4 address is in one country: one node, both of whose records are that country.
fn mmdb(country: &str) -> Vec<u8> {
    let text = |text: &str| [&[0x40 | text.len() as u8], text.as_bytes()].concat();
    let map = |members: &[(&str, Vec<u8>)]| {
        let mut bytes = vec![0xe0 | members.len() as u8];
        members.iter().for_each(|(key, value)| bytes.extend([text(key), value.clone()].concat()));
        bytes
    };
    let (short, long, huge) = (|n: u8| vec![0xa1, n], |n: u8| vec![0xc1, n], |n: u8| vec![0x01, 0x02, n]);
    let record = [0, 0, 1 + 16];
    let mut bytes = [record, record].concat();
    bytes.extend([0; 16]);
    bytes.extend(map(&[("country", map(&[("iso_code", text(country))]))]));
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    bytes.extend(map(&[
        ("node_count", long(1)),
        ("record_size", short(24)),
        ("ip_version", short(4)),
        ("database_type", text("Test-Country")),
        ("languages", vec![0x00, 0x04]),
        ("binary_format_major_version", short(2)),
        ("binary_format_minor_version", short(0)),
        ("build_epoch", huge(1)),
        ("description", map(&[])),
    ]));
    bytes
}

#[test]
fn an_address_tells_a_country_and_never_another_region_than_the_keys_only_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("country.mmdb");
    let world_in = |country: &str| {
        std::fs::write(&file, mmdb(country)).unwrap();
        World::with(|config| {
            config.country_mmdb = Some(file.clone());
            config.http.trust_forwarded_for = true;
            config.http.forwarded_for_hops = 2;
        })
    };
    let send = |world: &World, key: &str, forwarded: &str, id: &str| -> String {
        let key = format!("Bearer {key}");
        let headers = [("authorization", key.as_str()), ("x-forwarded-for", forwarded)];
        let body = json!({"consent": consent(), "events": [click(id, "u", "a")]}).to_string();
        let answer =
            world.client().ask("POST", "/v1/events", &headers, body.as_bytes()).unwrap().expect(200).json();
        let event = &answer["events"][0];
        event["code"].as_str().or(event["status"].as_str()).unwrap().to_owned()
    };
    for (country, stored) in [("US", "ZZ"), ("FR", "FR")] {
        let world = world_in(country);
        let german =
            world.key(shipped(ingest(&[Region::De], Some(Programme::UserExperience), None))).reveal();
        let server = world.key(ingest(Region::ALL, None, None)).reveal();
        assert_eq!(send(&world, &german, "198.51.100.7:51234, 192.0.2.1", "1"), "taken");
        assert_eq!(send(&world, &world.keys.shipped, "[::ffff:198.51.100.7]:51234, 192.0.2.1", "2"), "taken");
        // Nobody's address is guessed: another one stood there, or there are fewer proxies than there should be.
        assert_eq!(send(&world, &world.keys.shipped, "unknown, 192.0.2.1", "3"), "no_region");
        assert_eq!(send(&world, &world.keys.shipped, "192.0.2.1", "4"), "no_region");
        // A server is not where the person is.
        assert_eq!(send(&world, &server, "198.51.100.7, 192.0.2.1", "5"), "no_region");
        let stated = json!({"consent": consent(), "events": [{"id": "6", "event": "click", "user_id": "u",
            "context": {"ip": "198.51.100.7:443"}, "properties": {"element": "a"}}]});
        assert_eq!(world.client().events(&server, &stated)["accepted"], 1);
        world.flush();
        let tables = Tables::read(&world);
        let of = |table: &str| {
            tables.rows(table).iter().map(|row| text(row, "country").to_owned()).collect::<Vec<_>>()
        };
        match country {
            "US" => assert_eq!(
                (of("de/usage"), of("us/usage")),
                (vec![stored.to_owned()], vec!["US".to_owned(); 2])
            ),
            _ => assert_eq!(of("de/usage"), vec![stored.to_owned(); 3]),
        }
    }
}
