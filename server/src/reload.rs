//! SIGHUP and `shoal reload`: the configuration is read again, and what can be changed while the service runs is changed.
//!
//! Certificates and private keys of TLS, the country database, the level of log lines, the access keys and the definitions are taken
//! over from their files. Everything else needs a restart, and the log says which changed settings do.
//!
//! Invariants: one reload at a time; everything is read and checked before anything is changed, so what is wrong anywhere changes
//! nothing, and all that is wrong is told; requests, questions and flushes that have begun go on by what they began with.
//! Not here: the signal (`cli/serve.rs`), the command's socket (`operator_socket.rs`), what may be changed about definitions
//! (`definitions.rs`), access keys, which are looked at every second anyway (`access_keys/live.rs`).

mod line;

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use serde::{Deserialize, Serialize};
use shoal_ingest::GeoDb;
use shoal_schemas::{Changes, Registry};

use self::line::ReloadLine;
use crate::config::Loaded;
use crate::definitions::{self, Successor};
use crate::error::Error;
use crate::logs::Level;
use crate::state::State;
use crate::tls;

pub(crate) use self::line::By;

/// Settings whose changes are taken over whatever the service was started with.
const ALWAYS_TAKEN: [&str; 2] = ["log.level", "schemas_dir"];
/// Settings of files that are read again if the service was started with such files.
const TLS: [&str; 2] = ["http.tls_cert", "http.tls_key"];
const COUNTRIES: &str = "country_mmdb";

/// What the service was started with.
pub(crate) struct Reload {
    file: Option<PathBuf>,
    started_with: Loaded,
    level: Level,
    turn: tokio::sync::Mutex<()>,
}

/// What a reload has done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Reloaded {
    /// About the definitions.
    #[serde(flatten)]
    pub(crate) definitions: Changes,
    /// Settings that are in force and that the service was not started with.
    #[serde(default)]
    pub(crate) settings_taken: Vec<String>,
    /// Settings whose files were read again.
    #[serde(default)]
    pub(crate) files_read: Vec<String>,
    /// Settings that have changed since the start and need a restart.
    pub(crate) settings_need_restart: Vec<String>,
}

/// What was read and is right.
struct Read {
    new: Loaded,
    tls: Option<ServerConfig>,
    geo: Option<GeoDb>,
    registry: Registry,
}

/// What can be taken over at once.
struct Checked {
    new: Loaded,
    tls: Option<ServerConfig>,
    geo: Option<GeoDb>,
    successor: Successor,
}

impl Reload {
    pub(crate) fn new(file: Option<PathBuf>, started_with: Loaded, level: Level) -> Reload {
        Reload { file, started_with, level, turn: tokio::sync::Mutex::default() }
    }

    /// Takes over what has changed, or says why nothing is; in the log as well.
    ///
    /// # Errors
    /// Everything that is wrong: nothing is changed then.
    pub(crate) async fn run(self: &Arc<Self>, state: &State, by: By) -> Result<Reloaded, Error> {
        let _turn = self.turn.lock().await;
        let line = ReloadLine::begin(&state.audit, by, state.now_ms());
        let reloaded = match self.checked(state).await {
            Ok(checked) => {
                let written = line.done(&checked.successor.changes).await;
                written.map(|()| self.take(state, checked))
            }
            Err(error) => {
                line.not_done(&error).await;
                Err(error)
            }
        };
        note(&reloaded);
        reloaded
    }

    /// Reads and checks everything, and gives the tables their columns.
    async fn checked(self: &Arc<Self>, state: &State) -> Result<Checked, Error> {
        let reload = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || reload.read()).await;
        let Read { new, tls, geo, registry } =
            read.unwrap_or_else(|_| Err(Error::Service("the reload broke off".into())))?;
        let store = state.retention.store();
        let successor = Successor::of(registry, &state.definitions, store).await?;
        successor.prepare(store).await?;
        Ok(Checked { new, tls, geo, successor })
    }

    fn read(&self) -> Result<Read, Error> {
        let new = Loaded::for_service(self.file.as_deref(), std::env::vars_os())?;
        let tls = new.config.http.tls().map(|(cert, key)| tls::server_config(cert, key)).transpose()?;
        let geo = new.config.country_mmdb.as_deref().map(GeoDb::open).transpose()?;
        let registry = definitions::read(new.config.schemas_dir.as_deref())?;
        Ok(Read { new, tls, geo, registry })
    }

    /// Nothing here fails. What was there at the start cannot come or go, but for an overlay.
    fn take(&self, state: &State, checked: Checked) -> Reloaded {
        let Checked { new, tls, geo, successor } = checked;
        let mut files_read = Vec::new();
        if let (Some(shown), Some(tls)) = (&state.tls, tls) {
            shown.store(tls.into());
            files_read.extend(TLS);
        }
        if geo.is_some_and(|geo| state.ingest.replace_geo(&geo)) {
            files_read.push(COUNTRIES);
        }
        let definitions = successor.take_over(&state.definitions);
        self.level.set(new.config.log.level);
        state.keys.refresh();
        let is_taken = |name: &&str| files_read.contains(name) || ALWAYS_TAKEN.contains(name);
        let (taken, waiting): (Vec<_>, Vec<_>) =
            self.started_with.changed(&new).into_iter().partition(is_taken);
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        Reloaded {
            definitions,
            settings_taken: owned(taken),
            settings_need_restart: owned(waiting),
            files_read: owned(files_read),
        }
    }
}

/// Tells the log how a reload has ended.
fn note(reloaded: &Result<Reloaded, Error>) {
    let Reloaded { definitions, settings_taken, files_read, settings_need_restart } = match reloaded {
        Ok(reloaded) => reloaded,
        Err(error) => {
            let error = error.to_string().replace('\n', "; ");
            tracing::error!(
                error,
                "the configuration cannot be taken over: nothing is changed, the old one stays"
            );
            return;
        }
    };
    if !definitions.is_none() {
        let Changes { events_added, properties_added, files_changed } = definitions;
        let (events, properties) = (events_added.join(", "), properties_added.join(", "));
        let files = files_changed.join(", ");
        tracing::info!(events, properties, files, "other definitions are in force");
    }
    let (taken, files) = (settings_taken.join(", "), files_read.join(", "));
    tracing::info!(taken, files, "the configuration was read again");
    if !settings_need_restart.is_empty() {
        let settings = settings_need_restart.join(", ");
        tracing::warn!(settings, "these settings need a restart");
    }
}
