//! The keys in a file of profiles (`~/.aws/credentials`), of which `object_store` knows nothing.
//!
//! ```text
//! [default]
//! aws_access_key_id = ..
//! aws_secret_access_key = ..
//! aws_session_token = ..             only with keys that expire
//! ```
//! Invariants: a file is read up to a size; no error repeats anything of its text but the name of a profile that was asked for.
//! Not here: profiles that lead elsewhere (another role, a program, single sign-on), which are refused; where the file is
//! (`credentials`).

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The keys of a profile.
pub(super) struct Keys {
    pub(super) key_id: String,
    pub(super) secret: String,
    pub(super) token: Option<String>,
}

/// The keys of a profile in a file; none when there is no such file, or no such profile in it.
///
/// # Errors
/// When the file cannot be read, is too large, makes no sense, or the profile has no keys of its own.
pub(super) fn read(path: &Path, profile: &str) -> io::Result<Option<Keys>> {
    let told = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let file = match File::open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|e| io::Error::new(e.kind(), told(&e)))?,
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| io::Error::new(e.kind(), told(&e)))?;
    let text = match String::from_utf8(bytes) {
        Ok(text) if text.len() as u64 <= FILE_BYTES_MAX => Ok(text),
        Ok(_) => Err("this is larger than a file of profiles"),
        Err(_) => Err("this is no text"),
    };
    let found = text.and_then(|text| find(&text, profile));
    found.map_err(|reason| {
        io::Error::new(ErrorKind::InvalidData, told(&format!("profile {profile:?}: {reason}")))
    })
}

fn find(text: &str, profile: &str) -> Result<Option<Keys>, &'static str> {
    let (mut is_found, mut is_inside) = (false, false);
    let (mut key_id, mut secret, mut token) = (None, None, None);
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            let section = section.split(']').next().unwrap_or_default().trim();
            is_inside = section.strip_prefix("profile ").unwrap_or(section).trim() == profile;
            is_found |= is_inside;
            continue;
        }
        // Other profiles may say what they like.
        let Some((key, value)) = line.split_once('=').filter(|_| is_inside) else { continue };
        let place = match key.trim().to_ascii_lowercase().as_str() {
            "aws_access_key_id" => &mut key_id,
            "aws_secret_access_key" => &mut secret,
            "aws_session_token" => &mut token,
            _ => continue,
        };
        *place = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
    }
    match (key_id, secret) {
        _ if !is_found => Ok(None),
        (Some(key_id), Some(secret)) => Ok(Some(Keys { key_id, secret, token })),
        (None, None) => Err(
            "it has no keys of its own; profiles that lead to a role, a program or single sign-on are not \
                             read: put the keys into the environment, or run with the role of the instance",
        ),
        _ => Err("it needs both aws_access_key_id and aws_secret_access_key"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TEXT: &str = "# made by hand\n[default]\naws_access_key_id = KEY1\naws_secret_access_key=geheim/1=\n\n\
        [ profile  other ]\nAWS_ACCESS_KEY_ID=KEY2\naws_secret_access_key = geheim2\naws_session_token = token2\nregion = x\n\
        [role]\nrole_arn = arn:geheim\nsource_profile = default\n[half]\naws_access_key_id = KEY3\n; the end";

    #[test]
    fn a_profile_has_keys() {
        let keys = find(TEXT, "default").unwrap().unwrap();
        assert_eq!((keys.key_id.as_str(), keys.secret.as_str(), keys.token), ("KEY1", "geheim/1=", None));
        let keys = find(TEXT, "other").unwrap().unwrap();
        assert_eq!((keys.key_id.as_str(), keys.secret.as_str()), ("KEY2", "geheim2"));
        assert_eq!(keys.token.as_deref(), Some("token2"));
        assert!(find(TEXT, "none").unwrap().is_none() && find("", "default").unwrap().is_none());
    }

    #[test]
    fn what_is_wrong_is_told_without_what_is_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        assert!(read(&path, "default").unwrap().is_none());
        std::fs::write(&path, TEXT).unwrap();
        assert!(read(&path, "default").unwrap().is_some());
        for (profile, reason) in [("role", "no keys of its own"), ("half", "needs both")] {
            let error = read(&path, profile).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            let text = error.to_string();
            assert!(
                text.contains(reason) && text.contains(profile) && text.contains("credentials"),
                "{text}"
            );
            assert!(!text.contains("geheim") && !text.contains("KEY"), "{text}");
        }
        std::fs::write(&path, [b'#'; (FILE_BYTES_MAX + 1) as usize]).unwrap();
        assert!(read(&path, "default").err().unwrap().to_string().contains("larger"));
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(read(&path, "default").err().unwrap().to_string().contains("no text"));
        assert!(read(dir.path(), "default").is_err(), "a directory is no file");
    }
}
