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
    /// After each other, or in a list.
    List,
    /// In a list that is a member of an object.
    Batch,
}

impl Within {
    fn is_there(self, open: &[u8]) -> bool {
        match self {
            Within::List => matches!(open, [] | [b'[']),
            Within::Batch => matches!(open, [b'{', b'[']),
        }
    }
}

/// The whole objects of a body, in their order.
pub(crate) fn objects(bytes: &[u8], within: Within) -> Objects<'_> {
    Objects { bytes, within, at: 0, open: Vec::new() }
}

/// Iterator of [`objects`]: there may be millions of them.
pub(crate) struct Objects<'b> {
    bytes: &'b [u8],
    within: Within,
    at: usize,
    /// The brackets that are open.
    open: Vec<u8>,
}

impl<'b> Iterator for Objects<'b> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<&'b [u8]> {
        let (mut start, mut is_text) = (self.at, false);
        while let Some(byte) = self.bytes.get(self.at) {
            let here = self.at;
            self.at += 1;
            match byte {
                b'\\' if is_text => self.at += 1,
                b'"' => is_text = !is_text,
                b'{' | b'[' if !is_text => {
                    if self.within.is_there(&self.open) {
                        start = here;
                    }
                    self.open.push(*byte);
                }
                b'}' | b']' if !is_text => {
                    let opened = self.open.pop();
                    if (opened, *byte) == (Some(b'{'), b'}') && self.within.is_there(&self.open) {
                        return Some(&self.bytes[start..=here]);
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
        let list = |body| found(body, Within::List);
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
            prop_assert_eq!(objects(&body.as_bytes()[..end], Within::List).collect::<Vec<_>>(), wanted);
        }

        #[test]
        fn any_bytes_have_objects(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            objects(&bytes, Within::List).count();
            objects(&bytes, Within::Batch).count();
        }
    }
}
