//! Tests of what is decided before a transit service is asked, and of services that do not answer as they should. A real one:
//! `custody/tests/transit.rs`.
#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::*;

const TOKEN: &str = "s.token-of-a-test";

fn settings(url: &str) -> TransitSettings {
    TransitSettings {
        url: url.to_owned(),
        mount: "transit".to_owned(),
        key: "shoal".to_owned(),
        token: Token::Text(Zeroizing::new(TOKEN.to_owned())),
        namespace: None,
        ca_file: None,
        allow_http: false,
        timeout: Duration::from_millis(300),
    }
}

/// A service that treats every connection alike, and how many there were.
fn service(treat: impl Fn(TcpStream) + Send + 'static) -> (String, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            treat(stream);
        }
    });
    (url, count)
}

fn answer(mut stream: TcpStream, status: &str, body: &str) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request);
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nlocation: http://127.0.0.1:1/\r\n\r\n{body}"
    );
    let _ = stream.write_all(text.as_bytes());
}

fn wrapped() -> Wrapped {
    let key = KeyName { name: "shoal".to_owned(), version: "1".to_owned() };
    Wrapped { key, bytes: b"vault:v1:AAAA".to_vec() }
}

#[track_caller]
fn told(url: &str) -> CustodyError {
    let error = Transit::open(settings(url)).unwrap().unwrap(b"context", &wrapped()).err().unwrap();
    assert!(!format!("{error} {error:?}").contains(TOKEN));
    error
}

#[test]
fn plain_http_goes_to_this_machine_alone_unless_it_is_allowed() {
    let opens =
        |url: &str, allow_http| Transit::open(TransitSettings { allow_http, ..settings(url) }).is_ok();
    for url in ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "https://vault.example"] {
        assert!(opens(url, false), "{url}");
    }
    for url in
        ["http://vault.example", "http://10.0.0.1", "http://localhost.example", "http://127.0.0.1.example"]
    {
        assert!(!opens(url, false) && opens(url, true), "{url}");
    }
    for url in ["", "vault", "ftp://localhost", "http://a:b@localhost", "https://v.example/?a", "unix:/x"] {
        assert!(!opens(url, true), "{url}");
    }
}

#[test]
fn names_that_would_lead_elsewhere_are_refused() {
    for (mount, key) in
        [("", "k"), ("a/../b", "k?"), ("t", ""), ("t", "a/b"), ("t", ".."), ("t", "a b"), ("t?", "k")]
    {
        let settings =
            TransitSettings { mount: mount.into(), key: key.into(), ..settings("http://127.0.0.1:1") };
        assert!(Transit::open(settings).is_err(), "{mount} {key}");
    }
    for bad in
        ["vault:v1", "vault:1:AA", "vault:v:AA", "vault:v1:A\"A", "a\"b:v1:AA", "vault:v1:AA:v1", ":v1:A"]
    {
        assert_eq!(version_of(bad), None, "{bad}");
    }
    assert_eq!(version_of("vault:v12:AA+/=="), Some("12"));
}

#[test]
fn a_service_that_is_down_is_asked_three_times_and_no_longer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = told(&url);
    assert!(matches!(error, CustodyError::Away { .. }) && error.to_string().contains("try again"), "{error}");

    let (url, count) = service(|stream| answer(stream, "503 Unavailable", "{\"errors\":[\"no leader\"]}"));
    assert!(matches!(told(&url), CustodyError::Away { .. }));
    assert_eq!(count.load(Ordering::SeqCst), TRIES_OF_A_CALL);
}

const TRIES_OF_A_CALL: u32 = 3;

#[test]
fn slow_answers_end_in_time_wherever_they_stop() {
    let slow: [&(dyn Fn(TcpStream) + Sync); 3] = [
        &|stream| drop(std::thread::spawn(move || hold(stream))),
        &|mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"data\":");
            drop(std::thread::spawn(move || hold(stream)));
        },
        // A byte now and then, so that no single read takes long.
        &|mut stream| {
            drop(std::thread::spawn(move || {
                for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n".iter().cycle().take(100) {
                    if stream.write_all(&[*byte]).is_err() {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
            }));
        },
    ];
    for treat in slow {
        std::thread::scope(|scope| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            scope.spawn(move || {
                for stream in listener.incoming().take(TRIES_OF_A_CALL as usize).flatten() {
                    treat(stream);
                }
            });
            let began = Instant::now();
            let error = told(&url);
            assert!(matches!(error, CustodyError::Away { .. }), "{error}");
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        });
    }
}

/// Keeps a connection open without a word.
fn hold(mut stream: TcpStream) {
    let mut request = Vec::new();
    let _ = stream.read_to_end(&mut request);
}

#[test]
fn what_is_refused_is_asked_once_and_a_redirection_is_not_followed() {
    for (status, body) in [
        ("403 Forbidden", "{\"errors\":[\"permission denied\"]}"),
        ("503 Unavailable", "{\"errors\":[\"Vault is sealed\"]}"),
        ("400 Bad Request", "{\"errors\":[\"cipher: message authentication failed\"]}"),
        ("200 OK", "{\"data\":{}}"),
        ("200 OK", "no json"),
    ] {
        let (url, count) = service(move |stream| answer(stream, status, body));
        let error = told(&url);
        assert!(!matches!(error, CustodyError::Away { .. }), "{error}");
        assert_eq!(count.load(Ordering::SeqCst), 1, "{status}");
    }
    let (url, _) = service(|stream| answer(stream, "307 Temporary Redirect", ""));
    let error = told(&url).to_string();
    assert!(error.contains("not followed"), "{error}");
}

#[test]
fn a_token_that_is_none_is_told_and_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    for (text, part) in [("", "empty"), ("s.a\u{e9}", "no token has"), ("s.a b", "no token has")] {
        let path = dir.path().join("token");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let with = TransitSettings { token: Token::File(path), ..settings("http://127.0.0.1:1") };
        let error = Transit::open(with).unwrap().unwrap(b"context", &wrapped()).err().unwrap().to_string();
        assert!(error.contains(part) && !error.contains("s.a"), "{error}");
    }
}
