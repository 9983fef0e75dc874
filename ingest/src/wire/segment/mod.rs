//! The protocol of Segment's SDKs.

pub(super) mod decode;
