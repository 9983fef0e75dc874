//! `shoal worker`: says that it is ready, ends with its input, and is not for people.

use std::io::Read;
use std::process::{Command, Stdio};

use shoal_postprocess::WorkerLimits;

fn command(limits: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shoal"));
    command.args(["worker", limits]).env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_worker_is_ready_at_once_and_ends_with_its_input() {
    let limits = serde_json::to_string(&WorkerLimits::default()).unwrap();
    let mut child = command(&limits).stdin(Stdio::piped()).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut length = [0; 4];
    output.read_exact(&mut length).unwrap();
    let mut frame = vec![0; u32::from_le_bytes(length) as usize];
    output.read_exact(&mut frame).unwrap();
    assert!(String::from_utf8_lossy(&frame).contains(r#"{"Ready":{"landlock":""#));
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "it says nothing that was not asked");
}

#[test]
fn a_worker_without_limits_does_not_run_and_help_does_not_name_it() {
    let output = command("{}").stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let help = Command::new(env!("CARGO_BIN_EXE_shoal")).arg("--help").output().unwrap();
    assert!(!String::from_utf8_lossy(&help.stdout).contains("worker"));
}
