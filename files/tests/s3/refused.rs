//! Stores and keys that are of no use, a store that goes away, and that nothing of a key is told to anyone.

use std::io::{self, ErrorKind, Write as _};
use std::time::{Duration, Instant};

use shoal_files::{Objects as _, S3, S3Credentials, S3Settings};

use crate::proxy::{Deed, Proxy};
use crate::servers::{KEY_ID, SECRET, Server, open, open_as};

const TOKEN: &str = "the-token-of-the-tests";

fn short() -> S3Settings {
    let give_up_after = Duration::from_secs(2);
    S3Settings { request_timeout: Duration::from_secs(1), give_up_after, ..S3Settings::default() }
}

/// What every kind of call answers, none of which succeeds.
fn errors(s3: &S3) -> Vec<io::Error> {
    let mut draft = s3.write("a").unwrap();
    let written = draft.write_all(&[0; 9 << 20]).and_then(|()| draft.finish().map(drop));
    let calls = [
        s3.put("a", b"x"),
        s3.put_if_absent("a", b"x"),
        s3.open("a").map(drop),
        s3.read("a").map(drop),
        s3.list("").map(drop),
        s3.remove(&["a"]),
        written,
        s3.probe(),
    ];
    calls.into_iter().map(|outcome| outcome.unwrap_err()).collect()
}

fn tells_nothing(errors: &[io::Error]) {
    for error in errors {
        let mut text = format!("{error} {error:?}");
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            text += &format!("{inner} {inner:?}");
            source = inner.source();
        }
        for secret in [KEY_ID, SECRET, TOKEN, "Signature=", "Credential="] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn a_store_that_ignores_conditions_is_refused() {
    let server = Server::rclone();
    let s3 = server.bucket("");
    s3.put("a", b"x").unwrap();
    assert_eq!(s3.read("a").unwrap(), b"x", "it is a store all the same");
    let error = s3.probe().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let text = error.to_string();
    assert!(text.contains("`If-None-Match: *`") && text.contains("Use a store"), "{text}");
    assert_eq!(s3.list("").unwrap().len(), 1, "the probe leaves nothing");
}

/// As one that knows conditions and drops metadata on its way.
#[test]
fn a_store_that_keeps_no_metadata_is_refused() {
    let server = Server::shared();
    let proxy = Proxy::start(server.port, |_, method, path| match method {
        "HEAD" if path.ends_with("/mark") => Deed::Body("mark".to_owned()),
        _ => Deed::Pass,
    });
    let error = open(proxy.port, "metadata", S3Settings::default()).probe().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("metadata"), "{error}");
    assert!(server.bucket("metadata").list("").unwrap().is_empty());
}

#[test]
fn wrong_keys_are_refused_at_once() {
    let server = Server::shared();
    for (key_id, secret, token) in
        [(KEY_ID, "wrong", None), ("AKIAOFNOBODY", SECRET, None), ("AKIAOFNOBODY", SECRET, Some(TOKEN))]
    {
        let begun = Instant::now();
        let credentials = S3Credentials::keys(key_id, secret, token);
        let s3 = open_as(server.port, "wrong", S3Settings::default(), credentials);
        let errors = errors(&s3);
        for error in &errors {
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        }
        tells_nothing(&errors);
        assert!(begun.elapsed() < Duration::from_secs(10), "a refusal is not repeated");
    }
}

#[test]
fn a_bucket_that_is_not_there_is_told() {
    let server = Server::shared();
    let endpoint = Some(format!("http://127.0.0.1:{}", server.port));
    let settings = S3Settings { endpoint, is_http_allowed: true, ..S3Settings::default() };
    let s3 = S3::open("s3://no-such-bucket", settings, S3Credentials::keys(KEY_ID, SECRET, None)).unwrap();
    let error = s3.probe().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        error.to_string().contains("s3://no-such-bucket/: the store answered 404 (NoSuchBucket)"),
        "{error}"
    );
}

/// `object_store` tells a status in a text alone.
#[test]
fn a_status_is_read_from_what_object_store_tells() {
    for (status, code, kind) in [
        (501, "NotImplemented", ErrorKind::Other),
        (507, "X", ErrorKind::StorageFull),
        (416, "X", ErrorKind::UnexpectedEof),
        (418, "X", ErrorKind::Other),
        (401, "X", ErrorKind::PermissionDenied),
    ] {
        let proxy = Proxy::start(0, move |_, _, _| Deed::AnswerBefore(status, code));
        let error = open(proxy.port, "status", S3Settings::default()).put("a", b"x").unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(&format!("the store answered {status} ({code})")), "{error}");
        assert_eq!(proxy.seen().len(), 1, "{status} is not repeated");
    }
}

/// Stores explain a refusal with the request that they were sent.
#[test]
fn nothing_of_a_key_is_told_whatever_a_store_answers() {
    for deed in
        [Deed::Repeat(403), Deed::Repeat(400), Deed::Repeat(500), Deed::Body(format!("<Key>{SECRET}</Key>"))]
    {
        let of_proxy = deed.clone();
        let proxy = Proxy::start(0, move |_, _, _| of_proxy.clone());
        let credentials = S3Credentials::keys(KEY_ID, SECRET, Some(TOKEN));
        let s3 = open_as(
            proxy.port,
            "told",
            S3Settings { give_up_after: Duration::from_millis(300), ..short() },
            credentials,
        );
        let shown = format!("{s3:?}");
        assert_eq!(shown, "S3(\"s3://bucket/told/\")");
        // A store that takes everything is not refused by a put.
        let outcomes =
            [s3.put("a", b"x"), s3.put_if_absent("a", b"x"), s3.read("a").map(drop), s3.list("").map(drop)];
        let mut errors: Vec<io::Error> = outcomes.into_iter().filter_map(Result::err).collect();
        errors.extend(s3.open("a").err());
        errors.extend(s3.remove(&["a"]).err());
        errors.extend(s3.probe().err());
        assert!(errors.len() >= 4, "{deed:?}");
        tells_nothing(&errors);
    }
}

#[test]
fn keys_of_a_role_are_got_and_used() {
    let server = Server::shared();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "x").unwrap();
    let keys = format!(
        r#"{{"AccessKeyId":"{KEY_ID}","SecretAccessKey":"{SECRET}","Expiration":"2099-01-01T00:00:00Z","Token":""}}"#
    );
    // The first answer makes no sense, and repeats what is secret.
    let role = Proxy::start(0, move |number, _, _| match number {
        0 => Deed::Body(format!(r#"{{"SecretAccessKey":{{"{SECRET}":1}}}}"#)),
        1 => Deed::AnswerBefore(500, "x"),
        _ => Deed::Body(keys.clone()),
    });
    let credentials = |port: u16| {
        let (uri, file) = (format!("http://127.0.0.1:{port}/keys"), file.to_str().unwrap().to_owned());
        S3Credentials::find(&move |name| match name {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI" => Some(uri.clone()),
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE" => Some(file.clone()),
            _ => None,
        })
        .unwrap()
    };
    let s3 = open_as(server.port, "role", S3Settings::default(), credentials(role.port));
    s3.put("a", b"x").unwrap();
    assert_eq!(s3.read("a").unwrap(), b"x");
    assert_eq!(role.seen().len(), 3, "they are kept until they expire");
    let role = Proxy::start(0, |_, _, _| Deed::Body(format!(r#"{{"SecretAccessKey":{{"{SECRET}":1}}}}"#)));
    let s3 = open_as(server.port, "role", short(), credentials(role.port));
    let error = s3.put("a", b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "nothing was sent");
    assert!(error.to_string().contains("no keys to be had"), "{error}");
    tells_nothing(&[error]);
}

#[test]
fn a_store_that_goes_away_is_an_error_in_time() {
    let mut server = Server::seaweedfs();
    // The first object of a store may take it seconds: it is put with all the time that a service gives it.
    open(server.port, "gone", S3Settings::default()).put("a", b"0123456789").unwrap();
    let (request_timeout, give_up_after) = (Duration::from_secs(4), Duration::from_secs(8));
    let s3 =
        open(server.port, "gone", S3Settings { request_timeout, give_up_after, ..S3Settings::default() });
    let source = s3.open("a").unwrap();
    let mut begun = s3.write("b").unwrap();
    begun.write_all(&[0; 9 << 20]).unwrap();
    let mut dropped = s3.write("c").unwrap();
    dropped.write_all(&[0; 9 << 20]).unwrap();
    server.kill();
    let timed = |call: &mut dyn FnMut()| {
        let begun = Instant::now();
        call();
        // Nine MiB have nine seconds more, and a busy machine has the rest: a call that never ends is what fails here.
        assert!(begun.elapsed() < Duration::from_secs(90), "{:?}", begun.elapsed());
    };
    timed(&mut || assert!(source.read_at(0, &mut [0; 4]).is_err()));
    let mut begun = Some(begun);
    timed(&mut || assert!(begun.take().unwrap().finish().is_err()));
    let mut dropped = Some(dropped);
    timed(&mut || drop(dropped.take()));
    let mut all = Vec::new();
    timed(&mut || {
        all = [s3.put("a", b"x"), s3.list("").map(drop), s3.remove(&["a"])].map(Result::unwrap_err).into()
    });
    tells_nothing(&all);
}
