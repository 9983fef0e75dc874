//! Tests of a file of wrapping keys.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::conformance;

const CONTEXT: &[u8] = b"tests of a file of wrapping keys";

fn made(dir: &Path) -> WrappingFile {
    let custody = WrappingFile::new(&dir.join("keys/wrapping"));
    custody.make().unwrap();
    custody
}

#[test]
fn a_file_of_wrapping_keys_keeps_what_a_custody_promises() {
    let dir = tempfile::tempdir().unwrap();
    let custody = made(dir.path());
    conformance::custody(&custody, &mut || assert_eq!(custody.add_version().unwrap(), 2));
    assert_eq!(custody.probe().unwrap().version, "2");
    custody.make().unwrap();
    assert_eq!(custody.probe().unwrap().version, "2", "one that is there is not made again");
    let mode = fs::metadata(&custody.path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}

#[test]
fn a_version_that_is_taken_out_and_another_file_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let custody = made(dir.path());
    let wrapped = custody.wrap(CONTEXT, b"secret").unwrap();
    custody.add_version().unwrap();
    assert_eq!(&**custody.unwrap(CONTEXT, &wrapped).unwrap(), b"secret");
    let text = fs::read_to_string(&custody.path).unwrap();
    let without: Vec<&str> = text.lines().filter(|line| !line.starts_with("1 ")).collect();
    fs::write(&custody.path, without.join("\n")).unwrap();
    let told = custody.unwrap(CONTEXT, &wrapped).err().unwrap();
    assert!(matches!(&told, CustodyError::NoKey { .. }), "{told}");
    let other = WrappingFile::new(&dir.path().join("other"));
    other.make().unwrap();
    let told = other.unwrap(CONTEXT, &wrapped).err().unwrap();
    assert!(matches!(&told, CustodyError::NoKey { .. }) && told.to_string().contains("another id"), "{told}");
}

#[test]
fn what_is_no_such_file_is_refused_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let custody = made(dir.path());
    let good = fs::read_to_string(&custody.path).unwrap();
    let key = good.lines().last().unwrap();
    for case in [
        String::new(),
        good.replace(HEAD, "shoal-wrapping-keys 2"),
        good.replace("id ", "name "),
        good.replace("id ", "id 0"),
        format!("{good}{key}\n"),
        format!("{good}x{}\n", &key[1..]),
        good.replace(key, &key[..40]),
        good.replace(key, &format!("1 {}", "0".repeat(64))),
        good.replace(key, ""),
    ] {
        assert_ne!(case, good);
        fs::write(&custody.path, &case).unwrap();
        let told = custody.wrap(CONTEXT, b"secret").err().unwrap();
        assert!(matches!(told, CustodyError::Unusable { .. }), "{case}");
        assert!(!format!("{told} {told:?}").contains(&key[2..10]));
    }
    fs::write(&custody.path, &good).unwrap();
    fs::set_permissions(&custody.path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(custody.probe().err().unwrap().to_string().contains("chmod 600"));
    fs::remove_file(&custody.path).unwrap();
    assert!(custody.probe().is_err());
}
