//! Stores that run for the tests: SeaweedFS, and rclone as one that does not know conditional writes.
//!
//! Invariants: a server listens on 127.0.0.1 alone, keeps its files in a directory that goes with it (SeaweedFS also makes sockets in
//! `/tmp`, which go with it), and is ended by its own process id when its owner is dropped, also by a panic. Tests that run at the same time share one SeaweedFS.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use shoal_files::{S3, S3Credentials, S3Settings};
use tempfile::TempDir;

pub(crate) const KEY_ID: &str = "AKIAOFTHETESTS";
pub(crate) const SECRET: &str = "the-secret-of-the-tests";
/// How long a server may take to answer for the first time.
const START_MAX: Duration = Duration::from_secs(60);

/// A server that runs.
pub(crate) struct Server {
    process: Child,
    dir: TempDir,
    pub(crate) port: u16,
    /// Where SeaweedFS shows its files.
    filer: u16,
    /// What it leaves elsewhere.
    sockets: Vec<PathBuf>,
}

static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());

impl Server {
    /// The SeaweedFS of all tests that run at the moment.
    pub(crate) fn shared() -> Arc<Server> {
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Server::seaweedfs());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// A SeaweedFS with the bucket `bucket`. Another process may take a port before the server does, so it is tried again.
    pub(crate) fn seaweedfs() -> Server {
        let started = (0..3).find_map(|_| Server::try_seaweedfs());
        started.expect("SeaweedFS did not start three times: see above")
    }

    fn try_seaweedfs() -> Option<Server> {
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            r#"{{"identities":[{{"name":"t","credentials":[{{"accessKey":"{KEY_ID}","secretKey":"{SECRET}"}}],
                "actions":["Admin","Read","Write","List","Tagging"]}}]}}"#
        );
        std::fs::write(dir.path().join("s3.json"), config).unwrap();
        // A folder whose last object is removed stays for a while, and stands in the way of an object of its name.
        let filer = "[filer.options.s3]\nempty_folder_cleanup_delay = \"100ms\"\n[leveldb2]\nenabled = true\ndir = \"./names\"\n";
        std::fs::write(dir.path().join("filer.toml"), filer).unwrap();
        let ports = free_ports::<8>();
        let names = ["master", "master.port.grpc", "volume", "volume.port.grpc"];
        let names = [&names[..], &["filer", "filer.port.grpc", "s3", "s3.port.grpc"]].concat();
        let mut command = Command::new(tool("weed"));
        command.args([
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-filer",
            "-s3",
            "-s3.port.iceberg=0",
        ]);
        command.args([
            "-s3.port.lance=0",
            "-master.volumeSizeLimitMB=64",
            "-volume.max=100",
            "-master.telemetry=false",
        ]);
        for (name, port) in names.iter().zip(ports) {
            let name = if name.contains('.') { (*name).to_owned() } else { format!("{name}.port") };
            command.arg(format!("-{name}={port}"));
        }
        for (name, file) in [
            ("dir", "."),
            ("s3.config", "s3.json"),
            ("s3.localSocket", "s3.sock"),
            ("filer.localSocket", "filer.sock"),
        ] {
            command.arg(format!("-{name}={}", dir.path().join(file).display()));
        }
        let (filer, port) = (ports[4], ports[6]);
        let mut server = Server::start(command, dir, port, filer);
        let of_grpc =
            names.iter().zip(ports).filter_map(|(name, port)| Some((name.strip_suffix(".port.grpc")?, port)));
        server.sockets =
            of_grpc.map(|(name, port)| format!("/tmp/seaweedfs-{name}-grpc-{port}.sock").into()).collect();
        server.is_ready("/healthz").then(|| {
            assert!(server.until(|| http(filer, "POST", "/buckets/bucket/").starts_with("HTTP/1.1 201")));
            server
        })
    }

    /// An rclone with the bucket `bucket`.
    pub(crate) fn rclone() -> Server {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("root/bucket")).unwrap();
        let [port] = free_ports();
        let mut command = Command::new(tool("rclone"));
        command.args(["serve", "s3", "--config", "/dev/null", "--vfs-cache-mode", "off", "--addr"]);
        command.arg(format!("127.0.0.1:{port}")).arg("--auth-key").arg(format!("{KEY_ID},{SECRET}"));
        command.arg(dir.path().join("root"));
        let server = Server::start(command, dir, port, port);
        assert!(server.is_ready("/"), "rclone did not start");
        server
    }

    fn start(mut command: Command, dir: TempDir, port: u16, filer: u16) -> Server {
        let log = File::create(dir.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        // Whatever it writes beside its files goes with them.
        command.current_dir(dir.path()).env("TMPDIR", dir.path()).env("HOME", dir.path());
        let process = command.spawn().unwrap();
        Server { process, dir, port, filer, sockets: Vec::new() }
    }

    /// Waits until it answers; not when it ends before. Says what it wrote when it does not.
    fn is_ready(&self, path: &str) -> bool {
        let is_ready = self.until(|| http(self.port, "GET", path).starts_with("HTTP/1."));
        if !is_ready {
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            eprintln!("{log}");
        }
        is_ready
    }

    fn until(&self, is_so: impl Fn() -> bool) -> bool {
        let end = Instant::now() + START_MAX;
        while !is_so() {
            if Instant::now() > end || !Path::new(&format!("/proc/{}/exe", self.process.id())).exists() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        true
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Its bucket, below a prefix of its own.
    pub(crate) fn bucket(&self, prefix: &str) -> S3 {
        open(self.port, prefix, S3Settings::default())
    }

    /// How many uploads in parts are neither completed nor aborted, by the server's own files.
    pub(crate) fn uploads(&self) -> usize {
        http(self.filer, "GET", "/buckets/bucket/.uploads/?limit=1000").matches("\"FullPath\"").count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended_before = self.process.kill();
        let _status = self.process.wait();
        for socket in &self.sockets {
            let _not_there = std::fs::remove_file(socket);
        }
    }
}

/// The bucket `bucket` of whoever listens there.
pub(crate) fn open(port: u16, prefix: &str, settings: S3Settings) -> S3 {
    open_as(port, prefix, settings, S3Credentials::keys(KEY_ID, SECRET, None))
}

pub(crate) fn open_as(port: u16, prefix: &str, settings: S3Settings, credentials: S3Credentials) -> S3 {
    let endpoint = Some(format!("http://127.0.0.1:{port}"));
    let settings = S3Settings { endpoint, is_http_allowed: true, ..settings };
    S3::open(&format!("s3://bucket/{prefix}"), settings, credentials).unwrap()
}

fn tool(name: &str) -> PathBuf {
    let python = std::env::var("SHOAL_TEST_PYTHON").unwrap_or_else(|_| {
        panic!("SHOAL_TEST_PYTHON is not set: run ./test, or name the Python of a venv with scripts/requirements.txt")
    });
    let tool = Path::new(&python).with_file_name(name);
    assert!(tool.exists(), "{} is not there: install scripts/requirements.txt into its venv", tool.display());
    tool
}

/// Ports that nobody listens on. All are held until all are known, so that they differ.
fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let listeners: [TcpListener; COUNT] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// What is answered to a request without a body; nothing when nobody answers.
fn http(port: u16, method: &str, path: &str) -> String {
    let ask = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let head =
            "Host: localhost\r\nAccept: application/json\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(format!("{method} {path} HTTP/1.1\r\n{head}").as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    ask().unwrap_or_default()
}
