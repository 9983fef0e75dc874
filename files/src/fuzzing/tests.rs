//! Every entry gets its corpus and malformed inputs.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::LogFile;

#[test]
fn malformed_sealed_bytes_end_in_no_panic() {
    malformed::check("sealed_object", sealed_object);
    malformed::check("sealed_file", sealed_file);
}

/// `SHOAL_WRITE_SEEDS=1 cargo test -p shoal-files -- seeds_of` writes them anew.
#[test]
fn seeds_of_sealed_bytes_are_read() {
    let sealing = Some(Sealing { key: key(), is_writing: true });
    let text = b"{\"seq\":1} and some more bytes ".repeat(60);
    let memory = Memory::new();
    let objects = Encrypted::new(memory.clone(), sealing).with_chunk_bytes(1024);
    objects.put(NAME, &text).unwrap();
    let object = memory.read(NAME).unwrap();
    assert!(sealed_object(&object) && !sealed_object(&text));
    objects.put(NAME, b"").unwrap();
    let empty = memory.read(NAME).unwrap();
    let file = SealedFile::create(memory.create("file", 0).unwrap(), key()).unwrap();
    file.write_at(0, &text.repeat(3)).unwrap();
    file.sync().unwrap();
    let file = memory.read("file").unwrap();
    assert!(sealed_file(&file));
    if std::env::var_os("SHOAL_WRITE_SEEDS").is_some() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
        for (name, bytes) in [
            ("sealed_object/chunks", &object),
            ("sealed_object/empty", &empty),
            ("sealed_object/bad-clear", &text),
            ("sealed_file/blocks", &file),
        ] {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
}
