//! Tests of the key file: made once, for its owner alone, and refused when it is anything else.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use shoal_schemas::Region;

use super::*;

/// A configuration in which a file is the key file, in the clear.
fn config(path: &Path, data_dir: &Path) -> Config {
    let mut config = Config::embedded(Path::new("/nowhere")).unwrap();
    (config.key_file, config.data_dir) = (path.to_path_buf(), data_dir.to_path_buf());
    config
}

fn open(path: &Path) -> Result<Keyring, KeyError> {
    super::open(&config(path, NO_DATA.as_ref()))
}

fn open_or_create(path: &Path, data_dir: &Path) -> Result<Keyring, KeyError> {
    super::open_or_create(&config(path, data_dir))
}

/// A data directory that nobody has made.
const NO_DATA: &str = "/nowhere/data";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn write_file(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn good_file() -> String {
    let lines: String = Region::ALL.iter().map(|r| format!("{r} {}\n", "5a".repeat(32))).collect();
    format!("shoal-keys 1\n{lines}")
}

/// All keys, as the text that they would be written as.
fn keys(keyring: &Keyring) -> String {
    keyring.to_text().to_string()
}

#[test]
fn is_made_once_for_its_owner_alone_and_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b/shoal.keys");
    let made = open_or_create(&path, NO_DATA.as_ref()).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else stays");
    let text = fs::read(&path).unwrap();
    let read = open_or_create(&path, NO_DATA.as_ref()).unwrap();
    assert!(keys(&made) == keys(&read));
    assert_eq!(fs::read(&path).unwrap(), text);
}

#[test]
fn whoever_only_looks_makes_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/shoal.keys");
    assert!(open(&path).is_err() && !path.parent().unwrap().exists());
    let made = open_or_create(&path, NO_DATA.as_ref()).unwrap();
    assert!(keys(&open(&path).unwrap()) == keys(&made));
}

#[test]
fn two_that_start_at_once_have_the_same_keys() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shoal.keys");
    let all: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| keys(&open_or_create(&path, NO_DATA.as_ref()).unwrap()))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(all.iter().all(|d| *d == all[0]));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("k");
    for bad in [0o640, 0o604, 0o660, 0o644, 0o610] {
        write_file(&path, &good_file(), bad);
        let error = open_or_create(&path, NO_DATA.as_ref()).err().unwrap();
        assert!(matches!(error, KeyError::Mode { mode, .. } if mode == bad));
        assert!(error.to_string().contains("chmod 600"));
    }
    for good in [0o600, 0o400] {
        write_file(&path, &good_file(), good);
        assert!(open_or_create(&path, NO_DATA.as_ref()).is_ok());
    }
}

#[test]
fn what_is_no_key_file_is_refused_untouched_and_never_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("k");
    let good = good_file();
    let secret = "5a5a5a";
    let cases = [
        String::new(),
        "garbage 5a5a5a\n".to_owned(),
        good.replace("shoal-keys 1", "shoal-keys 3"),
        good.replace("shoal-keys 1", "shoal-keys 4"),
        good.replacen("US ", "XX ", 1),
        good.replacen("US ", "DE ", 1),
        good.replacen("US ", "US", 1),
        good.replacen("5a", "5g", 1),
        good.replacen("5a", "", 1),
        good.replacen(&"5a".repeat(32), &"00".repeat(32), 1),
        good.lines().take(3).collect::<Vec<_>>().join("\n"),
        format!("{good}{}", "#".repeat(20_000)),
    ];
    for case in cases {
        assert_ne!(case, good);
        write_file(&path, &case, 0o600);
        let error = open_or_create(&path, NO_DATA.as_ref()).err().unwrap();
        assert!(matches!(error, KeyError::Format { .. }));
        assert!(!format!("{error} {error:?}").contains(secret));
        assert_eq!(fs::read_to_string(&path).unwrap(), case);
    }
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(matches!(open_or_create(&path, NO_DATA.as_ref()), Err(KeyError::Format { .. })));
    assert!(open_or_create(directory.path(), NO_DATA.as_ref()).is_err());
}

#[test]
fn no_key_file_is_made_beside_data() {
    let directory = tempfile::tempdir().unwrap();
    let (path, data_dir) = (directory.path().join("shoal.key"), directory.path().join("data"));
    fs::create_dir_all(data_dir.join("control")).unwrap();
    let made = open_or_create(&path, &data_dir).unwrap();
    fs::create_dir(data_dir.join("de")).unwrap();
    assert!(keys(&open_or_create(&path, &data_dir).unwrap()) == keys(&made));
    fs::remove_file(&path).unwrap();
    let told = open_or_create(&path, &data_dir).err().unwrap().to_string();
    assert!(told.contains("is missing") && told.contains("Put it back from its copy"), "{told}");
    assert!(!path.exists());
}
