//! TLS by rustls with the ring provider. A path that does not work stops the start; there is no fallback to plain text.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::Error;

/// What is shown to clients, and can be another certificate later; `None` where no files are configured.
///
/// # Errors
/// As [`server_config`].
pub(crate) fn open(files: Option<(&Path, &Path)>) -> Result<Option<Arc<ArcSwap<ServerConfig>>>, Error> {
    let config = files.map(|(cert, key)| server_config(cert, key)).transpose()?;
    Ok(config.map(|config| Arc::new(ArcSwap::from_pointee(config))))
}

/// The server's side of TLS 1.2 and 1.3, from a PEM chain and its private key.
///
/// # Errors
/// When a file is missing, holds nothing usable, or the key is not the certificate's.
pub(crate) fn server_config(cert: &Path, key: &Path) -> Result<ServerConfig, Error> {
    let wrong = |path: &Path, reason: String| Error::Tls(format!("{}: {reason}", path.display()));
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| wrong(cert, format!("no certificate chain in PEM: {e}")))?;
    if chain.is_empty() {
        return Err(wrong(cert, "no certificate in it".into()));
    }
    // The text of this error could quote the file: it is left out.
    let key_der = PrivateKeyDer::from_pem_file(key)
        .map_err(|_| wrong(key, "no private key in PEM, or it cannot be read".into()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|b| b.with_no_client_auth().with_single_cert(chain, key_der))
        .map_err(|e| match e {
            rustls::Error::InconsistentKeys(_) => {
                wrong(cert, format!("the private key in {} is not that of this certificate", key.display()))
            }
            other => wrong(cert, other.to_string()),
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_that_do_not_work_are_errors_that_quote_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let none = dir.path().join("none.pem");
        assert!(server_config(&none, &none).is_err());
        let text = dir.path().join("text.pem");
        std::fs::write(&text, "PRIVATE WORDS").unwrap();
        let error = server_config(&text, &text).unwrap_err().to_string();
        assert!(error.contains("text.pem") && !error.contains("PRIVATE WORDS"));
    }
}
