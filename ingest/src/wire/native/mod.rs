//! Shoal's own protocol.

pub(super) mod decode;
