//! The protocol of Sentry's SDKs.

pub(super) mod decode;
mod envelope;
