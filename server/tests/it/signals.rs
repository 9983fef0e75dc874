//! Signals: SIGHUP takes over what can be changed, SIGTERM ends also a start in order. And what a start that is refused says.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

use crate::http::Client;
use crate::process::{Setup, signal, until};
use crate::stage::{Keys, batch, click};

fn written(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_changed_configuration_is_taken_over_and_a_wrong_one_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shoal.toml");
    written(&file, "[log]\nlevel = \"info\"\n");
    let variables = [("SHOAL_CONFIG", file.to_str().unwrap())];
    let setup = Setup { dir: dir.path(), variables: &variables };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    let count = |word: &str| server.log().matches(word).count();
    let ask = || drop(server.client.ask("GET", "/healthz", &[], b"").unwrap().expect(200));
    ask();
    assert_eq!(count("/healthz"), 0);
    let reread = |config: &str, word: &str| {
        written(&file, config);
        let before = count(word);
        signal("HUP", server.id());
        until(word, || (count(word) > before).then_some(()));
    };
    reread("[log]\nlevel = \"debug\"\n", "was read again");
    assert!(server.log().contains("taken=\"log.level\""), "{}", server.log());
    ask();
    until("a line of a request", || (count("/healthz") > 0).then_some(()));
    // Wrong in several places: nothing of it is taken over, and one line tells all that is wrong.
    let wrong = "country_mmdb = \"nowhere.mmdb\"\n[log]\nlevel = \"error\"\n[http]\nworkers = \"many\"\nlistn = \"x\"\n\
                 tls_cert = \"no.pem\"\ntls_key = \"no-key.pem\"\n[query]\nk_min = 1\n";
    reread(wrong, "nothing is changed");
    let log = server.log();
    let told = log.lines().rfind(|line| line.contains("nothing is changed")).unwrap();
    let names =
        ["http.workers", "http.listn", "country_mmdb", "http.tls_cert", "http.tls_key", "query.k_min"];
    for fault in names {
        assert!(told.contains(fault), "{fault} is not in {told}");
    }
    let before = count("/healthz");
    ask();
    until("a line of a request", || (count("/healthz") > before).then_some(()));
    // What cannot be changed is named, and the rest is taken over.
    reread("[log]\nlevel = \"info\"\n[http]\nworkers = 7\n", "these settings need a restart");
    assert!(server.log().contains("settings=\"http.workers\""), "{}", server.log());
    server.client.events(&keys.app, &batch("DE", vec![click("1", "u", "a")]));
    assert!(server.terminate().success());
}

/// A certificate is looked at and not believed or doubted.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The certificate that a server shows, after it has answered a request through TLS.
fn shown(client: Client) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything))
        .with_no_client_auth();
    let mut tls = ClientConnection::new(Arc::new(config), "shoal.test".try_into().unwrap()).unwrap();
    let mut socket = client.connect().unwrap();
    let mut stream = rustls::Stream::new(&mut tls, &mut socket);
    std::io::Write::write_all(&mut stream, b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    tls.peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn the_next_client_is_shown_a_renewed_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls");
    let install = |cert: &str, key: &str| {
        std::fs::copy(data.join(cert), at("cert.pem")).unwrap();
        std::fs::copy(data.join(key), at("key.pem")).unwrap();
    };
    install("cert.pem", "key.pem");
    let (cert, key) = (at("cert.pem"), at("key.pem"));
    let variables =
        [("SHOAL_HTTP_TLS_CERT", cert.to_str().unwrap()), ("SHOAL_HTTP_TLS_KEY", key.to_str().unwrap())];
    let server = Setup { dir: dir.path(), variables: &variables }.serve();
    let first = shown(server.client);
    // The key of another certificate is refused, and the old certificate stays.
    std::fs::copy(data.join("renewed-key.pem"), &key).unwrap();
    signal("HUP", server.id());
    until("the refusal", || server.log().contains("nothing is changed").then_some(()));
    assert!(shown(server.client) == first);
    install("renewed-cert.pem", "renewed-key.pem");
    signal("HUP", server.id());
    until("the renewed certificate", || (shown(server.client) != first).then_some(()));
    assert!(server.terminate().success());
}

/// What a first start makes, in its order; a signal comes as soon as it is there.
const MADE: [&str; 9] = [
    "shoal.key",
    "data/.lock",
    "data/de/key-check",
    "data/control/canonical_day.json",
    "data/my/ledger.redb",
    "data/served-time",
    "data/ledger/budget.redb",
    "data/de/unit-days",
    "data/my/tables",
];

#[test]
fn a_signal_while_it_starts_ends_it_in_order() {
    // Behind the first line of the log, and in the middle of what a start makes.
    for made in [None].into_iter().chain(MADE.map(Some)) {
        let dir = tempfile::tempdir().unwrap();
        let setup = Setup { dir: dir.path(), variables: &[] };
        let mut child = setup.begin("starting");
        if let Some(made) = made {
            until(made, || dir.path().join(made).exists().then_some(()));
        }
        signal("TERM", child.id());
        let status = until("the end", || child.try_wait().unwrap());
        assert!(status.success(), "when {made:?} was there: {status}");
        // The next start goes on with whatever this one has left.
        let keys = Keys::create(&setup.data_dir());
        let server = setup.serve();
        assert_eq!(server.client.events(&keys.app, &batch("DE", vec![click("1", "u", "a")]))["accepted"], 1);
        assert!(!server.log().contains("panicked"), "{}", server.log());
        assert!(server.terminate().success());
    }
}

/// A line of a backtrace.
fn has_calls(text: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with("0: ")) || text.contains(".rs:")
}

#[test]
fn a_refusal_carries_no_backtrace_where_they_are_turned_on() {
    let dir = tempfile::tempdir().unwrap();
    let setup =
        Setup { dir: dir.path(), variables: &[("RUST_BACKTRACE", "full"), ("SHOAL_LOG_LEVEL", "trace")] };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    server.client.events(&keys.app, &batch("DE", vec![click("1", "u", "a")]));
    for (path, key, body) in [
        ("/v1/events", "wrong", "{}"),
        ("/v1/events", &*keys.app, "{\"events\":"),
        ("/v1/batch", &*keys.app, "{}"),
        ("/v1/sql", &*keys.analyst, "{\"sql\":\"SELECT * FROM usage\"}"),
        ("/v1/sql", &*keys.analyst, "{\"sql\":\"SELECT n / 'a' FROM (SELECT COUNT(*) AS n FROM usage) t\"}"),
        ("/v1/retention/runs", &*keys.analyst, "{}"),
        ("/nowhere", &*keys.app, ""),
    ] {
        let answer = server.client.post(path, key, body);
        assert!(answer.status >= 400 && !has_calls(&answer.text()), "{path}: {}", answer.text());
    }
    let log = server.log();
    assert!(!has_calls(&log), "{log}");
    assert!(server.terminate().success());
    // A start that is refused says why, and not by which calls it found out.
    let log_of_table = setup.data_dir().join("de/tables/usage/_delta_log");
    for entry in std::fs::read_dir(&log_of_table).unwrap() {
        written(&entry.unwrap().path(), "{\"broken");
    }
    let (code, _, told) = setup.run(&["serve"]);
    assert!(code != 0 && !has_calls(&told), "{code}: {told}");
}
