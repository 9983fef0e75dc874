//! An object of a cached place that somebody reads. Not here: how its blocks are read (`reading`).

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::ahead::{Hint, Queue, Reader};
use super::counts::add;
use super::index::{Object, REQUEST_BLOCKS};
use super::local::BLOCK_BYTES;
use super::reading::Reading;
use crate::objects::Source;

/// An open object. What was to be read ahead for it is not read any more once it is dropped.
pub(super) struct Opened {
    reader: Arc<Reader>,
    reading: Arc<Reading>,
    queue: Arc<Queue>,
}

impl Opened {
    pub(super) fn new(object: Arc<Object>, reading: &Arc<Reading>, queue: &Arc<Queue>) -> Opened {
        Opened { reader: Arc::new(Reader { object }), reading: Arc::clone(reading), queue: Arc::clone(queue) }
    }
}

impl Source for Opened {
    fn length(&self) -> io::Result<u64> {
        Ok(self.reader.object.length)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.reading.read_at(&self.reader.object, offset, buffer)
    }

    fn will_read(&self, ranges: &[Range<u64>]) {
        for blocks in requests(ranges, self.reader.object.length) {
            if self.reading.index().is_here(&self.reader.object, blocks.clone()) {
                continue;
            }
            let hint = Hint { reader: Arc::downgrade(&self.reader), blocks };
            if !self.queue.push(hint) {
                add(&self.reading.counters.dropped_ahead, 1);
            }
        }
    }
}

/// The blocks of these ranges, each once where ranges follow each other, as many together as one request reads.
fn requests(ranges: &[Range<u64>], length: u64) -> Vec<Range<u64>> {
    let mut all: Vec<Range<u64>> = Vec::new();
    for range in ranges.iter().map(|range| range.start..range.end.min(length)) {
        if range.is_empty() {
            continue;
        }
        let blocks = range.start / BLOCK_BYTES..range.end.div_ceil(BLOCK_BYTES);
        match all.last_mut() {
            Some(last) if (last.start..=last.end).contains(&blocks.start) => {
                last.end = last.end.max(blocks.end)
            }
            _ => all.push(blocks),
        }
    }
    let cut = |blocks: Range<u64>| {
        let end = blocks.end;
        let starts = blocks.step_by(REQUEST_BLOCKS as usize);
        starts.map(move |start| start..end.min(start + REQUEST_BLOCKS))
    };
    all.into_iter().flat_map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_become_requests_of_adjacent_blocks() {
        const M: u64 = BLOCK_BYTES;
        let of = |ranges: &[Range<u64>]| requests(ranges, 30 * M + 5);
        assert!(of(&[]).is_empty() && of(&[5..5, 40 * M..50 * M]).is_empty());
        assert_eq!(of(&[0..1, 1..M, 10..20]), [0..1]);
        assert_eq!(of(&[0..M, M..2 * M + 1, 4 * M..5 * M]), [0..3, 4..5]);
        assert_eq!(of(&[4 * M..5 * M, 0..M]), [4..5, 0..1], "the order is the reader's");
        assert_eq!(of(&[M - 1..18 * M]), [0..8, 8..16, 16..18]);
        assert_eq!(of(&[29 * M..u64::MAX]), [29..31]);
    }
}
