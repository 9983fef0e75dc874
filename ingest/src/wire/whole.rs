//! The objects that are whole in a body which as a whole is no JSON: it is cut at its end, broken between its values, or something
//! else follows.
//!
//! ```text
//! [{..}, {..}, {..             the first two       {"batch": [{..}, {..          the first one
//! {..}\n{..}\n{..              the first two
//! ```
//! An object is whole when its brackets close. Whoever reads them knows that others may be missing, so what they refuse counts and what
//! they allow does not. Invariant: each byte is looked at once, whatever it is.
//! Not here: what is wrong inside of an object (`repair.rs`).

/// Where the objects stand.
#[derive(Clone, Copy)]
pub(crate) enum Within {
    /// In a list that is a member of an object.
    Batch,
    /// There, after each other, or in a list. What stands in an object comes before it.
    Anywhere,
}

impl Within {
    /// Which of an object's places it is, behind brackets that are open; none where it is no place of one.
    fn place(self, open: &[u8]) -> Option<usize> {
        match (self, open) {
            (Within::Anywhere, [] | [b'[']) => Some(0),
            (_, [b'{', b'[']) => Some(1),
            _ => None,
        }
    }
}

/// The whole objects of a body, in their order.
pub(crate) fn objects(bytes: &[u8], within: Within) -> Objects<'_> {
    Objects { bytes, within, at: 0, starts: [0; 2], open: Vec::new(), is_text: false }
}

/// Iterator of [`objects`]: there may be millions of them.
pub(crate) struct Objects<'b> {
    bytes: &'b [u8],
    within: Within,
    at: usize,
    /// Where the last object of each place has begun.
    starts: [usize; 2],
    /// The brackets that are open.
    open: Vec<u8>,
    is_text: bool,
}

impl<'b> Iterator for Objects<'b> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<&'b [u8]> {
        while let Some(byte) = self.bytes.get(self.at) {
            let here = self.at;
            self.at += 1;
            match byte {
                b'\\' if self.is_text => self.at += 1,
                b'"' => self.is_text = !self.is_text,
                b'{' | b'[' if !self.is_text => {
                    if let Some(place) = self.within.place(&self.open) {
                        self.starts[place] = here;
                    }
                    self.open.push(*byte);
                }
                b'}' | b']' if !self.is_text => {
                    let opened = self.open.pop();
                    if (opened, *byte) == (Some(b'{'), b'}')
                        && let Some(place) = self.within.place(&self.open)
                    {
                        return Some(&self.bytes[self.starts[place]..=here]);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn found(body: &str, within: Within) -> Vec<&str> {
        objects(body.as_bytes(), within).map(|bytes| std::str::from_utf8(bytes).unwrap()).collect()
    }

    #[test]
    fn the_objects_before_a_cut_are_whole() {
        let list = |body| found(body, Within::Anywhere);
        assert_eq!(list(r#"[{"a":1},{"b":{"c":[{}]}},{"d":"#), [r#"{"a":1}"#, r#"{"b":{"c":[{}]}}"#]);
        assert_eq!(list("{\"a\":1}\n{\"b\":2}\n{\"c\":"), ["{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(list(r#"[{"a":"}{\"]"},x{"b":1}] and more"#), [r#"{"a":"}{\"]"}"#, r#"{"b":1}"#]);
        assert_eq!(list(r#"{"a":{"b":1}"#), Vec::<&str>::new());
        let batch = |body| found(body, Within::Batch);
        assert_eq!(
            batch(r#"{"context":{"x":[{}]},"batch":[{"a":[{}]},{"b":1},{"c"#),
            [r#"{"a":[{}]}"#, r#"{"b":1}"#]
        );
        assert_eq!(batch(r#"[{"a":1}]"#), Vec::<&str>::new());
        assert_eq!(list("}]\\\"{"), Vec::<&str>::new());
        assert_eq!(
            list(r#"{"x":[{"a":1},{"b":{}}],"y":{"c":[{}]}} {"z":[{"d":1},{"e"#),
            [r#"{"a":1}"#, r#"{"b":{}}"#, r#"{"x":[{"a":1},{"b":{}}],"y":{"c":[{}]}}"#, r#"{"d":1}"#]
        );
    }

    proptest! {
        #[test]
        fn every_object_before_a_cut_is_found(texts in proptest::collection::vec(".{0,12}", 1..6), cut in any::<prop::sample::Index>()) {
            let items: Vec<String> = texts.iter().map(|text| serde_json::json!({"a": text, "b": [{}]}).to_string()).collect();
            let body = format!("[{}]", items.join(","));
            let end = cut.index(body.len());
            let mut length = 0;
            let whole = items.iter().take_while(|item| {
                length += 1 + item.len();
                length <= end
            });
            let wanted: Vec<&[u8]> = whole.map(|item| item.as_bytes()).collect();
            prop_assert_eq!(objects(&body.as_bytes()[..end], Within::Anywhere).collect::<Vec<_>>(), wanted);
        }

        #[test]
        fn any_bytes_have_objects(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            objects(&bytes, Within::Anywhere).count();
            objects(&bytes, Within::Batch).count();
        }
    }
}
