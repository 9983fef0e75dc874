//! The custodies that a configuration sets up.
//!
//! Not here: what they are (`shoal-custody`), the settings (`config/key_settings.rs`), the key file (`key_file.rs`).

use std::time::Duration;

use shoal_custody::{Custodies, CustodyError, CustodySettings, Pkcs11Settings, Token, TransitSettings};
use zeroize::Zeroizing;

use crate::config::{Config, KeySettings};

/// The variables with the token of a transit service, as the service's own tools read them. They are secrets, and so no settings.
const TOKEN_VARIABLES: [&str; 2] = ["BAO_TOKEN", "VAULT_TOKEN"];

/// The custodies of a configuration. None is asked yet.
///
/// # Errors
/// When settings of one are missing that it cannot do without.
pub(crate) fn custodies(config: &Config) -> Result<Custodies, CustodyError> {
    let keys = &config.keys;
    Ok(Custodies::new(CustodySettings {
        wraps: keys.custody,
        wrapping_file: keys.wrapping_file.clone(),
        pkcs11: pkcs11(keys)?,
        transit: transit(keys)?,
    }))
}

fn pkcs11(keys: &KeySettings) -> Result<Option<Pkcs11Settings>, CustodyError> {
    let Some(module) = keys.pkcs11_module.clone() else { return Ok(None) };
    let pin_file =
        keys.pkcs11_pin_file.clone().ok_or_else(|| missing("pkcs11", "`keys.pkcs11_pin_file` is not set"))?;
    let (token, key) = (keys.pkcs11_token.clone(), keys.pkcs11_key.clone());
    Ok(Some(Pkcs11Settings { module, token, key, pin_file, timeout: timeout(keys) }))
}

fn transit(keys: &KeySettings) -> Result<Option<TransitSettings>, CustodyError> {
    let Some(url) = keys.transit_url.clone() else { return Ok(None) };
    Ok(Some(TransitSettings {
        url,
        mount: keys.transit_mount.clone(),
        key: keys.transit_key.clone(),
        token: token(keys)?,
        namespace: keys.transit_namespace.clone(),
        ca_file: keys.transit_ca_file.clone(),
        allow_http: keys.transit_allow_http,
        timeout: timeout(keys),
    }))
}

fn token(keys: &KeySettings) -> Result<Token, CustodyError> {
    if let Some(path) = &keys.transit_token_file {
        return Ok(Token::File(path.clone()));
    }
    let found = TOKEN_VARIABLES.iter().find_map(|variable| std::env::var(variable).ok());
    found.filter(|text| !text.is_empty()).map(|text| Token::Text(Zeroizing::new(text))).ok_or_else(|| {
        missing(
            "transit",
            "`keys.transit_token_file` is not set, and neither is the variable BAO_TOKEN or VAULT_TOKEN",
        )
    })
}

fn timeout(keys: &KeySettings) -> Duration {
    Duration::from_millis(keys.timeout_ms)
}

fn missing(kind: &str, reason: &str) -> CustodyError {
    CustodyError::Unusable { place: format!("custody `{kind}`"), reason: reason.to_owned() }
}
