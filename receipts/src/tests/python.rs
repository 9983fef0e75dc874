//! The verifier in Python, which was written from `docs/receipts.md`, accepts and refuses the same as the one here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{act, begun, key, policy};
use crate::{Act, Receipts, Signer};

fn verifier() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/verify_receipt.py")
}

fn python(arguments: &[&str]) -> Output {
    let python = std::env::var("SHOAL_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    Command::new(python).args(["-B"]).args(arguments).output().unwrap()
}

fn verify(key: &str, files: &[&Path]) -> Output {
    let verifier = verifier();
    let files = files.iter().map(|file| file.to_str().unwrap());
    let arguments: Vec<&str> = [verifier.to_str().unwrap(), key].into_iter().chain(files).collect();
    python(&arguments)
}

/// The files of a chain, of a full receipt and of a person's.
fn written(receipts: &Receipts, dir: &Path) -> [PathBuf; 3] {
    let id = receipts.write(&act(1)).unwrap();
    receipts.write(&policy(2)).unwrap();
    let files = ["chain.jsonl", "full.json", "personal.json"].map(|name| dir.join(name));
    receipts.export(&mut std::fs::File::create(&files[0]).unwrap()).unwrap();
    std::fs::write(&files[1], receipts.full(&id, 1).unwrap().unwrap().text()).unwrap();
    std::fs::write(&files[2], receipts.personal(&id).unwrap().unwrap().text()).unwrap();
    files
}

#[test]
fn python_accepts_what_is_good_and_tells_what_it_says() {
    let (_, _, receipts) = begun();
    let dir = tempfile::tempdir().unwrap();
    let files = written(&receipts, dir.path());
    let key = key().to_string();
    let found = verify(&key, &files.each_ref().map(PathBuf::as_path));
    assert!(found.status.success(), "{found:?}");
    let said = String::from_utf8(found.stdout).unwrap();
    let end = receipts.end().unwrap();
    assert!(
        said.contains(&format!("chain of {} receipts of de, the last with the hash {}", end.count, end.hash))
    );
    assert!(
        said.contains("full receipt")
            && said.contains("personal receipt")
            && said.contains("count.rows: 4711")
    );
    assert!(said.contains("part 1 of 1: 2 files were there before and are not there after"), "{said}");
    // A receipt of another chain, though signed with the same key, and the same receipt with another key.
    let (_, _, other) = begun();
    let elsewhere = tempfile::tempdir().unwrap();
    let others = written(&other, elsewhere.path());
    for (key, files) in [
        (&key, [&files[0], &others[1]]),
        (&Signer::from_seed([8; 32]).public_key().to_string(), [&files[1], &files[2]]),
    ] {
        let refused = verify(key, &files.map(PathBuf::as_path));
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("NOT VERIFIED"), "{refused:?}");
    }
}

/// All in one process. What a flip leaves of the signed bytes as they were is verified once; a small receipt is flipped in every byte, and
/// of the signed bytes of the others every 16th.
#[test]
fn python_finds_a_flipped_bit_of_every_byte() {
    const FLIPS: &str = r#"
import functools, importlib.util, sys
spec = importlib.util.spec_from_file_location('verify_receipt', sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.is_signed = functools.lru_cache(None)(module.is_signed)
module.point = functools.lru_cache(None)(module.point)
key, flips = bytes.fromhex(sys.argv[2]), 0
for name in sys.argv[3:]:
    good = open(name, 'rb').read()
    is_chain, step = name.endswith('.jsonl'), 1 if 'small' in name else 16
    check = module.check_chain if is_chain else module.check_document
    signed = range(len(good)) if is_chain else range(good.index(b'"entry"'), good.index(b'"openings"'))
    check(good.decode(), key, [])
    for at in range(len(good)):
        bad = good[:at] + bytes([good[at] ^ 1 << at % 8]) + good[at + 1:]
        if at in signed and at % step:
            continue
        try:
            check(bad.decode(), key, [])
        except Exception:
            flips += 1
        else:
            sys.exit(f'{name}: a flip of byte {at} is not found')
print(flips)
"#;
    let (_, _, receipts) = begun();
    let dir = tempfile::tempdir().unwrap();
    let small = Act { told: BTreeMap::new(), kept: BTreeMap::new(), counts: BTreeMap::new(), ..policy(3) };
    let small = receipts.write(&small).unwrap();
    let files = written(&receipts, dir.path());
    let small_files = ["small-full.json", "small-personal.json"].map(|name| dir.path().join(name));
    std::fs::write(&small_files[0], receipts.full(&small, 1).unwrap().unwrap().text()).unwrap();
    std::fs::write(&small_files[1], receipts.personal(&small).unwrap().unwrap().text()).unwrap();
    let bytes = |file: &PathBuf| std::fs::metadata(file).unwrap().len();
    let of_small: u64 = small_files.iter().map(bytes).sum();
    let (verifier, key) = (verifier(), key().to_string());
    let files = files.iter().chain(&small_files).map(|file| file.to_str().unwrap());
    let arguments: Vec<&str> =
        ["-c", FLIPS, verifier.to_str().unwrap(), &key].into_iter().chain(files).collect();
    let found = python(&arguments);
    assert!(found.status.success(), "{found:?}");
    let flips: u64 = String::from_utf8(found.stdout).unwrap().trim().parse().unwrap();
    assert!(flips > of_small + 1000, "{flips} flips, {of_small} of them of the small ones");
}

#[test]
fn the_verifier_in_python_is_short_enough_to_be_read() {
    let text = std::fs::read_to_string(verifier()).unwrap();
    assert!(text.lines().count() <= 100 && text.lines().all(|line| line.len() <= 130));
    let imports: Vec<&str> = text.lines().filter(|line| line.starts_with("import ")).collect();
    assert_eq!(imports, ["import bisect, hashlib, json, re, sys"], "the standard library alone");
}
