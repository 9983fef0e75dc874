//! Who counts as one client: an IPv4 address, or the /64 that one subscriber of IPv6 has. Not here: whose address it is.

use std::net::IpAddr;

/// A client's network. No `Debug`: it is an address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::http) enum Network {
    /// IPv4, also when it came as IPv6.
    V4([u8; 4]),
    /// The first 64 bits of an address of IPv6.
    V6([u8; 8]),
    /// Nobody knows. All of these are one client.
    Unknown,
}

impl Network {
    pub(in crate::http) fn of(address: Option<IpAddr>) -> Network {
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(v4)) => Network::V4(v4.octets()),
            Some(IpAddr::V6(v6)) => {
                let [a, b, c, d, e, f, g, h, ..] = v6.octets();
                Network::V6([a, b, c, d, e, f, g, h])
            }
            None => Network::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_subscriber_is_one_client() {
        let of = |text: &str| Network::of(Some(text.parse().unwrap()));
        assert!(of("198.51.100.7") == of("::ffff:198.51.100.7"));
        assert!(of("198.51.100.7") != of("198.51.100.8"));
        assert!(of("2001:db8:1:2::1") == of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert!(of("2001:db8:1:2::1") != of("2001:db8:1:3::1"));
        assert!(Network::of(None) == Network::of(None));
    }
}
