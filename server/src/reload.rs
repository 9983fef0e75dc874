//! SIGHUP: the configuration is read again, and what can be changed while the service runs is changed.
//!
//! Certificates and private keys of TLS, the country database, the level of log lines and the access keys are taken over from
//! their files. Everything else needs a restart, and the log says which changed settings do.
//!
//! Invariant: everything is read and checked before anything is changed, so a configuration that is wrong anywhere changes
//! nothing, and the log says what is wrong with it.
//! Not here: the signal (`cli/serve.rs`), access keys, which are looked at every second anyway (`access_keys/live.rs`).

use std::path::PathBuf;

use shoal_ingest::GeoDb;

use crate::config::Loaded;
use crate::error::Error;
use crate::logs::Level;
use crate::state::State;
use crate::tls;

/// Settings whose changes are taken over.
const TAKEN: [&str; 4] = ["http.tls_cert", "http.tls_key", "country_mmdb", "log.level"];

/// What the service was started with.
pub(crate) struct Reload {
    pub(crate) file: Option<PathBuf>,
    pub(crate) started_with: Loaded,
    pub(crate) level: Level,
}

impl Reload {
    /// Takes over what has changed, or says why nothing is.
    pub(crate) fn run(&self, state: &State) {
        match self.take(state) {
            Ok(waiting) if waiting.is_empty() => tracing::info!("the configuration was read again"),
            Ok(waiting) => {
                let settings = waiting.join(", ");
                tracing::warn!(settings, "the configuration was read again; these settings need a restart");
            }
            Err(error) => {
                let error = error.to_string().replace('\n', "; ");
                tracing::error!(
                    error,
                    "the new configuration is wrong: nothing is changed, the old one stays"
                );
            }
        }
    }

    /// The names of the settings that have changed and need a restart.
    fn take(&self, state: &State) -> Result<Vec<&'static str>, Error> {
        let new = Loaded::for_service(self.file.as_deref(), std::env::vars_os())?;
        let mut waiting = self.started_with.changed(&new);
        let tls = new.config.http.tls().map(|(cert, key)| tls::server_config(cert, key)).transpose()?;
        let geo = new.config.country_mmdb.as_deref().map(GeoDb::open).transpose()?;
        // From here on nothing fails. What was there at the start cannot come or go.
        let mut is_taken = TAKEN.to_vec();
        match (&state.tls, tls) {
            (Some(shown), Some(tls)) => shown.store(tls.into()),
            _ => is_taken.retain(|name| !name.starts_with("http.tls")),
        }
        if !geo.is_some_and(|geo| state.ingest.replace_geo(&geo)) {
            is_taken.retain(|name| *name != "country_mmdb");
        }
        self.level.set(new.config.log.level);
        state.keys.refresh();
        waiting.retain(|name| !is_taken.contains(name));
        Ok(waiting)
    }
}
