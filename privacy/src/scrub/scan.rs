//! One pass over the bytes of a text, which tells what it is made of: patterns that need more are not run.
//!
//! A necessary condition only: whether a pattern matches is for its regular expression to say. The property test
//! `the_scan_hides_nothing` holds the two together.

use regex::Regex;

/// Bits 0 to 15: characters that patterns ask for. The classes below follow.
const ASKED_MAX: usize = 16;
const DIGIT: u32 = 1 << 16;
/// What a written number is made of: digits, and the separators people put between them.
const NUMBER: u32 = 1 << 17;
/// Letters and digits of tokens, base64 and hexadecimal numbers.
const TOKEN: u32 = 1 << 18;
/// Hexadecimal digits and the separators of addresses.
const ADDRESS: u32 = 1 << 19;
/// The separators of addresses alone.
const SEPARATOR: u32 = 1 << 20;
/// A character that can follow a label.
const ASSIGN: u32 = 1 << 21;

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
}

/// What a pattern needs to match at all.
#[derive(Debug, Default)]
pub(super) struct Needs {
    pub(super) any: u32,
    pub(super) digits: u32,
    pub(super) run: u32,
    pub(super) separators: u32,
    pub(super) labelled: bool,
}

impl Needs {
    /// Whether a text with these traits has it.
    pub(super) fn met(&self, traits: &Traits) -> bool {
        (self.any == 0 || traits.seen & self.any != 0)
            && traits.digits >= self.digits
            && traits.run >= self.run
            && traits.separators >= self.separators
            && (traits.labelled || !self.labelled)
    }
}

/// Collects what the patterns ask for.
#[derive(Default)]
pub(super) struct Builder {
    asked: Vec<u8>,
    words: Vec<String>,
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
    pub(super) fn label(&mut self, words: &[String]) {
        self.words.extend_from_slice(words);
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
        self.words.sort();
        self.words.dedup();
        let label = match self.words.is_empty() {
            true => None,
            false => {
                let words = self.words.join("|");
                let gate = format!(r#"(?i-u)(?:{words})[\\"'\])]{{0,3}}[ \t]*(?:[=:#]|%3[ad]|%2[23])"#);
                Some(Regex::new(&gate).map_err(|e| format!("labels: {e}"))?)
            }
        };
        Ok(Scan { classes, label })
    }
}

fn class_of(byte: u8) -> u32 {
    let mut class = 0;
    if byte.is_ascii_digit() {
        class |= DIGIT;
    }
    if byte.is_ascii_digit() || b" .-()/+_,%\t".contains(&byte) || byte >= 0x80 {
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

/// The classes of all bytes, and the labels.
pub(super) struct Scan {
    classes: Box<[u32; 256]>,
    label: Option<Regex>,
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
        traits.labelled =
            traits.seen & ASSIGN != 0 && self.label.as_ref().is_some_and(|label| label.is_match(text));
        traits
    }
}
