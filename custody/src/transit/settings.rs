//! How a transit service is reached, and which addresses may be used.

use std::path::PathBuf;
use std::time::Duration;

use url::{Host, Url};
use zeroize::Zeroizing;

/// Where the token is. No `Debug`.
#[derive(Clone)]
pub enum Token {
    /// In a file, which is read for each call: who renews it writes it anew.
    File(PathBuf),
    /// Given, as by the environment.
    Text(Zeroizing<String>),
}

/// How to reach a transit service. No `Debug`: it may have a token.
#[derive(Clone)]
pub struct TransitSettings {
    /// Its address, as `https://vault.example:8200`.
    pub url: String,
    /// Where its transit engine is mounted, as `transit`.
    pub mount: String,
    /// The name of the key.
    pub key: String,
    /// With what this client says who it is.
    pub token: Token,
    /// The namespace, where the service has them.
    pub namespace: Option<String>,
    /// Certificates (PEM) of the authorities that its own is signed by; those of the web when there is none.
    pub ca_file: Option<PathBuf>,
    /// Whether plain HTTP may leave this machine.
    pub allow_http: bool,
    /// How long one try may take.
    pub timeout: Duration,
}

impl TransitSettings {
    /// The address, if it may be used. The error is a sentence.
    pub(super) fn address(&self) -> Result<Url, String> {
        let url = Url::parse(&self.url).map_err(|error| format!("its address is none: {error}"))?;
        let is_this_machine = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let has_more = url.query().is_some() || url.fragment().is_some() || !url.username().is_empty();
        if has_more || url.password().is_some() {
            return Err("its address has a user, a query or a fragment, which it may not have".to_owned());
        }
        match url.scheme() {
        "https" => Ok(url),
        "http" if is_this_machine || self.allow_http => Ok(url),
        "http" => Err("its address is plain `http` and not of this machine, so that others could read the key on its way. Use `https`, \
                       or set `keys.transit_allow_http` where a mesh encrypts for it"
            .to_owned()),
        _ => Err("its address begins with neither `https` nor `http`".to_owned()),
    }
    }
}
