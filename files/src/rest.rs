//! The bytes of a source in their order, for what reads from a stream.
//!
//! Invariant: it ends where it was told to end, or before, where a source that has become shorter meanwhile ends. What is
//! appended meanwhile is not read. Not here: reading by position (`objects`).

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

use crate::objects::Source;

/// The bytes of a source from one position to another. Reads are not buffered.
pub struct Rest {
    source: Arc<dyn Source>,
    at: u64,
    end: u64,
}

impl Rest {
    /// The bytes from `start` to before `end`.
    pub fn new(source: Arc<dyn Source>, start: u64, end: u64) -> Rest {
        Rest { source, at: start, end }
    }
}

impl Read for Rest {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
            let length = buffer.len().min(left);
            if length == 0 {
                return Ok(0);
            }
            match self.source.read_at(self.at, &mut buffer[..length]) {
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => {
                    let end = self.source.length()?;
                    if end >= self.end {
                        return Err(e);
                    }
                    self.end = end;
                }
                read => {
                    read?;
                    self.at += length as u64;
                    return Ok(length);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Medium as _, Memory, Objects as _};

    #[test]
    fn bytes_are_read_to_the_end_also_to_one_that_has_come_nearer() {
        let memory = Memory::new();
        memory.put("a", b"0123456789").unwrap();
        let rest = |start, end| Rest::new(memory.open("a").unwrap().into(), start, end);
        let read = |mut rest: Rest| {
            let mut bytes = Vec::new();
            rest.read_to_end(&mut bytes).map(|_| bytes)
        };
        assert_eq!(read(rest(2, 7)).unwrap(), b"23456");
        assert!(read(rest(11, 10)).unwrap().is_empty());
        let longer = rest(0, 10);
        memory.edit("a").unwrap().set_length(4).unwrap();
        assert_eq!(read(longer).unwrap(), b"0123");
    }
}
