//! The receipts of a region: their chain in one place, and what opens them in another.
//!
//! ```text
//! write: closed act -> parts and openings put -> the line appended -> answered        one at a time
//!
//! <chain>/00000000000000000001.jsonl            signed lines (`segments.rs`), for ever
//! <openings>/00000000000000000007/openings.json what opens line 7: name -> salt and value
//! <openings>/00000000000000000007/part-00001.json   a part of the list of removed files, with its proofs
//! ```
//! Openings are put before the line. A crash between the two leaves openings of a line that is not there, which the next act of this number writes
//! over; it never leaves a line without its openings. After an error nobody knows what is there, so the next call reads the chain anew.
//!
//! Invariants: a kind of act and a request have one line, however often it is written; a document is handed out only when it verifies; what
//! was forgotten leaves the chain as it is. One process writes: another one is noticed, and both go on, but for the shortest of moments it could take
//! the other's line away, so the caller holds the lock of the data directory.
//! Not here: keys and encryption, which are the caller's: a place may be an encrypted one.

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::value::RawValue;
use shoal_files::Objects;
use uuid::Uuid;

use crate::act::{Act, ActKind, is_region};
use crate::closed::Closed;
use crate::commitment::Opening;
use crate::document::{DOCUMENT_BYTES_MAX, Document, Verified, verify_document};
use crate::entry::{Place, hash_of, sign};
use crate::error::{ReceiptError, Result};
use crate::key::{PublicKey, Signer};
use crate::segments::{Segments, damaged, io_of};
use crate::verify::ChainEnd;

const DIGITS: usize = 20;
const OPENINGS: &str = "openings.json";

/// Which receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptId {
    /// The number of its line.
    pub seq: u64,
    /// What was done.
    pub act: ActKind,
    /// The number of the request.
    pub request: Uuid,
}

/// A document to hand out. No `Debug`: it may have counts of one person.
pub struct Receipt {
    text: String,
    /// What it says.
    pub verified: Verified,
}

impl Receipt {
    /// Its text, one line of JSON without an end of line.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The chain as it was read or written last.
struct Chain {
    segments: Segments,
    end: ChainEnd,
    numbers: HashMap<(ActKind, Uuid), u64>,
    /// When each act was, by number less one.
    at_ms: Vec<i64>,
}

struct State {
    /// None when nobody knows what is there.
    chain: Option<Chain>,
    /// What was there for sure.
    seen: ChainEnd,
}

/// The receipts of a region. Every call blocks.
pub struct Receipts {
    chain: Arc<dyn Objects>,
    openings: Arc<dyn Objects>,
    signer: Signer,
    region: String,
    state: Mutex<State>,
}

fn folder(seq: u64) -> String {
    format!("{seq:0DIGITS$}")
}

fn part_name(seq: u64, part: u64) -> String {
    format!("{}/part-{part:05}.json", folder(seq))
}

impl Receipts {
    /// Opens the receipts of a region, or begins them. The places are this region's alone.
    ///
    /// # Errors
    /// [`ReceiptError::Damaged`] with object and line when lines are not as they were written, and when there are openings of lines that are missing at the
    /// end of the chain.
    pub fn open(
        chain: Arc<dyn Objects>,
        openings: Arc<dyn Objects>,
        signer: Signer,
        region: &str,
    ) -> Result<Receipts> {
        if !is_region(region) {
            return Err(ReceiptError::Act("the region is no word of lower-case letters, digits and hyphens"));
        }
        let state = Mutex::new(State { chain: None, seen: ChainEnd::FIRST });
        let receipts = Receipts { chain, openings, signer, region: region.to_owned(), state };
        let count = receipts.current(&mut receipts.hold())?.end.count;
        // A crash leaves openings of the next line at the most.
        if receipts.opened()?.into_iter().any(|(seq, _)| seq > count + 1) {
            return Err(damaged(receipts.chain.as_ref(), "", 0, "lines at the end of the chain are missing"));
        }
        Ok(receipts)
    }

    /// What anyone verifies with.
    pub fn public_key(&self) -> PublicKey {
        self.signer.public_key()
    }

    /// How many lines there are, and the hash of the last one: what a later look at the chain is compared with.
    ///
    /// # Errors
    /// As [`Receipts::open`].
    pub fn end(&self) -> Result<ChainEnd> {
        Ok(self.current(&mut self.hold())?.end)
    }

    /// Writes the receipt of an act, durably. When there is one of this kind and request, it is that one, and nothing is written.
    ///
    /// # Errors
    /// [`ReceiptError::Act`] when the act is out of bounds or its files are not what it says; then nothing was written. After any other error it may be
    /// written, and the same call may be repeated.
    pub fn write(&self, act: &Act) -> Result<ReceiptId> {
        let mut state = self.hold();
        let chain = self.current(&mut state)?;
        if let Some(seq) = chain.numbers.get(&(act.kind, act.request)) {
            return Ok(ReceiptId { seq: *seq, act: act.kind, request: act.request });
        }
        act.check()?;
        let closed = Closed::of(act)?;
        let place = Place { seq: chain.end.count + 1, prev: chain.end.hash, region: &self.region };
        let line = sign(act, closed.commitments(), &place, &self.signer)?;
        let seq = place.seq;
        self.put_openings(seq, &closed)?;
        // From here on nobody knows what is there until the line is appended.
        let Some(mut chain) = state.chain.take() else {
            return Err(damaged(self.chain.as_ref(), "", 0, "the chain was not read"));
        };
        chain.segments.append(seq, &line)?;
        chain.end = ChainEnd { count: seq, hash: hash_of(&line) };
        chain.numbers.insert((act.kind, act.request), seq);
        chain.at_ms.push(act.at_ms);
        state.seen = chain.end;
        state.chain = Some(chain);
        Ok(ReceiptId { seq, act: act.kind, request: act.request })
    }

    /// The receipts of a request, in the order of their kinds.
    ///
    /// # Errors
    /// As [`Receipts::open`].
    pub fn of_request(&self, request: Uuid) -> Result<Vec<ReceiptId>> {
        let mut state = self.hold();
        let numbers = &self.current(&mut state)?.numbers;
        let id = |act: ActKind| numbers.get(&(act, request)).map(|seq| ReceiptId { seq: *seq, act, request });
        Ok(ActKind::ALL.into_iter().filter_map(id).collect())
    }

    /// The full receipt, for officers and auditors: with every opening, and this part, from 1, of the list of removed files. `None` when its openings
    /// were forgotten, or when there is no such part.
    ///
    /// # Errors
    /// [`ReceiptError::Damaged`] when it does not verify.
    pub fn full(&self, id: &ReceiptId, part: u64) -> Result<Option<Receipt>> {
        let name = part_name(id.seq, part);
        let (Some(openings), Some(text)) = (self.openings_of(id.seq)?, self.read(&name)?) else {
            return Ok(None);
        };
        let place = self.openings.as_ref();
        let text = RawValue::from_string(text).map_err(|_| damaged(place, &name, 1, "it is no JSON"))?;
        self.handed_out(id, |line| Document::full(line, openings, (part, text)))
    }

    /// The person's receipt, which opens only what concerns the act. `None` when its openings were forgotten.
    ///
    /// # Errors
    /// [`ReceiptError::Damaged`] when it does not verify.
    pub fn personal(&self, id: &ReceiptId) -> Result<Option<Receipt>> {
        let Some(openings) = self.openings_of(id.seq)? else { return Ok(None) };
        self.handed_out(id, |line| Document::personal(line, openings))
    }

    /// Removes what opens receipts of acts before this time, and what a crash has left; the chain stays as it is. Answers how many receipts
    /// cannot be opened any more.
    ///
    /// # Errors
    /// When something could not be removed. It can be repeated.
    pub fn forget(&self, before_ms: i64) -> Result<u64> {
        let mut state = self.hold();
        let at_ms = &self.current(&mut state)?.at_ms;
        let index = |seq: u64| seq.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        let at = |seq: u64| index(seq).and_then(|index| at_ms.get(index));
        let mut names = self.opened()?;
        names.retain(|(seq, _)| at(*seq).is_none_or(|at| *at < before_ms));
        let of_receipts = names.iter().filter(|(seq, name)| at(*seq).is_some() && name.ends_with(OPENINGS));
        let forgotten = of_receipts.count() as u64;
        let names: Vec<&str> = names.iter().map(|(_, name)| name.as_str()).collect();
        self.openings.remove(&names).map_err(io_of(self.openings.as_ref(), ""))?;
        Ok(forgotten)
    }

    /// Whether the receipt of an act is surely written. Looks at no file, so another process may have written it when it is not.
    pub fn is_written(&self, act: ActKind, request: Uuid) -> bool {
        self.hold().chain.as_ref().is_some_and(|chain| chain.numbers.contains_key(&(act, request)))
    }

    #[cfg(test)]
    pub(crate) fn export(&self, to: &mut dyn std::io::Write) -> Result<()> {
        crate::export_chain(self.chain.as_ref(), to)
    }

    /// A panic elsewhere leaves no chain, or one as it was read.
    fn hold(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chain as it is now, which is read when this process does not know it.
    fn current<'s>(&self, state: &'s mut State) -> Result<&'s mut Chain> {
        let known = match state.chain.take() {
            Some(chain) if chain.segments.is_current(chain.end.count + 1)? => chain,
            _ => self.read_chain(&state.seen)?,
        };
        state.seen = known.end;
        Ok(state.chain.insert(known))
    }

    fn read_chain(&self, seen: &ChainEnd) -> Result<Chain> {
        let (mut numbers, mut at_ms, mut repeated) = (HashMap::new(), Vec::new(), false);
        let mut is_there = *seen == ChainEnd::FIRST;
        let objects = Arc::clone(&self.chain);
        let (segments, follower) = Segments::read(objects, self.signer.known(), &mut |line, hash| {
            let entry = &line.entry;
            is_there |= (entry.seq, *hash) == (seen.count, seen.hash);
            repeated |= numbers.insert((entry.act, entry.request), entry.seq).is_some();
            at_ms.push(entry.at_ms);
        })?;
        let fault = |reason: &str| damaged(self.chain.as_ref(), "", 0, reason);
        if follower.region().is_some_and(|region| region != self.region) {
            return Err(fault("the chain is that of another region"));
        }
        if repeated {
            return Err(fault("an act of one request has two lines"));
        }
        if !is_there {
            return Err(fault("the lines that this process has written are not there any more"));
        }
        Ok(Chain { segments, end: follower.end, numbers, at_ms })
    }

    fn put_openings(&self, seq: u64, closed: &Closed) -> Result<()> {
        let place = self.openings.as_ref();
        let text = serde_json::to_string(&closed.openings);
        let text = text.map_err(|_| ReceiptError::Act("it has no form in JSON"))?;
        // The document has the openings as they are, and the line in quotes.
        let most = closed.parts.iter().map(String::len).max().unwrap_or(0);
        if text.len() + most + (1 << 20) > DOCUMENT_BYTES_MAX {
            return Err(ReceiptError::Act("its document would be too large"));
        }
        for (part, number) in closed.parts.iter().zip(1..) {
            let name = part_name(seq, number);
            place.put(&name, part.as_bytes()).map_err(io_of(place, &name))?;
        }
        let name = format!("{}/{OPENINGS}", folder(seq));
        place.put(&name, text.as_bytes()).map_err(io_of(place, &name))
    }

    fn openings_of(&self, seq: u64) -> Result<Option<BTreeMap<String, Opening>>> {
        let name = format!("{}/{OPENINGS}", folder(seq));
        let Some(text) = self.read(&name)? else { return Ok(None) };
        let openings = serde_json::from_str(&text);
        openings
            .map(Some)
            .map_err(|_| damaged(self.openings.as_ref(), &name, 1, "the openings cannot be read"))
    }

    /// An object of the openings; none when it is not there.
    fn read(&self, name: &str) -> Result<Option<String>> {
        let place = self.openings.as_ref();
        match place.read(name) {
            Ok(bytes) => {
                String::from_utf8(bytes).map(Some).map_err(|_| damaged(place, name, 1, "it is no text"))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_of(place, name)(error)),
        }
    }

    /// The objects of all openings, with the numbers of their lines.
    fn opened(&self) -> Result<Vec<(u64, String)>> {
        let place = self.openings.as_ref();
        let listed = place.list("").map_err(io_of(place, ""))?;
        let of_line = |name: String| Some((name.split_once('/')?.0.parse().ok()?, name));
        Ok(listed.into_iter().filter_map(|entry| of_line(entry.name)).collect())
    }

    fn handed_out(&self, id: &ReceiptId, document: impl FnOnce(&str) -> Document) -> Result<Option<Receipt>> {
        let line = self.current(&mut self.hold())?.segments.line(id.seq)?;
        let name = format!("{}/{OPENINGS}", folder(id.seq));
        let fault = |reason: String| damaged(self.openings.as_ref(), &name, 1, reason);
        let text = document(&line).text().ok_or_else(|| fault("it has no form in JSON".to_owned()))?;
        let verified = verify_document(text.as_bytes(), self.signer.known());
        let verified = verified.map_err(|fault_found| fault(fault_found.reason))?;
        if (verified.act, verified.request) != (id.act, id.request) {
            return Err(fault("the line is that of another act".to_owned()));
        }
        Ok(Some(Receipt { text, verified }))
    }
}
