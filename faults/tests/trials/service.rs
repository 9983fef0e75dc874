//! The binary under trial: its settings, its commands, and a process that serves.
//!
//! Invariants: the binary is `SHOAL_BIN`, or `shoal` of the build that this test is of, and a missing one is a failure;
//! it is configured by variables alone, on a free port; a process is killed when its value is dropped; no line of any
//! log may tell of a panic.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::http::Client;

/// The longest time in which a process must start or end, on a machine that does much else: one that takes longer
/// hangs.
const DEADLINE: Duration = Duration::from_secs(300);

/// Asks again and again until there is something, or fails.
pub(crate) fn until<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = poll() {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The binary under trial.
fn binary() -> PathBuf {
    let beside = || {
        let test = std::env::current_exe().unwrap();
        test.parent().and_then(Path::parent).unwrap().join("shoal")
    };
    let path = std::env::var_os("SHOAL_BIN").map_or_else(beside, PathBuf::from);
    assert!(
        path.is_file(),
        "there is no {}: build it (cargo build -p shoal-server), or name one in SHOAL_BIN",
        path.display()
    );
    path
}

/// A service: where its files are, and its settings beside the usual ones.
#[derive(Clone, Default)]
pub(crate) struct Setup {
    pub(crate) dir: PathBuf,
    pub(crate) variables: Vec<(String, String)>,
    /// The key of a server that sends events to all regions.
    pub(crate) ingest_key: String,
    /// The key of an officer.
    pub(crate) officer_key: String,
}

impl Setup {
    /// A new one in this directory, with keys.
    pub(crate) fn new(dir: &Path, variables: &[(&str, &str)]) -> Setup {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables = variables.iter().map(own).collect();
        let mut setup = Setup {
            dir: dir.to_path_buf(),
            variables,
            ingest_key: String::new(),
            officer_key: String::new(),
        };
        let regions = "DE,US,SG,MY";
        let ingest =
            ["keys", "create", "ingest", "--kind", "server", "--app", "camera", "--regions", regions];
        setup.ingest_key = setup.succeed(&ingest).trim().to_owned();
        let officer = ["keys", "create", "analyst", "--role", "officer", "--regions", regions];
        setup.officer_key = setup.succeed(&officer).trim().to_owned();
        setup
    }

    /// The same files with one more setting.
    pub(crate) fn with(&self, name: &str, value: &str) -> Setup {
        let mut setup = self.clone();
        setup.variables.push((name.to_owned(), value.to_owned()));
        setup
    }

    /// A copy of it in another place.
    pub(crate) fn moved(&self, dir: &Path) -> Setup {
        Setup { dir: dir.to_path_buf(), ..self.clone() }
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command
            .env_clear()
            .current_dir(&self.dir)
            .env("SHOAL_DATA_DIR", self.data())
            .env("SHOAL_KEY_FILE", self.dir.join("shoal.key"))
            .env("SHOAL_HTTP_LISTEN", "127.0.0.1:0")
            .env("SHOAL_INGEST_FREE_BYTES_MIN", "0")
            .env("SHOAL_INGEST_WAIT_MS_MAX", "60000")
            .env("SHOAL_RETENTION_CRON", "")
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command of the binary to its end: exit code (none when a signal ended it), standard output and standard
    /// error.
    pub(crate) fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = self.command().args(arguments).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let errors = text(&output.stderr);
        assert!(!errors.contains("panicked"), "{arguments:?}: {errors}");
        (output.status.code(), text(&output.stdout), errors)
    }

    /// Starts a command of the binary that nobody waits for.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    fn succeed(&self, arguments: &[&str]) -> String {
        let (code, told, errors) = self.run(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {errors}");
        told
    }

    /// Begins to serve; its log lines go to the end of `shoal.log`.
    pub(crate) fn begin(&self) -> Service {
        let log = self.dir.join("shoal.log");
        let before = fs::metadata(&log).map_or(0, |m| m.len());
        let file = fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut command = self.command();
        command.arg("serve").stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Service { child: command.spawn().unwrap(), log, before, addr: None, began: Instant::now() }
    }

    /// Serves, or says how the start ended and its log lines.
    pub(crate) fn try_serve(&self) -> Result<Service, String> {
        let mut service = self.begin();
        let ended = until("the service to start or to end", || match service.child.try_wait().unwrap() {
            Some(status) => Some(Err(status)),
            None => service.address().map(Ok),
        });
        match ended {
            Ok(addr) => {
                service.addr = Some(addr);
                Ok(service)
            }
            Err(status) => Err(format!("{status}\n{}", service.lines())),
        }
    }

    /// Serves, which must succeed.
    pub(crate) fn serve(&self) -> Service {
        self.try_serve().unwrap_or_else(|told| panic!("the service does not start: {told}"))
    }
}

/// A process that serves, or that begins to.
pub(crate) struct Service {
    child: Child,
    log: PathBuf,
    before: u64,
    addr: Option<SocketAddr>,
    began: Instant,
}

impl Service {
    /// The log lines of this process.
    pub(crate) fn lines(&self) -> String {
        let all = fs::read(&self.log).unwrap();
        String::from_utf8_lossy(&all[self.before as usize..]).into_owned()
    }

    /// The address, when it has one.
    fn address(&self) -> Option<SocketAddr> {
        let lines = self.lines();
        let line = lines.lines().find(|line| line.contains("serving"))?;
        line.split("addr=").nth(1)?.split(' ').next()?.parse().ok()
    }

    /// A new client.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.addr.expect("it serves"))
    }

    /// Waits until the service is ready, and says how long that took from its beginning.
    pub(crate) fn ready(&self) -> Duration {
        until("readiness", || {
            let answer = self.client().get("/readyz");
            answer.is_ok_and(|answer| answer.status == 200).then_some(())
        });
        self.began.elapsed()
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.has_not_panicked();
    }

    /// kill -9, while others still speak to it.
    pub(crate) fn strike(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        // It may have ended by itself.
        let _ = kill_process(id, signal);
    }

    /// SIGTERM, and how it ended, with its log lines.
    pub(crate) fn stop(self) -> (ExitStatus, String) {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// SIGTERM, which must end it in order.
    pub(crate) fn stop_in_order(self) {
        let (status, lines) = self.stop();
        assert!(status.success(), "{status}\n{lines}");
    }

    /// Waits until it has ended: how, and its log lines.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let status = until("the service to end", || self.child.try_wait().unwrap());
        self.has_not_panicked();
        (status, self.lines())
    }

    fn has_not_panicked(&self) {
        let lines = self.lines();
        assert!(!lines.contains("panicked"), "{lines}");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            self.has_not_panicked();
        }
    }
}
