//! A request of a client that sends events or consents, as the pipeline takes it. Not here: its body's limits (`body.rs`).

use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;
use shoal_ingest::Request;
use shoal_schemas::Protocol;

use crate::state::State;

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
        body,
        peer: peer(http, state),
        received_ms: state.now_ms(),
    }
}

/// The client's address, for its country and for the unit of events that name nobody. The proxy's own entry is the last
/// one of the last header: whatever is before it, a client may have written.
pub(in crate::http) fn peer(http: &HttpRequest, state: &State) -> Option<IpAddr> {
    client(http, state.config.http.trust_forwarded_for)
}

fn client(http: &HttpRequest, trust_forwarded_for: bool) -> Option<IpAddr> {
    if trust_forwarded_for && let Some(forwarded) = http.headers().get_all("x-forwarded-for").next_back() {
        return address(forwarded.to_str().ok()?.rsplit(',').next()?);
    }
    http.peer_addr().map(|a| a.ip())
}

/// An address as proxies write it, some with the port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(in_brackets).or_else(with_port)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_address_is_the_proxy_s_last_entry_or_the_connection_s() {
        let of = |headers: &[&str], is_trusted| {
            let mut request = TestRequest::default().peer_addr("192.0.2.1:5000".parse().unwrap());
            for value in headers {
                request = request.append_header(("x-forwarded-for", *value));
            }
            client(&request.to_http_request(), is_trusted).map(|address| address.to_string())
        };
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
    }
}
