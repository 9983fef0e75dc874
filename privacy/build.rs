//! Lists `patterns/*.toml` for `src/scrub/pattern.rs`, so that a new pattern is one new file and nothing else.

use std::{env, error::Error, fmt::Write, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("patterns");
    println!("cargo::rerun-if-changed={}", directory.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(&directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            files.push(path);
        }
    }
    files.sort();
    let mut list = String::from("[\n");
    for path in files {
        let name = path.file_name().and_then(|n| n.to_str()).ok_or("a file name is not UTF-8")?;
        let path = path.to_str().ok_or("a path is not UTF-8")?;
        writeln!(list, "({name:?}, include_str!({path:?})),")?;
    }
    list.push(']');
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("patterns.rs"), list)?;
    Ok(())
}
