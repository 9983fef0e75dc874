//! Where the objects are: a bucket and what all keys in it begin with.
//!
//! ```text
//! s3://bucket/prefix   name a/b  ->  key prefix/a/b
//! ```
//! Invariants: a checked name has exactly one key, and a key that is listed has exactly one name. No error here says more of a URL
//! than what is wrong with it: people put credentials there. Not here: the endpoint (`settings`).

use std::io::{self, ErrorKind};

use object_store::path::Path;

use crate::name;

/// The longest key that S3 takes, in bytes.
const KEY_BYTES_MAX: usize = 1_024;

/// A bucket, and a folder in it: `""` is all of it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) bucket: String,
    prefix: String,
}

impl Place {
    /// Reads `s3://bucket` or `s3://bucket/prefix`.
    pub(super) fn parse(url: &str) -> io::Result<Place> {
        let rest = url.strip_prefix("s3://").ok_or_else(|| refused("must begin with `s3://`"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_bucket = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(is_bucket) {
            return Err(refused(
                "must name a bucket of 3 to 63 letters, digits, `-`, `.` or `_` after `s3://`",
            ));
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let is_plain =
            |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '%' | '?' | '#' | '\\');
        if name::check_folder(prefix).is_err() || !prefix.chars().all(is_plain) {
            return Err(refused(
                "must have a prefix of segments that are not empty, `.` or `..`, without `%`, `?`, `#`, `\\` or spaces",
            ));
        }
        Ok(Place { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    /// The key of an object.
    pub(super) fn key(&self, name: &str) -> io::Result<Path> {
        name::check(name)?;
        let key = format!("{}{name}", self.below(""));
        if key.len() > KEY_BYTES_MAX {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "the name is longer than a store of S3 takes",
            ));
        }
        Path::parse(key)
            .map_err(|_| io::Error::new(ErrorKind::InvalidInput, "a name on S3 has no control characters"))
    }

    /// What the keys of all objects in a folder begin with.
    pub(super) fn below(&self, folder: &str) -> String {
        [self.prefix.as_str(), folder]
            .iter()
            .filter(|part| !part.is_empty())
            .fold(String::new(), |all, part| format!("{all}{part}/"))
    }

    /// The name of an object, unless its key is no object's here.
    pub(super) fn name<'k>(&self, key: &'k Path) -> Option<&'k str> {
        let name = key.as_ref().strip_prefix(&self.below(""))?;
        name::check(name).is_ok().then_some(name)
    }

    /// What messages call an object, or a folder.
    pub(super) fn shown(&self, name: &str) -> String {
        format!("s3://{}/{}{name}", self.bucket, self.below(""))
    }
}

fn refused(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, format!("the URL of a store of S3 {what}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_url_names_a_bucket_and_a_prefix() {
        for (url, bucket, key) in [
            ("s3://bucket", "bucket", "a/b"),
            ("s3://bucket/", "bucket", "a/b"),
            ("s3://my.bucket-1/x", "my.bucket-1", "x/a/b"),
            ("s3://bucket/x/y=1/", "bucket", "x/y=1/a/b"),
        ] {
            let place = Place::parse(url).unwrap();
            assert_eq!((place.bucket.as_str(), place.key("a/b").unwrap().as_ref()), (bucket, key));
            assert_eq!(place.name(&place.key("a/b").unwrap()), Some("a/b"));
            assert_eq!(place.shown("a"), format!("s3://{bucket}/{}", place.key("a").unwrap()));
        }
        let place = Place::parse("s3://bucket/x").unwrap();
        assert_eq!((place.below("").as_str(), place.below("f/g").as_str()), ("x/", "x/f/g/"));
        assert_eq!(place.name(&Path::parse("xy/a").unwrap()), None);
        assert_eq!(place.name(&Path::parse("x/a#1").unwrap()), None);
    }

    #[test]
    fn a_url_that_is_refused_is_not_repeated() {
        for url in [
            "https://bucket/x",
            "bucket",
            "s3://",
            "s3://ab/x",
            "s3://key:geheim@bucket/x",
            "s3://bucket/../geheim",
            "s3://bucket//geheim",
            "s3://bucket/x?geheim",
            "s3://bucket/%41geheim",
            "s3://bucket/a b",
        ] {
            let error = Place::parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{url}");
            assert!(!error.to_string().contains("geheim"), "{error}");
        }
    }

    #[test]
    fn names_that_s3_does_not_take_are_no_names() {
        let place = Place::parse("s3://bucket/x").unwrap();
        let longest = "a".repeat(KEY_BYTES_MAX - 2);
        assert!(place.key(&longest).is_ok());
        for name in [format!("{longest}a"), "a\nb".to_owned(), "a/".to_owned(), "a#1".to_owned()] {
            assert_eq!(place.key(&name).unwrap_err().kind(), ErrorKind::InvalidInput, "{name}");
        }
    }
}
