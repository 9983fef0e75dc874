//! The HTTP of a transit service: one request, a bounded number of tries, and a time for each.
//!
//! A call is tried again when the service did not answer, or says that it cannot just now: wrapping and unwrapping change nothing, so a
//! try too many does no harm. What it refuses is not tried again.
//!
//! Invariants: a call ends within [`TRIES`] times the time of one, and the pauses between; the token is in no error; no answer is read
//! beyond [`ANSWER_BYTES_MAX`].

use std::io::Read as _;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use ureq::Agent;
use ureq::http::Response;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use url::Url;
use zeroize::Zeroizing;

use super::answer::{Meaning, Said, meaning};
use super::settings::{Token, TransitSettings};
use crate::secret_file;

/// How often a call is tried at the most.
const TRIES: u32 = 3;
/// The pause after the first try; it doubles after each.
const PAUSE: Duration = Duration::from_millis(200);
/// No answer is longer.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Asks one service. No `Debug`.
pub(super) struct Client {
    agent: Agent,
    place: String,
    url: Url,
    token: Token,
    namespace: Option<String>,
}

impl Client {
    /// Nothing is asked yet. The error is a sentence.
    pub(super) fn new(place: String, url: Url, settings: TransitSettings) -> Result<Client, String> {
        let mut tls = TlsConfig::builder();
        if let Some(path) = &settings.ca_file {
            tls = tls.root_certs(RootCerts::Specific(Arc::new(certificates(path)?)));
        }
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(settings.timeout))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .proxy(None)
            .tls_config(tls.build())
            .build()
            .new_agent();
        let TransitSettings { token, namespace, .. } = settings;
        Ok(Client { agent, place, url, token, namespace })
    }

    /// Which service it is, for people.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn get(&self, path: &str) -> Result<Said, Meaning> {
        self.tried(|token| {
            let request = self.agent.get(self.address(path)).header("x-vault-token", token);
            match &self.namespace {
                Some(namespace) => request.header("x-vault-namespace", namespace).call(),
                None => request.call(),
            }
        })
    }

    pub(super) fn post(&self, path: &str, body: &Zeroizing<String>) -> Result<Said, Meaning> {
        self.tried(|token| {
            let request = self.agent.post(self.address(path)).header("x-vault-token", token);
            let request = request.header("content-type", "application/json");
            match &self.namespace {
                Some(namespace) => request.header("x-vault-namespace", namespace).send(body.as_str()),
                None => request.send(body.as_str()),
            }
        })
    }

    fn address(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.url.as_str().trim_end_matches('/'))
    }

    fn tried(
        &self,
        send: impl Fn(&str) -> Result<Response<ureq::Body>, ureq::Error>,
    ) -> Result<Said, Meaning> {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match self.once(&send) {
                Err(Meaning::Away(_)) => sleep(pause),
                answered => return answered,
            }
            pause *= 2;
        }
        self.once(&send)
    }

    fn once(
        &self,
        send: &impl Fn(&str) -> Result<Response<ureq::Body>, ureq::Error>,
    ) -> Result<Said, Meaning> {
        let token = self.token()?;
        let mut response = send(&token).map_err(|error| away(&error))?;
        let mut body = Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_MAX as usize));
        let mut reader = response.body_mut().as_reader().take(ANSWER_BYTES_MAX);
        let read = reader.read_to_end(&mut body);
        read.map_err(|_| Meaning::Away("its answer breaks off, or takes too long".to_owned()))?;
        match response.status().as_u16() {
            200 => Ok(Said::new(body)),
            status => Err(meaning(status, &body)),
        }
    }

    fn token(&self) -> Result<Zeroizing<String>, Meaning> {
        let token = match &self.token {
            Token::File(path) => secret_file::read_word(path).map_err(Meaning::Unusable)?,
            Token::Text(text) => text.clone(),
        };
        // A header takes no others, and an error of the client would show it.
        match !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(token),
            false => {
                Err(Meaning::Unusable("its token is empty, or has characters that no token has".to_owned()))
            }
        }
    }
}

/// What became of a request without an answer. Only what is listed is said.
fn away(error: &ureq::Error) -> Meaning {
    let reason = match error {
        ureq::Error::Timeout(_) => "it takes too long".to_owned(),
        ureq::Error::HostNotFound => "its name has no address".to_owned(),
        ureq::Error::ConnectionFailed => "nothing answers at its address".to_owned(),
        ureq::Error::Io(error) => match error.kind() {
            std::io::ErrorKind::InvalidData => return untrusted(),
            kind => kind.to_string(),
        },
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => return untrusted(),
        _ => "the connection broke off".to_owned(),
    };
    Meaning::Away(reason)
}

fn untrusted() -> Meaning {
    Meaning::Unusable(
        "its certificate is not trusted, or it does not speak TLS: see `keys.transit_ca_file` and the name in the address".to_owned(),
    )
}

/// The certificates of a file.
fn certificates(path: &std::path::Path) -> Result<Vec<Certificate<'static>>, String> {
    let text = secret_file::read_public(path)?;
    let found = parse_pem(text.as_bytes()).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let found: Vec<_> = found.collect();
    match found.is_empty() {
        true => Err(format!("{} has no certificate (PEM)", path.display())),
        false => Ok(found),
    }
}
