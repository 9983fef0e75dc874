//! Whose requests they are: keys, or how keys are got and renewed.
//!
//! Looked for in the order of Amazon's own tools, and the first that is there is taken:
//!
//! 1. `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, and `AWS_SESSION_TOKEN` where there is one;
//! 2. `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN` (Kubernetes);
//! 3. the profile `AWS_PROFILE`, or `default`, in `AWS_SHARED_CREDENTIALS_FILE`, or `~/.aws/credentials`;
//! 4. `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`, or `.._FULL_URI` with `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`;
//! 5. the role of the instance.
//!
//! Keys of 1 and 3 are read once; those of the others are renewed before they expire. No other variable of Amazon's is
//! read.
//!
//! Invariant: no `Debug`, no `Display`, nothing of a key in an error. Not here: the profile's file (`profile`).

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Key};

use super::profile::{self, Keys};

/// Whose requests they are. Shows nothing of it but its kind.
pub struct S3Credentials {
    origin: &'static str,
    entries: Vec<(Key, String)>,
}

impl S3Credentials {
    /// These keys, with a token when they expire.
    pub fn keys(key_id: &str, secret: &str, token: Option<&str>) -> S3Credentials {
        let token = token.map(str::to_owned);
        S3Credentials::of(Keys { key_id: key_id.to_owned(), secret: secret.to_owned(), token }, "keys")
    }

    /// The first that there are, by what the environment says.
    ///
    /// # Errors
    /// When what is said there is of no use: half a pair of keys, a profile that there is not, a file that makes no sense.
    pub fn find(environment: &dyn Fn(&str) -> Option<String>) -> io::Result<S3Credentials> {
        let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
        match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
            (Some(key_id), Some(secret)) => {
                let token = variable("AWS_SESSION_TOKEN");
                return Ok(S3Credentials::of(Keys { key_id, secret, token }, "keys of the environment"));
            }
            (None, None) => {}
            _ => {
                return Err(refused(
                    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together: one of them is not set",
                ));
            }
        }
        if let (Some(file), Some(role)) = (variable("AWS_WEB_IDENTITY_TOKEN_FILE"), variable("AWS_ROLE_ARN"))
        {
            let mut entries = vec![(Key::WebIdentityTokenFile, file), (Key::RoleArn, role)];
            entries.extend(variable("AWS_ROLE_SESSION_NAME").map(|name| (Key::RoleSessionName, name)));
            return Ok(S3Credentials { origin: "web identity", entries });
        }
        if let Some(keys) = keys_of_profile(&variable)? {
            return Ok(S3Credentials::of(keys, "keys of a profile"));
        }
        if let Some(uri) = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            let entries = vec![(Key::ContainerCredentialsRelativeUri, uri)];
            return Ok(S3Credentials { origin: "role of the container", entries });
        }
        let full = (
            variable("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
            variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        );
        if let (Some(uri), Some(file)) = full {
            let entries =
                vec![(Key::ContainerCredentialsFullUri, uri), (Key::ContainerAuthorizationTokenFile, file)];
            return Ok(S3Credentials { origin: "role of the container", entries });
        }
        Ok(S3Credentials { origin: "role of the instance", entries: Vec::new() })
    }

    /// What kind they are, for a message.
    pub fn origin(&self) -> &'static str {
        self.origin
    }

    fn of(keys: Keys, origin: &'static str) -> S3Credentials {
        let mut entries = vec![(Key::AccessKeyId, keys.key_id), (Key::SecretAccessKey, keys.secret)];
        entries.extend(keys.token.map(|token| (Key::Token, token)));
        S3Credentials { origin, entries }
    }

    /// Puts them into the builder of a client.
    pub(super) fn give(self, builder: AmazonS3Builder) -> AmazonS3Builder {
        self.entries.into_iter().fold(builder, |builder, (key, value)| builder.with_config(key, value))
    }

    /// Refuses what could not be sent in a header.
    pub(super) fn check(&self) -> io::Result<()> {
        let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        let is_key = |key: &Key| matches!(key, Key::AccessKeyId | Key::SecretAccessKey | Key::Token);
        if self.entries.iter().any(|(key, value)| is_key(key) && !is_plain(value)) {
            return Err(refused(
                "the keys of a store of S3 have no spaces, line breaks or letters beyond ASCII",
            ));
        }
        Ok(())
    }
}

fn keys_of_profile(variable: &dyn Fn(&str) -> Option<String>) -> io::Result<Option<Keys>> {
    let named = variable("AWS_PROFILE");
    let home = || Some(PathBuf::from(variable("HOME")?).join(".aws/credentials"));
    let path = variable("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from).or_else(home);
    let found = match &path {
        Some(path) => profile::read(path, named.as_deref().unwrap_or("default"))?,
        None => None,
    };
    match (named, path) {
        (Some(name), Some(path)) if found.is_none() => {
            let told = format!("{}: there is no profile {name:?}, which AWS_PROFILE names", path.display());
            Err(io::Error::new(ErrorKind::InvalidData, told))
        }
        (Some(_), None) => {
            Err(refused("AWS_PROFILE is set, but neither HOME nor AWS_SHARED_CREDENTIALS_FILE"))
        }
        _ => Ok(found),
    }
}

fn refused(reason: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, reason)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn find(variables: &[(&str, &str)]) -> io::Result<S3Credentials> {
        let variables: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        S3Credentials::find(&move |name| {
            variables.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
        })
    }

    #[test]
    fn the_first_that_there_are_are_taken() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().to_str().unwrap();
        let keys = [("AWS_ACCESS_KEY_ID", "KEY"), ("AWS_SECRET_ACCESS_KEY", "geheim")];
        let web = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"), ("AWS_ROLE_ARN", "arn:aws:iam::1:role/x")];
        let container = [("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x")];
        let full = [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1"),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/token"),
        ];
        let all = [&keys[..], &web, &[("HOME", home)], &container].concat();
        let origin = |from: usize| find(&all[from..]).unwrap().origin();
        assert_eq!((origin(0), origin(2)), ("keys of the environment", "web identity"));
        assert_eq!(origin(4), "role of the container", "a home without profiles has none");
        assert_eq!(find(&full).unwrap().origin(), "role of the container");
        assert_eq!(find(&[]).unwrap().origin(), "role of the instance");
        std::fs::create_dir(dir.path().join(".aws")).unwrap();
        let text = "[default]\naws_access_key_id=A\naws_secret_access_key=geheim\n";
        std::fs::write(dir.path().join(".aws/credentials"), text).unwrap();
        assert_eq!(origin(4), "keys of a profile");
    }

    #[test]
    fn a_profile_that_is_named_must_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x");
        let file = ("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap());
        let error = find(&[file, ("AWS_PROFILE", "prod")]).err().unwrap();
        assert!(error.to_string().contains("no profile \"prod\""), "{error}");
        assert!(find(&[("AWS_PROFILE", "prod")]).is_err());
        std::fs::write(file.1, "[prod]\naws_access_key_id=A\naws_secret_access_key=B\n").unwrap();
        assert_eq!(find(&[file, ("AWS_PROFILE", "prod")]).unwrap().origin(), "keys of a profile");
        assert_eq!(find(&[file]).unwrap().origin(), "role of the instance", "there is no default");
    }

    #[test]
    fn half_a_pair_is_refused_without_being_repeated() {
        for one in [("AWS_ACCESS_KEY_ID", "geheim"), ("AWS_SECRET_ACCESS_KEY", "geheim")] {
            let error = find(&[one]).err().unwrap();
            assert!(error.to_string().contains("go together") && !error.to_string().contains("geheim"));
        }
        for (key, secret, token) in
            [("a\nb", "s", None), ("k", "geheim ", None), ("k", "s", Some("geheim\r"))]
        {
            let error = S3Credentials::keys(key, secret, token).check().err().unwrap();
            assert!(!error.to_string().contains("geheim"), "{error}");
        }
        assert!(S3Credentials::keys("k", "s/+=", Some("t")).check().is_ok());
    }
}
