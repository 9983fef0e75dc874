//! One file opens connections, for commands, and a service asks nobody but the store of its objects and the custody of its key file.

use std::fmt::Write as _;

use crate::names::{Name, names, production_files};
use crate::root;

/// The client of the command line and of the demo.
const CLIENT: &str = "server/src/client.rs";
/// Who may use it.
const COMMANDS: [&str; 4] =
    ["server/src/cli/", "server/src/cli.rs", "server/src/demo/", "server/src/demo.rs"];
/// The store of objects that is elsewhere, and what makes its client.
const STORE: (&str, &str) = ("files/src/s3/", "AmazonS3Builder");
/// The service that may have the key file in its custody, and what asks it. A token's module is not seen here: it may ask whom it will.
const TRANSIT: (&str, &str) = ("custody/src/transit/", "ureq");
/// What opens a connection, sends to somebody, or asks for the address of a name.
const FAR: [&str; 10] = [
    STORE.1,
    "ureq",
    "reqwest",
    "hyper",
    "hyper_util",
    "UdpSocket",
    "TcpSocket",
    "lookup_host",
    "ToSocketAddrs",
    "to_socket_addrs",
];

/// Whether this leads to another machine.
fn leads_away(name: &Name) -> bool {
    let parts = &name.parts;
    let is_far = parts.iter().any(|part| FAR.contains(&part.as_str()));
    let last_two = &parts[parts.len().saturating_sub(2)..];
    is_far || matches!(last_two, [of, what] if of == "TcpStream" && what.starts_with("connect"))
}

fn uses_the_client(name: &Name) -> bool {
    name.parts.first().is_some_and(|first| first == "crate")
        && name.parts.get(1).is_some_and(|second| second == "client")
}

/// What a file says that it may not.
fn broken(shown: &str, text: &str) -> Vec<(usize, String)> {
    let is_asked = |name: &Name| {
        let may_be = [STORE, TRANSIT].into_iter().filter(|(place, _)| shown.starts_with(place));
        may_be.into_iter().any(|(_, client)| name.parts.iter().any(|part| part == client))
    };
    let may_ask = COMMANDS.iter().any(|place| shown.starts_with(place));
    let found = names(text).into_iter().filter(|name| {
        (shown != CLIENT && leads_away(name) && !is_asked(name)) || (!may_ask && uses_the_client(name))
    });
    found.map(|name| (name.line, name.parts.join("::"))).collect()
}

#[test]
fn one_file_opens_connections_and_commands_alone_use_it() {
    let mut found = String::new();
    let files = production_files(&["benches"]);
    assert!(files.contains(&root().join(CLIENT)), "the client must be found");
    for path in files {
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        for (line, what) in broken(&shown, &std::fs::read_to_string(&path).unwrap()) {
            writeln!(
                found,
                "{shown}:{line}: `{what}`: a service opens no connection, and commands use {CLIENT}"
            )
            .unwrap();
        }
    }
    assert!(found.is_empty(), "\n{found}");
    let client = std::fs::read_to_string(root().join(CLIENT)).unwrap();
    assert!(names(&client).iter().any(leads_away), "the rule must see the client");
}

#[test]
fn what_leads_to_another_machine_is_seen() {
    for bad in [
        "use ureq::Agent;",
        "fn f() { tokio::net::TcpStream::connect(a).await }",
        "use std::net::{TcpStream, ToSocketAddrs};",
        "fn f() { std::net::TcpStream::connect_timeout(&a, b) }",
        "fn f() { (host, 80).to_socket_addrs() }",
        "use crate::client::Client;",
        "use crate::{client, config};",
    ] {
        assert!(!broken("server/src/jobs.rs", bad).is_empty(), "{bad}");
    }
    assert!(!broken("server/src/cli/query.rs", "use reqwest::Client;").is_empty());
    let store = "use object_store::aws::{AmazonS3, AmazonS3Builder};";
    assert!(
        !broken("storage/src/tables/store.rs", store).is_empty()
            && broken("files/src/s3/a.rs", store).is_empty()
    );
    assert!(!broken("files/src/s3/a.rs", "use reqwest::Client;").is_empty());
    for (of, bad) in
        [("custody/src/transit/a.rs", "use reqwest::Client;"), ("custody/src/pkcs11.rs", "use ureq::Agent;")]
    {
        assert!(!broken(of, bad).is_empty(), "{of}");
    }
    assert!(broken("custody/src/transit/client.rs", "use ureq::Agent;").is_empty());
    for good in [
        "use tokio::net::TcpStream;",
        "fn f() { UnixStream::connect(path) }",
        "#[cfg(test)]\nmod tests { use std::net::UdpSocket; }",
    ] {
        assert!(broken("server/src/jobs.rs", good).is_empty(), "{good}");
    }
    assert!(broken("server/src/cli/query.rs", "use crate::client::Client;").is_empty());
}
