//! Which store it is, and how long it may take.
//!
//! Invariant: nothing is read from the environment here, so that no variable changes which store it is. (How it is reached, some do: the
//! HTTP client knows `HTTPS_PROXY`, `NO_PROXY` and `SSL_CERT_FILE`.) An endpoint that has credentials in it is refused, and no error
//! repeats one. Not here: the bucket (`place`), the keys (`credentials`).

use std::io::{self, ErrorKind};
use std::time::Duration;

use url::Url;

/// The region of a store with an endpoint of its own, where nobody says another: most of them do not look at it.
const REGION_OF_OTHERS: &str = "us-east-1";
/// What a slow network is granted besides: a second for each of these bytes.
const BYTES_PER_SECOND: u64 = 1 << 20;

/// How a store is reached. All requests to an endpoint name the bucket in their path.
#[derive(Clone, Debug)]
pub struct S3Settings {
    /// The URL of a store that is not Amazon's, such as `https://minio.example:9000`.
    pub endpoint: Option<String>,
    /// The store's region. Amazon's store needs one.
    pub region: Option<String>,
    /// Whether the endpoint may begin with `http:`. Whoever is between sees and changes every byte.
    pub is_http_allowed: bool,
    /// How long one request may take, and a second more for each MiB that it carries.
    pub request_timeout: Duration,
    /// How long a request is repeated in all, and a second more for each MiB that it carries.
    pub give_up_after: Duration,
}

impl Default for S3Settings {
    fn default() -> S3Settings {
        S3Settings {
            endpoint: None,
            region: None,
            is_http_allowed: false,
            request_timeout: Duration::from_secs(10),
            give_up_after: Duration::from_secs(30),
        }
    }
}

impl S3Settings {
    /// The endpoint, if it is one.
    pub(super) fn checked_endpoint(&self) -> io::Result<Option<&str>> {
        let Some(endpoint) = &self.endpoint else { return Ok(None) };
        let url = Url::parse(endpoint).map_err(|_| refused("must be a URL"))?;
        if !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return Err(refused("must have no user, password, query or fragment"));
        }
        match url.scheme() {
            "https" => Ok(Some(endpoint)),
            "http" if self.is_http_allowed => Ok(Some(endpoint)),
            "http" => Err(refused("must begin with `https:`, unless `http:` is allowed")),
            _ => Err(refused("must begin with `https:`")),
        }
    }

    /// The region.
    pub(super) fn checked_region(&self) -> io::Result<&str> {
        let region = match (&self.region, &self.endpoint) {
            (Some(region), _) => region,
            (None, Some(_)) => REGION_OF_OTHERS,
            (None, None) => {
                let reason = "a store of S3 without an endpoint is Amazon's, which needs a region";
                return Err(io::Error::new(ErrorKind::InvalidInput, reason));
            }
        };
        // It becomes a part of the host's name.
        if region.is_empty() || !region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            let reason = "the region of a store of S3 has letters, digits and `-`";
            return Err(io::Error::new(ErrorKind::InvalidInput, reason));
        }
        Ok(region)
    }

    /// How long one request may take that carries so many bytes.
    pub(super) fn request_timeout(&self, bytes: usize) -> Duration {
        self.request_timeout.saturating_add(extra(bytes))
    }

    /// How long it is repeated.
    pub(super) fn give_up_after(&self, bytes: usize) -> Duration {
        self.give_up_after.saturating_add(extra(bytes))
    }
}

fn extra(bytes: usize) -> Duration {
    Duration::from_secs(bytes as u64 / BYTES_PER_SECOND)
}

fn refused(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, format!("the endpoint of a store of S3 {what}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn endpoint(url: &str, is_http_allowed: bool) -> io::Result<bool> {
        let settings =
            S3Settings { endpoint: Some(url.to_owned()), is_http_allowed, ..S3Settings::default() };
        settings.checked_endpoint().map(|found| found == Some(url))
    }

    #[test]
    fn http_must_be_allowed() {
        assert!(endpoint("https://minio.example:9000", false).unwrap());
        assert!(endpoint("http://127.0.0.1:9000", true).unwrap());
        assert!(endpoint("https://a.example/storage/v1/s3", true).unwrap());
        let error = endpoint("http://127.0.0.1:9000", false).unwrap_err();
        assert!(error.to_string().contains("unless `http:` is allowed"), "{error}");
        assert_eq!(S3Settings::default().checked_endpoint().unwrap(), None);
    }

    #[test]
    fn an_endpoint_has_no_credentials_and_is_not_repeated() {
        for url in [
            "https://key:geheim@a.example",
            "https://geheim@a.example",
            "https://a.example?key=geheim",
            "https://a.example#geheim",
            "ftp://a.example/geheim",
            "geheim",
            "https://",
        ] {
            let error = endpoint(url, true).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{url}");
            assert!(!error.to_string().contains("geheim"), "{error}");
        }
    }

    #[test]
    fn amazon_needs_a_region() {
        let region = |region: Option<&str>, endpoint: Option<&str>| {
            let (region, endpoint) = (region.map(str::to_owned), endpoint.map(str::to_owned));
            S3Settings { region, endpoint, ..S3Settings::default() }.checked_region().map(str::to_owned)
        };
        assert_eq!(region(Some("eu-central-1"), None).unwrap(), "eu-central-1");
        assert_eq!(region(None, Some("https://a.example")).unwrap(), "us-east-1");
        assert_eq!(region(Some("auto"), Some("https://a.example")).unwrap(), "auto");
        assert!(region(None, None).unwrap_err().to_string().contains("needs a region"));
        assert!(region(Some("x.evil.example/"), None).is_err() && region(Some(""), None).is_err());
    }

    #[test]
    fn a_large_request_has_more_time() {
        let settings = S3Settings::default();
        assert_eq!(settings.request_timeout(100), Duration::from_secs(10));
        assert_eq!(settings.request_timeout(8 << 20), Duration::from_secs(18));
        assert_eq!(settings.give_up_after(64 << 20), Duration::from_secs(94));
    }
}
