//! An OpenBao for one test, on 127.0.0.1, with everything in its memory.
//!
//! Invariant: it is ended by its own process id when its owner is dropped, also by a panic.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shoal_custody::{Token, Transit, TransitSettings};
use tempfile::TempDir;
use ureq::Agent;
use zeroize::Zeroizing;

/// How long it may take to answer for the first time.
const START_MAX: Duration = Duration::from_secs(60);

/// A server that runs.
pub(crate) struct OpenBao {
    process: Child,
    pub(crate) dir: TempDir,
    pub(crate) url: String,
    agent: Agent,
    root: String,
    unseal_key: String,
}

impl OpenBao {
    /// One that is unsealed, with a transit engine and the key `shoal`. Another process may take the port before it does, so it is tried
    /// again.
    pub(crate) fn start() -> OpenBao {
        let started = (0..3).find_map(|_| OpenBao::try_start());
        let mut server = started.expect("OpenBao did not start three times: see above");
        let made = server.call("PUT", "sys/init", json!({"secret_shares": 1, "secret_threshold": 1})).1;
        server.root = made["root_token"].as_str().unwrap().to_owned();
        server.unseal_key = made["keys"][0].as_str().unwrap().to_owned();
        server.unseal();
        server.ok("POST", "sys/mounts/transit", json!({"type": "transit"}));
        server.ok("POST", "transit/keys/shoal", json!({"type": "aes256-gcm96"}));
        server
    }

    fn try_start() -> Option<OpenBao> {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "storage \"inmem\" {{}}\nlistener \"tcp\" {{\n address = \"127.0.0.1:{port}\"\n tls_disable = true\n}}\n\
             api_addr = \"http://127.0.0.1:{port}\"\n"
        );
        std::fs::write(dir.path().join("server.hcl"), config).unwrap();
        let arguments = ["server", "-config=server.hcl"].map(str::to_owned);
        OpenBao::run(dir, &arguments, format!("http://127.0.0.1:{port}"))
    }

    /// One that speaks TLS, with certificates that it makes itself.
    pub(crate) fn with_tls() -> OpenBao {
        let try_start = |_| {
            let dir = tempfile::tempdir().unwrap();
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let arguments = [
                "server".to_owned(),
                "-dev".to_owned(),
                "-dev-tls".to_owned(),
                format!("-dev-tls-cert-dir={}", dir.path().display()),
                "-dev-root-token-id=root-of-the-tests".to_owned(),
                format!("-dev-listen-address=127.0.0.1:{port}"),
            ];
            OpenBao::run(dir, &arguments, format!("https://127.0.0.1:{port}"))
        };
        let mut server = (0..3).find_map(try_start).expect("OpenBao did not start three times: see above");
        server.root = "root-of-the-tests".to_owned();
        server.ok("POST", "sys/mounts/transit", json!({"type": "transit"}));
        server.ok("POST", "transit/keys/shoal", json!({"type": "aes256-gcm96"}));
        server
    }

    fn run(dir: TempDir, arguments: &[String], url: String) -> Option<OpenBao> {
        let log = File::create(dir.path().join("log")).unwrap();
        let process = Command::new(tool("bao"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .current_dir(dir.path())
            .env("HOME", dir.path())
            .env("TMPDIR", dir.path())
            .spawn()
            .unwrap();
        // The test of trust is the custody's; this client sets the server up.
        let tls = ureq::tls::TlsConfig::builder().disable_verification(true).build();
        let config = Agent::config_builder().http_status_as_error(false).proxy(None).tls_config(tls);
        let agent = config.timeout_global(Some(Duration::from_secs(20))).build().new_agent();
        let mut server = OpenBao { process, dir, url, agent, root: String::new(), unseal_key: String::new() };
        server.is_ready().then_some(server)
    }

    /// Waits until it answers; not when it ends before. Says what it wrote when it does not.
    fn is_ready(&mut self) -> bool {
        let end = Instant::now() + START_MAX;
        while self.agent.get(format!("{}/v1/sys/health", self.url)).call().is_err() {
            if Instant::now() > end || self.process.try_wait().unwrap().is_some() {
                eprintln!("{}", std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default());
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        true
    }

    fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}/v1/{path}", self.url))
            .header("x-vault-token", &self.root)
            .body(body.to_string())
            .unwrap();
        let mut answer = self.agent.run(request).unwrap();
        let status = answer.status().as_u16();
        (status, answer.body_mut().read_json().unwrap_or(Value::Null))
    }

    /// A call as the root of the service, which must succeed.
    #[track_caller]
    pub(crate) fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(method, path, body);
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    }

    /// A token with a policy of these rules.
    pub(crate) fn token(&self, rules: &str) -> String {
        self.ok("PUT", "sys/policies/acl/of-a-test", json!({"policy": rules}));
        let made = self.ok("POST", "auth/token/create", json!({"policies": ["of-a-test"], "ttl": "1h"}));
        made["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn seal(&self) {
        self.ok("PUT", "sys/seal", json!({}));
    }

    pub(crate) fn unseal(&self) {
        self.ok("PUT", "sys/unseal", json!({"key": self.unseal_key}));
        let end = Instant::now() + START_MAX;
        while self.call("GET", "sys/mounts", Value::Null).0 != 200 {
            assert!(Instant::now() < end, "it must be unsealed");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it, so that it takes connections and does not answer, or lets it go on.
    pub(crate) fn pause(&self, is_paused: bool) {
        let signal = if is_paused { "-STOP" } else { "-CONT" };
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(crate) fn settings(&self) -> TransitSettings {
        TransitSettings {
            url: self.url.clone(),
            mount: "transit".to_owned(),
            key: "shoal".to_owned(),
            token: Token::Text(Zeroizing::new(self.root.clone())),
            namespace: None,
            ca_file: None,
            allow_http: false,
            timeout: Duration::from_secs(10),
        }
    }

    pub(crate) fn custody(&self) -> Transit {
        Transit::open(self.settings()).unwrap()
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        let _ended_before = self.process.kill();
        let _status = self.process.wait();
    }
}

fn tool(name: &str) -> PathBuf {
    let python = std::env::var("SHOAL_TEST_PYTHON").unwrap_or_else(|_| {
        panic!("SHOAL_TEST_PYTHON is not set: run ./test, or name the Python of a venv with scripts/requirements.txt")
    });
    let tool = Path::new(&python).with_file_name(name);
    assert!(tool.exists(), "{} is not there: install scripts/requirements.txt into its venv", tool.display());
    tool
}
