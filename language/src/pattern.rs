//! What patterns of LIKE and ILIKE match, in no more work than the pattern and the length of the text decide.
//!
//! ```text
//! pattern -> places: what must come one after the other (a byte, a letter in any case, any letter), and gaps (%) between them
//! state n = the first n places have matched, up to here; bit n of 64-bit words
//! for each byte of the text:  states = (states one further, where the byte is what the place wants) | (states that it leaves)
//! ```
//! A byte leaves states in a gap as they are, and those that `_` has led to when it is one of the rest of that letter. All gaps
//! are followed at once, so that a text is read once, whatever it holds: a byte takes the same few operations for each word of
//! states. What cannot match any more, or has matched for good, is read no further.
//!
//! In any case a place is a letter and not a byte, because the cases of a letter can have other lengths. The bytes of a text
//! that is not ASCII are then looked up in links, which lead from the first byte of a letter to its last one; a byte takes one
//! look-up more than in a text that is ASCII, whatever the letters are.
//!
//! Invariants: no more than [`TEXT_WORDS_MAX`] words; meanings are those of DataFusion's LIKE and ILIKE (simple case folding, a
//! backslash takes the meaning of the letter behind it, `_` is one code point), which a test of `shoal-query` compares.
//! Not here: which patterns may be written (`bind`), what they cost (`shoal-query`).

use std::collections::BTreeMap;

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

/// Most words of states: of the longest pattern that may be written.
const TEXT_WORDS_MAX: usize = 5;
/// So many bytes are looked at before it is asked whether more could change anything.
const STRIDE: usize = 16;

/// What has to come next in a text.
enum Place {
    Byte(u8),
    /// One of these letters.
    OneOf(Vec<char>),
    /// Any letter.
    Any,
}

/// A pattern, read.
struct Places {
    places: Vec<Place>,
    /// The states in which a text may go on without a match.
    gaps: Vec<usize>,
}

impl Places {
    fn of(pattern: &str, any_case: bool) -> Places {
        let mut read = Places { places: Vec::new(), gaps: Vec::new() };
        let mut letters = pattern.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '%' => read.gaps.push(read.places.len()),
                '_' => read.places.push(Place::Any),
                '\\' => read.letter(letters.next().unwrap_or('\\'), any_case),
                other => read.letter(other, any_case),
            }
        }
        read
    }

    fn letter(&mut self, letter: char, any_case: bool) {
        match any_case {
            true => self.places.push(Place::OneOf(cases(letter))),
            false => {
                let mut buffer = [0; 4];
                self.places.extend(letter.encode_utf8(&mut buffer).bytes().map(Place::Byte));
            }
        }
    }

    /// How many words the states take.
    fn words(&self) -> usize {
        self.places.len() / 64 + 1
    }
}

/// All letters that are the same as this one when case does not count.
fn cases(letter: char) -> Vec<char> {
    let mut class = ClassUnicode::new([ClassUnicodeRange::new(letter, letter)]);
    if class.try_case_fold_simple().is_err() {
        return vec![letter];
    }
    class.iter().flat_map(|range| range.start()..=range.end()).collect()
}

/// What a byte does to the states.
#[derive(Clone, Copy)]
struct Masks<const WORDS: usize> {
    /// The states that it leads to from those before them.
    step: [u64; WORDS],
    /// The states that it leaves as they are.
    stay: [u64; WORDS],
}

fn set<const WORDS: usize>(words: &mut [u64; WORDS], state: usize) {
    if let Some(word) = words.get_mut(state / 64) {
        *word |= 1 << (state % 64);
    }
}

fn is_rest_of_letter(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// A pattern whose states take so many words.
struct Matcher<const WORDS: usize> {
    /// By byte, for all texts, or in any case for those that are ASCII.
    bytes: Box<[Masks<WORDS>; 256]>,
    /// In any case, for the other texts.
    letters: Option<Letters<WORDS>>,
    /// The state in which everything has matched.
    last: usize,
    /// Whether it stays so, whatever follows.
    is_open: bool,
}

impl<const WORDS: usize> Matcher<WORDS> {
    fn new(read: &Places, any_case: bool) -> Matcher<WORDS> {
        let mut gaps = [0; WORDS];
        read.gaps.iter().for_each(|state| set(&mut gaps, *state));
        let mut bytes = Box::new([Masks { step: [0; WORDS], stay: gaps }; 256]);
        for (masks, byte) in bytes.iter_mut().zip(0..=u8::MAX) {
            for (place, state) in read.places.iter().zip(1..) {
                let is_step = match place {
                    Place::Byte(wanted) => *wanted == byte,
                    Place::OneOf(letters) => byte.is_ascii() && letters.contains(&char::from(byte)),
                    Place::Any => !is_rest_of_letter(byte),
                };
                if is_step {
                    set(&mut masks.step, state);
                } else if matches!(place, Place::Any) {
                    set(&mut masks.stay, state);
                }
            }
        }
        let letters = any_case.then(|| Letters::new(read, gaps));
        let last = read.places.len();
        Matcher { bytes, letters, last, is_open: read.gaps.last() == Some(&last) }
    }

    fn matches(&self, text: &str) -> bool {
        match &self.letters {
            Some(letters) if !text.is_ascii() => {
                let mut at = 0;
                self.reaches_last(text, |byte| letters.next(&mut at, byte))
            }
            _ => self.reaches_last(text, |byte| &self.bytes[usize::from(byte)]),
        }
    }

    #[inline]
    fn reaches_last<'m>(&'m self, text: &str, mut masks: impl FnMut(u8) -> &'m Masks<WORDS>) -> bool {
        let mut states = [0; WORDS];
        states[0] = 1;
        for bytes in text.as_bytes().chunks(STRIDE) {
            for byte in bytes {
                let masks = masks(*byte);
                let mut carried = 0;
                for (word, state) in states.iter_mut().enumerate() {
                    let further = *state << 1 | carried;
                    carried = *state >> 63;
                    *state = (further & masks.step[word]) | (*state & masks.stay[word]);
                }
            }
            if states == [0; WORDS] || (self.is_open && self.has_last(&states)) {
                break;
            }
        }
        self.has_last(&states)
    }

    fn has_last(&self, states: &[u64; WORDS]) -> bool {
        states.get(self.last / 64).is_some_and(|word| word >> (self.last % 64) & 1 == 1)
    }
}

/// Where a byte of a letter leads.
#[derive(Clone, Copy)]
struct Link {
    /// Where the links of the next byte are, less the least byte that can be there.
    next: u32,
    /// Which masks it has: those of its letter for the last one, those that change nothing for the others.
    masks: u32,
}

/// The masks of letters of any length.
///
/// ```text
/// links: 256 of a first byte | 64 of each further one: of letters that the pattern has not, and after each byte of those that it has
/// ```
struct Letters<const WORDS: usize> {
    links: Vec<Link>,
    masks: Vec<Masks<WORDS>>,
}

/// Masks of a byte with which no letter ends, and of a letter that the pattern does not have.
const WITHIN: u32 = 0;
const OTHER: u32 = 1;
/// Bytes that can follow the first one of a letter, and the least of them.
const RESTS: usize = 64;
const REST_MIN: usize = 0x80;

impl<const WORDS: usize> Letters<WORDS> {
    fn new(read: &Places, gaps: [u64; WORDS]) -> Letters<WORDS> {
        let mut any = [0; WORDS];
        let mut own: BTreeMap<char, [u64; WORDS]> = BTreeMap::new();
        for (place, state) in read.places.iter().zip(1..) {
            match place {
                Place::Any => set(&mut any, state),
                Place::OneOf(letters) => {
                    letters.iter().for_each(|letter| set(own.entry(*letter).or_insert([0; WORDS]), state));
                }
                Place::Byte(_) => {}
            }
        }
        let within = Masks { step: [0; WORDS], stay: [u64::MAX; WORDS] };
        let mut made = Letters { links: Vec::new(), masks: vec![within, Masks { step: any, stay: gaps }] };
        let others = made.others();
        for (letter, mut step) in own {
            step.iter_mut().zip(any).for_each(|(word, any)| *word |= any);
            let masks = made.masks.len() as u32;
            made.masks.push(Masks { step, stay: gaps });
            made.link(letter, masks, &others);
        }
        made
    }

    /// Links of letters that the pattern does not have; where those of one, two and three bytes before the end begin.
    fn others(&mut self) -> [u32; 3] {
        let first = Link { next: 0, masks: OTHER };
        self.links = vec![first; 256];
        let one = self.row(&[first; RESTS]);
        let two = self.row(&[Link { next: one, masks: WITHIN }; RESTS]);
        let three = self.row(&[Link { next: two, masks: WITHIN }; RESTS]);
        for (link, byte) in self.links.iter_mut().zip(0..=u8::MAX) {
            let next = match byte {
                0xc0..=0xdf => one,
                0xe0..=0xef => two,
                0xf0..=0xff => three,
                _ => continue,
            };
            *link = Link { next, masks: WITHIN };
        }
        [one, two, three]
    }

    /// Adds the links of one further byte, and says where they begin.
    fn row(&mut self, links: &[Link]) -> u32 {
        let at = self.links.len() - REST_MIN;
        self.links.extend_from_slice(links);
        at as u32
    }

    fn link(&mut self, letter: char, masks: u32, others: &[u32]) {
        let mut buffer = [0; 4];
        let bytes = letter.encode_utf8(&mut buffer).as_bytes();
        let mut at = 0;
        for (byte, left) in bytes.iter().zip((0..bytes.len()).rev()) {
            let link = at + usize::from(*byte);
            if left == 0 {
                self.links[link] = Link { next: 0, masks };
                return;
            }
            if others.contains(&self.links[link].next) {
                let from = self.links[link].next as usize + REST_MIN;
                let copy = self.links[from..from + RESTS].to_vec();
                self.links[link].next = self.row(&copy);
            }
            at = self.links[link].next as usize;
        }
    }

    /// The masks of the next byte of a text.
    #[inline]
    fn next(&self, at: &mut usize, byte: u8) -> &Masks<WORDS> {
        let link = self.links[*at + usize::from(byte)];
        *at = link.next as usize;
        &self.masks[link.masks as usize]
    }
}

/// A pattern of LIKE or ILIKE that texts can be compared with.
pub struct Pattern(Words);

enum Words {
    One(Matcher<1>),
    Two(Matcher<2>),
    Three(Matcher<3>),
    Four(Matcher<4>),
    Five(Matcher<5>),
}

impl Pattern {
    /// `%` is any text, `_` any letter, and a backslash takes the meaning of the one behind it. `None` of one that is longer than
    /// a pattern may be written.
    pub fn new(pattern: &str, any_case: bool) -> Option<Pattern> {
        let read = Places::of(pattern, any_case);
        Some(Pattern(match read.words() {
            1 => Words::One(Matcher::new(&read, any_case)),
            2 => Words::Two(Matcher::new(&read, any_case)),
            3 => Words::Three(Matcher::new(&read, any_case)),
            4 => Words::Four(Matcher::new(&read, any_case)),
            TEXT_WORDS_MAX => Words::Five(Matcher::new(&read, any_case)),
            _ => return None,
        }))
    }

    /// Of how many words of 64 bits each byte of a text changes all: one for each 64 bytes that are neither `%` nor a backslash
    /// that takes a meaning, and one for what is left.
    pub fn words(pattern: &str, any_case: bool) -> usize {
        Places::of(pattern, any_case).words()
    }

    /// Whether it is a match from its first letter to its last.
    pub fn matches(&self, text: &str) -> bool {
        match &self.0 {
            Words::One(matcher) => matcher.matches(text),
            Words::Two(matcher) => matcher.matches(text),
            Words::Three(matcher) => matcher.matches(text),
            Words::Four(matcher) => matcher.matches(text),
            Words::Five(matcher) => matcher.matches(text),
        }
    }
}
