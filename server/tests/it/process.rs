//! The real binary in a process of its own, for what only a process can show: being killed, signals, log lines.
//!
//! Invariants: configured by variables only, on a free port; killed when the value is dropped. What another process does
//! is waited for by polling with a deadline.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use crate::http::Client;
use crate::tables::Stored;

const DEADLINE: Duration = Duration::from_secs(90);

/// Asks again and again until there is something, or fails.
pub(crate) fn until<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = poll() {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A running `shoal serve`.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    pub(crate) client: Client,
    /// Where it shows its metrics: on a free port, like everything.
    pub(crate) metrics: Client,
}

/// Settings of a run: the directory that holds everything, and variables beside the usual ones.
pub(crate) struct Setup<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) variables: &'a [(&'a str, &'a str)],
}

impl Setup<'_> {
    /// Where the data is.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shoal"));
        command
            .env_clear()
            .env("SHOAL_DATA_DIR", self.data_dir())
            .env("SHOAL_KEY_FILE", self.dir.join("shoal.key"))
            .env("SHOAL_HTTP_LISTEN", "127.0.0.1:0")
            .env("SHOAL_METRICS_LISTEN", "127.0.0.1:0")
            .env("SHOAL_INGEST_SEGMENT_BYTES_MAX", "4194304")
            .env("SHOAL_INGEST_FREE_BYTES_MIN", "0")
            .env("SHOAL_RETENTION_CRON", "")
            .envs(self.variables.iter().copied());
        command
    }

    fn variable(&self, name: &str) -> Option<PathBuf> {
        self.variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
    }

    /// Runs a command of the binary to its end: exit code, standard output, standard error.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        self.run_without(&[], arguments)
    }

    /// The same, with a text on standard input.
    pub(crate) fn run_with(&self, input: &str, arguments: &[&str]) -> (i32, String, String) {
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that reads nothing has closed it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        ended(child.wait_with_output().unwrap())
    }

    /// The same, without these of the usual variables.
    pub(crate) fn run_without(&self, unset: &[&str], arguments: &[&str]) -> (i32, String, String) {
        let mut command = self.command();
        unset.iter().for_each(|name| {
            command.env_remove(name);
        });
        ended(command.args(arguments).output().unwrap())
    }

    /// Starts a command of the binary that goes on, with its output to be read.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Begins to start the service and waits for a word in its log lines, which go to the end of `shoal.log`.
    pub(crate) fn begin(&self, word: &str) -> Child {
        let (child, log, before) = self.spawn();
        until("the service to log", || log_since(&log, before).contains(word).then_some(()));
        child
    }

    fn spawn(&self) -> (Child, PathBuf, usize) {
        let log = self.dir.join("shoal.log");
        let before = std::fs::metadata(&log).map_or(0, |m| m.len()) as usize;
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut command = self.command();
        command.arg("serve").stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        (command.spawn().unwrap(), log, before)
    }

    /// Starts the service; its log lines go to the end of `shoal.log`.
    pub(crate) fn serve(&self) -> Process {
        let (mut child, log, before) = self.spawn();
        let [addr, metrics] = until("the service to listen", || {
            let text = log_since(&log, before);
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the service ended ({status}):\n{text}");
            }
            let addr = |word: &str| -> Option<std::net::SocketAddr> {
                let line = text.lines().find(|line| line.contains(word))?;
                line.split("addr=").nth(1)?.split(' ').next()?.parse().ok()
            };
            Some([addr("serving")?, addr("metrics for")?])
        });
        Process { child, log, client: Client(addr), metrics: Client(metrics) }
    }
}

impl Stored for Setup<'_> {
    fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn key_file(&self) -> PathBuf {
        self.variable("SHOAL_KEY_FILE").unwrap_or_else(|| self.dir.join("shoal.key"))
    }

    fn data_key_dir(&self) -> PathBuf {
        let beside = || PathBuf::from(format!("{}.data", self.key_file().display()));
        self.variable("SHOAL_DATA_KEY_DIR").unwrap_or_else(beside)
    }
}

/// Makes a library of a file of `tests/data` in a directory, for a service to be started with (LD_PRELOAD).
pub(crate) fn library(dir: &Path, source: &str) -> String {
    let library = dir.join(source).with_extension("so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(source);
    let compiler = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status();
    assert!(compiler.expect("a C compiler is needed, as for the build").success());
    library.to_str().unwrap().to_owned()
}

fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// A command that goes on, ended when the value is dropped.
pub(crate) struct Going(pub(crate) Child);

impl Drop for Going {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn log_since(log: &Path, before: usize) -> String {
    String::from_utf8_lossy(&std::fs::read(log).unwrap()[before..]).into_owned()
}

/// Sends a signal to a process.
pub(crate) fn signal(name: &str, id: u32) {
    let signal = format!("kill -{name} {id}");
    assert!(Command::new("sh").args(["-c", &signal]).status().unwrap().success());
}

impl Process {
    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        signal("TERM", self.child.id());
        until("the service to stop", || self.child.try_wait().unwrap())
    }

    /// Waits until it has ended, and says how.
    pub(crate) fn wait(mut self) -> ExitStatus {
        until("the service to end", || self.child.try_wait().unwrap())
    }

    /// Resident memory, bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// All that it and its predecessors have logged.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
