//! One pass over the bytes of a text, which tells what it is made of: patterns that need more are not run.
//!
//! A necessary condition only: whether a pattern matches is for its regular expression to say. The property test
//! `the_scan_hides_nothing` holds the two together.

use regex::bytes::Regex;

/// Bits 0 to 23: characters that patterns ask for. The classes below follow.
const ASKED_MAX: usize = 24;
const DIGIT: u32 = 1 << 24;
/// What a written number is made of: digits, and the separators people put between them, also as `%20` and `%2D`.
const NUMBER: u32 = 1 << 25;
/// Letters and digits of tokens, base64 and hexadecimal numbers.
const TOKEN: u32 = 1 << 26;
/// Hexadecimal digits and the separators of addresses.
const ADDRESS: u32 = 1 << 27;
/// The separators of addresses alone.
const SEPARATOR: u32 = 1 << 28;
/// A character that can follow a label.
const ASSIGN: u32 = 1 << 29;

/// What is before a word that stands alone: an escape, too, as the edges of patterns have it.
const ALONE: &str = r"^|[^a-z0-9]|%[0-9a-f]{2}|\\[nrtbf0]|\\x[0-9a-f]{2}|\\u[0-9a-f]{4}";

/// What a text is made of.
#[derive(Debug, Default)]
pub(super) struct Traits {
    /// Which of the asked characters are there, one bit each.
    seen: u32,
    /// Most digits in one written number, separators included (`+1 (415) 555-2671` has 11).
    digits: u32,
    /// Longest run of token characters, in bytes.
    run: u32,
    /// Most separators within one run of hexadecimal digits and `:` `.` `-` `%`.
    separators: u32,
    /// Whether a label that some pattern asks for is followed by `=`, `:` or `#`.
    labelled: bool,
    /// Whether a word that some pattern asks for stands alone, or with digits behind it.
    worded: bool,
    /// Whether it has signs that some pattern asks for.
    marked: bool,
}

/// What a pattern needs to match at all.
#[derive(Debug, Default)]
pub(super) struct Needs {
    pub(super) any: u32,
    pub(super) digits: u32,
    pub(super) run: u32,
    pub(super) separators: u32,
    pub(super) labelled: bool,
    pub(super) worded: bool,
    pub(super) marked: bool,
}

impl Needs {
    /// Whether a text with these traits has it.
    pub(super) fn met(&self, traits: &Traits) -> bool {
        (self.any == 0 || traits.seen & self.any != 0)
            && traits.digits >= self.digits
            && traits.run >= self.run
            && traits.separators >= self.separators
            && (traits.labelled || !self.labelled)
            && (traits.worded || !self.worded)
            && (traits.marked || !self.marked)
    }
}

/// Collects what the patterns ask for.
#[derive(Default)]
pub(super) struct Builder {
    asked: Vec<u8>,
    labels: Vec<String>,
    words: Vec<String>,
    marks: Vec<String>,
}

impl Builder {
    /// The bits of these characters. `\u{80}` stands for everything that is not ASCII.
    pub(super) fn ask(&mut self, characters: &str) -> Result<u32, String> {
        let mut bits = 0;
        for character in characters.chars() {
            let byte = u8::try_from(u32::from(character))
                .ok()
                .filter(|b| *b <= 0x80)
                .ok_or("`any` takes ASCII characters and \\u0080 only")?;
            let at = match self.asked.iter().position(|b| *b == byte) {
                Some(at) => at,
                None => {
                    self.asked.push(byte);
                    self.asked.len() - 1
                }
            };
            if at >= ASKED_MAX {
                return Err(format!("patterns ask for more than {ASKED_MAX} characters"));
            }
            bits |= 1 << at;
        }
        Ok(bits)
    }

    /// Adds labels, in the syntax of regular expressions.
    pub(super) fn label(&mut self, labels: &[String]) {
        self.labels.extend_from_slice(labels);
    }

    /// Adds words that stand alone, in the syntax of regular expressions.
    pub(super) fn word(&mut self, words: &[String]) {
        self.words.extend_from_slice(words);
    }

    /// Adds signs, in the syntax of regular expressions.
    pub(super) fn mark(&mut self, marks: &[String]) {
        self.marks.extend_from_slice(marks);
    }

    pub(super) fn build(mut self) -> Result<Scan, String> {
        let mut classes = Box::new([0u32; 256]);
        for (byte, class) in (0..=u8::MAX).zip(classes.iter_mut()) {
            *class = class_of(byte);
            for (at, asked) in self.asked.iter().enumerate() {
                if byte == *asked || (*asked == 0x80 && byte >= 0x80) {
                    *class |= 1 << at;
                }
            }
        }
        let labels = one_of(
            &mut self.labels,
            r#"(?i-u)(?:"#,
            r#")[\\"'\[\])]{0,3}[ \t]*(?:[=:#]|%3[ad]|%2[237]|%5b%5d)"#,
        )?;
        let words = one_of(&mut self.words, &format!("(?i-u)(?:{ALONE})(?:"), ")(?:[^a-z]|$)")?;
        let marks = one_of(&mut self.marks, "(?i-u)(?:", ")")?;
        Ok(Scan { classes, labels, words, marks })
    }
}

/// A regular expression for any of these between the two texts; none when there are none.
fn one_of(of: &mut Vec<String>, before: &str, after: &str) -> Result<Option<Regex>, String> {
    of.sort();
    of.dedup();
    match of.is_empty() {
        true => Ok(None),
        false => {
            let gate = Regex::new(&format!("{before}{}{after}", of.join("|")));
            gate.map(Some).map_err(|e| format!("labels and words: {e}"))
        }
    }
}

fn class_of(byte: u8) -> u32 {
    let mut class = 0;
    if byte.is_ascii_digit() {
        class |= DIGIT;
    }
    if byte.is_ascii_digit() || b" .-()/+_,%\tDd".contains(&byte) || byte >= 0x80 {
        class |= NUMBER;
    }
    if byte.is_ascii_alphanumeric() || b"+/_=-".contains(&byte) {
        class |= TOKEN;
    }
    if b":.-%".contains(&byte) {
        class |= SEPARATOR | ADDRESS;
    }
    if byte.is_ascii_hexdigit() {
        class |= ADDRESS;
    }
    if b"=:#%".contains(&byte) {
        class |= ASSIGN;
    }
    class
}

/// The classes of all bytes, the labels and the words.
pub(super) struct Scan {
    classes: Box<[u32; 256]>,
    labels: Option<Regex>,
    words: Option<Regex>,
    marks: Option<Regex>,
}

impl Scan {
    /// What a text is made of.
    pub(super) fn traits(&self, text: &str) -> Traits {
        let mut traits = Traits::default();
        let (mut digits, mut run, mut separators) = (0, 0, 0);
        for byte in text.bytes() {
            let class = self.classes[usize::from(byte)];
            traits.seen |= class;
            digits = if class & NUMBER == 0 { 0 } else { digits + u32::from(class & DIGIT != 0) };
            run = if class & TOKEN == 0 { 0 } else { run + 1 };
            separators = match class & ADDRESS {
                0 => 0,
                _ => separators + u32::from(class & SEPARATOR != 0),
            };
            traits.digits = traits.digits.max(digits);
            traits.run = traits.run.max(run);
            traits.separators = traits.separators.max(separators);
        }
        let holds = |gate: &Option<Regex>| gate.as_ref().is_some_and(|gate| gate.is_match(text.as_bytes()));
        traits.labelled = traits.seen & ASSIGN != 0 && holds(&self.labels);
        traits.worded = holds(&self.words);
        traits.marked = holds(&self.marks);
        traits
    }
}
