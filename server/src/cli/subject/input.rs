//! The persons of a command: read from a file or standard input, one JSON object a line, and sent in parts.
//!
//! Invariant: no identifier is in an error; what is read has a bound. Not here: what is asked for them (`subject.rs`).

use std::io::Read as _;
use std::path::Path;

use crate::error::Error;
use crate::subjects::Named;

/// So many bytes of persons go to the service at a time: a line of the socket has room for them, and for one person more.
const PART_BYTES: usize = 32 << 10;
/// The longest input, in bytes.
const INPUT_BYTES_MAX: u64 = 256 << 20;

/// The persons of the input.
pub(super) fn read(file: Option<&Path>) -> Result<Vec<Named>, Error> {
    let mut input = String::new();
    let (name, read) = match file {
        Some(path) => {
            let file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
            (path.display().to_string(), file.take(INPUT_BYTES_MAX + 1).read_to_string(&mut input))
        }
        None => {
            let input = std::io::stdin().take(INPUT_BYTES_MAX + 1).read_to_string(&mut input);
            ("standard input".to_owned(), input)
        }
    };
    read.map_err(|e| Error::io(&name, e))?;
    if input.len() as u64 > INPUT_BYTES_MAX {
        return Err(Error::Usage(format!("{name} has more than 256 MiB: split it")));
    }
    let persons = persons(&input).map_err(|line| {
        let form = "must be a JSON object with user_id, install_id, device_id or serial_number, each a text or a list of texts";
        Error::Usage(format!("line {line} of {name} {form}"))
    })?;
    if persons.is_empty() {
        return Err(Error::Usage(format!("{name} names nobody")));
    }
    Ok(persons)
}

/// Persons in parts that the socket has room for.
pub(super) fn parts(persons: Vec<Named>) -> Vec<Vec<Named>> {
    let (mut parts, mut bytes): (Vec<Vec<Named>>, usize) = (Vec::new(), usize::MAX);
    for person in persons {
        let own = serde_json::to_string(&person).map_or(0, |text| text.len() + 1);
        if bytes.saturating_add(own) > PART_BYTES {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += own;
        if let Some(part) = parts.last_mut() {
            part.push(person);
        }
    }
    parts
}

/// The persons of a text, or the line that is none, from 1.
fn persons(text: &str) -> Result<Vec<Named>, usize> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(at, line)| serde_json::from_str(line).map_err(|_| at + 1)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::subjects::Values;

    #[test]
    fn persons_are_read_a_line_each_and_a_line_that_is_none_is_named() {
        let text = "{\"user_id\":\"u\"}\n\n{\"install_id\":[\"a\",\"b\"]}\n";
        let read = persons(text).unwrap();
        assert!(read[0].user_id == Some(Values::One("u".into())));
        assert!(read[1].install_id == Some(Values::Some(vec!["a".into(), "b".into()])));
        assert_eq!(persons("{\"user_id\":\"u\"}\n{\"email\":\"x\"}").err(), Some(2));
        assert_eq!(persons("u").err(), Some(1));
        assert!(persons("\n").unwrap().is_empty());
    }

    #[test]
    fn persons_go_in_parts_that_the_socket_has_room_for() {
        let person =
            |n: usize| Named { user_id: Some(Values::One(format!("{n:0>250}"))), ..Named::default() };
        let all: Vec<Named> = (0..1000).map(person).collect();
        let parts = parts(all.clone());
        assert!(parts.len() > 5 && parts.concat() == all);
        let bytes = |part: &Vec<Named>| serde_json::to_string(part).unwrap().len();
        assert!(parts.iter().all(|part| !part.is_empty() && bytes(part) <= PART_BYTES + 2));
        assert!(super::parts(Vec::new()).is_empty());
    }
}
