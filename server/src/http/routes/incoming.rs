//! A request of a client that sends events or consents, as the pipeline takes it. Not here: its body's limits (`body.rs`).

use std::net::IpAddr;

use actix_web::HttpRequest;
use shoal_ingest::{BatchAnswer, Request, written_address};
use shoal_schemas::Protocol;

use crate::config::HttpConfig;
use crate::http::auth::Sender;
use crate::problem::Problem;
use crate::state::State;

/// What becomes of events. With a key that has ended who withdraws in them is recorded, and the request is refused.
pub(super) async fn take(
    state: &State,
    request: Request<'_>,
    sender: Sender,
) -> Result<BatchAnswer, Problem> {
    match sender.ended {
        None => Ok(state.ingest.accept(request, &sender.grant).await?),
        Some(ended) => {
            state.ingest.record_denials(request, &sender.grant).await?;
            Err(ended)
        }
    }
}

/// What the pipeline is given: the body and what the head of the request says about it.
pub(super) fn incoming<'a>(
    http: &'a HttpRequest,
    state: &State,
    protocol: Protocol,
    body: &'a [u8],
) -> Request<'a> {
    let text = |name: &str| http.headers().get(name).and_then(|v| v.to_str().ok());
    Request {
        protocol,
        content_type: text("content-type"),
        content_encoding: text("content-encoding"),
        message_type: None,
        body,
        peer: peer(http, &state.config.http),
        received_ms: state.now_ms(),
    }
}

/// The client's address, for its country and for the unit of events that name nobody. The entry of the outermost trusted
/// proxy is so many from the right of all lines of the header: whatever is before it, a client may have written.
pub(in crate::http) fn peer(http: &HttpRequest, config: &HttpConfig) -> Option<IpAddr> {
    let mut lines = http.headers().get_all("x-forwarded-for").rev().peekable();
    if !config.trust_forwarded_for || lines.peek().is_none() {
        return http.peer_addr().map(|a| a.ip());
    }
    let mut entries = lines.map(|line| line.to_str().unwrap_or_default()).flat_map(|line| line.rsplit(','));
    written_address(entries.nth(config.forwarded_for_hops - 1)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use actix_web::test::TestRequest;

    use super::*;
    use crate::config::Config;

    #[test]
    fn the_address_is_the_proxy_s_last_entry_or_the_connection_s() {
        let hops = |headers: &[&str], is_trusted, hops| {
            let mut config = Config::embedded(Path::new("/nowhere")).unwrap().http;
            (config.trust_forwarded_for, config.forwarded_for_hops) = (is_trusted, hops);
            let mut request = TestRequest::default().peer_addr("192.0.2.1:5000".parse().unwrap());
            for value in headers {
                request = request.append_header(("x-forwarded-for", *value));
            }
            peer(&request.to_http_request(), &config).map(|address| address.to_string())
        };
        let of = |headers: &[&str], is_trusted| hops(headers, is_trusted, 1);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of(&["198.51.100.7"], false), some("192.0.2.1"));
        assert_eq!(of(&[], true), some("192.0.2.1"));
        for (last, wanted) in [
            ("198.51.100.7", "198.51.100.7"),
            ("203.0.113.9, 198.51.100.7:51234", "198.51.100.7"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            assert_eq!(of(&["203.0.113.9", last], true), some(wanted), "{last}");
        }
        assert_eq!(of(&["203.0.113.9", "unknown"], true), None, "nobody's address is guessed");
        let chain = ["203.0.113.9, 198.51.100.7:443", "192.0.2.8 ,192.0.2.9"];
        for (count, wanted) in [(1, "192.0.2.9"), (2, "192.0.2.8"), (3, "198.51.100.7"), (4, "203.0.113.9")] {
            assert_eq!(hops(&chain, true, count), some(wanted), "{count}");
        }
        assert_eq!(hops(&chain, true, 5), None, "who has fewer proxies in front came past one");
    }
}
