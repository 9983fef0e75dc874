//! A blocking client of a running service, for the command line and the demo. Nothing else opens a connection, and a service none.
//!
//! Invariants: the key is in no error; what does not look at certificates sends none.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;
use ureq::tls::TlsConfig;

use crate::config::Config;
use crate::error::Error;

const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// Where the service is, and with which key.
pub(crate) struct Client {
    agent: Agent,
    url: String,
    key: String,
}

impl Client {
    pub(crate) fn new(url: &str, key: &str) -> Client {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_global(Some(Duration::from_secs(3600)))
            .build()
            .new_agent();
        Client { agent, url: url.trim_end_matches('/').to_owned(), key: key.to_owned() }
    }

    /// Sends JSON and reads a text; `accept` names the form.
    ///
    /// # Errors
    /// When the service cannot be reached or refuses.
    pub(crate) fn post(&self, path: &str, body: &str, accept: &str) -> Result<Vec<u8>, Error> {
        let sent = self
            .agent
            .post(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", "application/json")
            .header("accept", accept)
            .send(body);
        let mut response = self.checked(sent)?;
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        body.read_to_vec().map_err(|e| Error::Remote(format!("{}: {e}", self.url)))
    }

    /// Reads JSON.
    ///
    /// # Errors
    /// When the service cannot be reached or refuses.
    pub(crate) fn get(&self, path: &str) -> Result<Value, Error> {
        let request = self.agent.get(format!("{}{path}", self.url));
        let sent = request.header("authorization", format!("Bearer {}", self.key)).call();
        let mut response = self.checked(sent)?;
        response.body_mut().read_json().map_err(|e| Error::Remote(format!("{}: {e}", self.url)))
    }

    /// Sends JSON and reads one JSON value a line, each as it comes.
    ///
    /// # Errors
    /// When the service cannot be reached or refuses, or a line is none.
    pub(crate) fn post_lines(
        &self,
        path: &str,
        body: &str,
        each: &mut dyn FnMut(Value),
    ) -> Result<(), Error> {
        let request = self.agent.post(format!("{}{path}", self.url));
        let request = request.header("authorization", format!("Bearer {}", self.key));
        let response = self.checked(request.header("content-type", "application/json").send(body))?;
        for line in BufReader::new(response.into_body().into_reader()).lines() {
            let line = line.map_err(|e| Error::Remote(format!("{}: {e}", self.url)))?;
            each(serde_json::from_str(&line).map_err(|e| Error::Remote(format!("{}: {e}", self.url)))?);
        }
        Ok(())
    }

    fn checked(
        &self,
        sent: Result<Response<ureq::Body>, ureq::Error>,
    ) -> Result<Response<ureq::Body>, Error> {
        let mut response = sent.map_err(|e| Error::Remote(format!("{} cannot be reached: {e}", self.url)))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let told: Value = response.body_mut().read_json().unwrap_or(Value::Null);
        Err(Error::Remote(problem_text(status.as_str(), &told)))
    }
}

/// What asks any service without a key.
pub(crate) fn agent(wait: Duration) -> Agent {
    Agent::config_builder().http_status_as_error(false).timeout_global(Some(wait)).build().new_agent()
}

/// What asks the service of this machine without a key. It is reached through no proxy, and has a certificate for another name than the
/// loopback address, which is not looked at.
pub(crate) fn local_agent(wait: Duration) -> Agent {
    let tls = TlsConfig::builder().disable_verification(true).build();
    let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(wait));
    config.proxy(None).tls_config(tls).build().new_agent()
}

/// The URL of the service that answers at the address of this configuration, if there is one: with TLS too, also when this
/// configuration has none.
pub(crate) fn answering(config: &Config) -> Option<String> {
    let (addr, agent) = (local_address(config), local_agent(Duration::from_secs(1)));
    let mut urls = ["http", "https"].into_iter().map(|scheme| format!("{scheme}://{addr}"));
    urls.find(|url| {
        agent.get(format!("{url}/healthz")).call().is_ok_and(|answer| answer.status().is_success())
    })
}

/// A problem (RFC 9457) for people: the title, what is wrong this time and where, and what to do instead. `status` is shown
/// when it is none.
pub(crate) fn problem_text(status: &str, told: &Value) -> String {
    let text = |name: &str| told.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (Some(title), Some(detail)) = (text("title"), text("detail")) else {
        return format!("the service answered {status}");
    };
    let mut shown = match (told["line"].as_u64(), told["column"].as_u64()) {
        (Some(line), Some(column)) => format!("{title}: line {line}, column {column}: {detail}"),
        _ => format!("{title}: {detail}"),
    };
    if let Some(suggestion) = text("suggestion") {
        shown = format!("{shown}\ntry: {suggestion}");
    }
    if let Some(example) = text("example") {
        shown = format!("{shown}\nfor example: {example}");
    }
    if let Some(seconds) = told["retry_after_s"].as_u64() {
        shown = format!("{shown}\ntry again in {seconds} s");
    }
    shown
}

/// The URL of the service that this configuration starts.
pub(crate) fn local_url(config: &Config) -> String {
    let scheme = if config.http.tls().is_some() { "https" } else { "http" };
    format!("{scheme}://{}", local_address(config))
}

fn local_address(config: &Config) -> SocketAddr {
    let mut addr = config.http.listen;
    if addr.ip().is_unspecified() {
        addr.set_ip(if addr.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    addr
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_says_where_and_what_to_write() {
        let told = json!({"type": "urn:shoal:problem:refused", "title": "The question cannot be answered", "status": 400,
            "detail": "There is no MIN.", "code": "refused", "line": 1, "column": 8, "suggestion": "AVG(x)"});
        assert_eq!(
            problem_text("400", &told),
            "The question cannot be answered: line 1, column 8: There is no MIN.\ntry: AVG(x)"
        );
        let busy = json!({"title": "Too much at one time", "detail": "too many queries", "retry_after_s": 1});
        assert_eq!(problem_text("429", &busy), "Too much at one time: too many queries\ntry again in 1 s");
        assert_eq!(problem_text("502", &Value::Null), "the service answered 502");
    }

    #[test]
    fn a_service_on_every_address_is_reached_on_this_one() {
        let mut config = Config::embedded(std::path::Path::new("/x")).unwrap();
        config.http.listen = "0.0.0.0:9".parse().unwrap();
        assert_eq!(local_url(&config), "http://127.0.0.1:9");
        config.http.tls_cert = Some("a".into());
        config.http.tls_key = Some("b".into());
        config.http.listen = "[::]:9".parse().unwrap();
        assert_eq!(local_url(&config), "https://[::1]:9");
    }
}
