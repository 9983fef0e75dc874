//! Lists `defs/` for `src/load/read.rs`, so that a new definition is one new file and nothing else.

use std::{collections::BTreeMap, env, error::Error, fmt::Write, fs, path::Path, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("defs");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = BTreeMap::new();
    add(&root, "", &mut files)?;
    let mut list = String::from("[\n");
    for (name, path) in files {
        let path = path.to_str().ok_or("a path is not UTF-8")?;
        writeln!(list, "({name:?}, include_str!({path:?})),")?;
    }
    list.push(']');
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("definitions.rs"), list)?;
    Ok(())
}

/// Adds the `.toml` files of a directory and of those below it, under their names relative to `defs/`.
fn add(dir: &Path, before: &str, files: &mut BTreeMap<String, PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).ok_or("a file name is not UTF-8")?;
        let shown = format!("{before}{name}");
        if path.is_dir() {
            add(&path, &format!("{shown}/"), files)?;
        } else if path.extension().is_some_and(|e| e == "toml") {
            files.insert(shown, path);
        }
    }
    Ok(())
}
