//! Readers while somebody writes, to a file whose writes can be seen half done.

use std::sync::atomic::AtomicBool;

use super::*;

/// A file that is written a sector at a time, while others read.
struct Piecemeal(Box<dyn LogFile>);

impl Source for Piecemeal {
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buffer)
    }
}

impl LogFile for Piecemeal {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        (offset..).step_by(512).zip(bytes.chunks(512)).try_for_each(|(at, sector)| {
            std::thread::yield_now();
            self.0.write_at(at, sector)
        })
    }

    fn set_length(&self, bytes: u64) -> io::Result<()> {
        self.0.set_length(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

#[test]
fn a_block_is_never_read_while_it_is_written() {
    let memory = Memory::new();
    drop(numbered(&memory, 24));
    let file = SealedFile::open(Box::new(Piecemeal(memory.edit(NAME).unwrap())), key(1)).unwrap();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..3 {
            let (file, is_done) = (&file, &is_done);
            scope.spawn(move || {
                let mut round = reader;
                while !is_done.load(Ordering::Acquire) {
                    round += 1;
                    let mut bytes = vec![0; 8 * BLOCK_BYTES];
                    file.read_at(round % 16 * BLOCK, &mut bytes).unwrap();
                    for block in bytes.chunks(BLOCK_BYTES) {
                        assert!(block.iter().all(|byte| *byte == block[0]));
                    }
                }
            });
        }
        scope.spawn(|| {
            for round in 0..60_u8 {
                let (at, bytes) = (u64::from(round % 20) * BLOCK, vec![round; 4 * BLOCK_BYTES]);
                file.write_at(at, &bytes).unwrap();
                file.sync().unwrap();
                file.set_length((24 + u64::from(round % 2)) * BLOCK).unwrap();
            }
            is_done.store(true, Ordering::Release);
        });
    });
}
