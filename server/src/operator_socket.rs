//! How a command of an operator asks the running service: a socket of this machine, in the data directory, which nobody but the
//! account of the service and root can open.
//!
//! ```text
//! <data_dir>/control/operator.sock       one line of JSON each way, and then it is closed
//! "status"                               -> {"ok": {..}}
//! {"backup": "<absolute directory>"}     -> {"ok": {..}} or {"error": ".."}
//! "keys", {"key": "<id>"}                -> {"ok": [{..}, ..]} or {"error": ".."}
//! {"stored_key": {"shred_day": ["DE","usage",20787]}}  -> {"ok": {..}} or {"error": ".."}
//! "reload"                               -> {"ok": {..}} or {"error": ".."}
//! "access_keys_changed"                  -> {"ok": null}, once they are in force
//! {"on_subjects": ["erase", {"subjects": [..]}]} -> {"ok": {..}} or {"error": ".."}, once nobody of them is in a new answer
//! {"plan_erasure": {"subjects": [..]}}  -> {"ok": {..}} or {"error": ".."}
//! {"access": {"subject": {"user_id": ".."}, "region": "DE"}}   -> {"ok": ".."} or {"error": ".."}
//! {"receipts": ["<uuid>", "DE", null]}, {"receipt_key": "DE"}  -> {"ok": ..} or {"error": ".."}
//! {"subject_request": "<uuid>"}, "subject_requests", {"lift_subject_request": ["<uuid>", {"informed": true}]}  -> the same
//! ```
//! Who may write the data needs no key. What is told here counts events exactly, so no proxy and no address leads here. Invariants:
//! there are so many connections at one time, each has so long for its line, and a line is so long at the most; the socket goes with
//! the service; a backup ends with the command that has asked for it. Not here: what is told (`status.rs`, `keys_told.rs`), making
//! a backup (`backup`), reading the configuration again (`reload.rs`).

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream as Blocking;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shoal_audit::{Actor, Role};
use shoal_schemas::Region;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;

use crate::access::{self, AccessAsked};
use crate::backup::running;
use crate::erasures;
use crate::error::Error;
use crate::keys_told;
use crate::receipts::Which;
use crate::reload::{By, Reload};
use crate::state::State;
use crate::status::Status;
use crate::stored_keys::KeyAct;
use crate::subjects::{self, ActWord, LiftAsked, SubjectsAsked};

/// Connections at one time. A further one waits.
const CONNECTIONS_MAX: usize = 4;
const LINE_BYTES_MAX: u64 = 64 << 10;
const LINE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a command waits for an answer that must come soon.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// Whoever can open the socket.
const BY_OPERATOR: Actor = Actor { key: None, role: Role::Operator };

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Asked {
    /// What `shoal status` shows.
    Status,
    /// A backup in this directory, which has its path from the root.
    Backup(PathBuf),
    /// All active keys, and what became of what came with each.
    Keys,
    /// The same of the key of this id.
    Key(String),
    /// An act on keys of the key store.
    StoredKey(KeyAct),
    /// To read the configuration and the definitions again, and take over what can be.
    Reload,
    /// To read the access keys again, since one was made or revoked.
    AccessKeysChanged,
    /// To act on behalf of persons.
    OnSubjects(ActWord, SubjectsAsked),
    /// What an erasure would take.
    PlanErasure(SubjectsAsked),
    /// How far a request of a person has come.
    SubjectRequest(Uuid),
    /// The restrictions and exclusions that are in force.
    SubjectRequests,
    /// To lift one of them.
    LiftSubjectRequest(Uuid, LiftAsked),
    /// What is kept of a person in a region.
    Access(AccessAsked),
    /// The receipts of a request in a region: the person's, or the full ones with this part of their list of removed files.
    Receipts(Uuid, Region, Option<u64>),
    /// The public key of the receipts of a region.
    ReceiptKey(Region),
}

/// What answers.
#[derive(Clone)]
struct Service {
    state: web::Data<State>,
    /// None where there is nothing to read again.
    reload: Option<Arc<Reload>>,
}

/// The socket while it is served.
pub(crate) struct OperatorSocket {
    path: PathBuf,
    served: JoinHandle<()>,
}

fn path_of(data_dir: &Path) -> PathBuf {
    data_dir.join("control").join("operator.sock")
}

impl OperatorSocket {
    /// Serves it; none, with a warning, where it cannot be made: a path of more than about a hundred bytes is too long for one.
    pub(crate) fn listen(state: &web::Data<State>, reload: Option<Arc<Reload>>) -> Option<OperatorSocket> {
        let path = path_of(&state.config.data_dir);
        // The lock of the directory is held, so this is one that a crash left.
        let _ = std::fs::remove_file(&path);
        let bound = UnixListener::bind(&path).and_then(|listener| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
            Ok(listener)
        });
        match bound {
            Ok(listener) => {
                let service = Service { state: state.clone(), reload };
                let served = tokio::spawn(serve(service, listener));
                Some(OperatorSocket { path, served })
            }
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "no socket for commands of operators");
                None
            }
        }
    }

    /// Ends what is asked, and takes the socket away.
    pub(crate) async fn close(self) {
        self.served.abort();
        let _ = self.served.await;
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn serve(service: Service, listener: UnixListener) {
    let mut open = JoinSet::new();
    loop {
        while open.len() >= CONNECTIONS_MAX {
            open.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                open.spawn(answer(service.clone(), stream));
            }
            Err(error) => {
                tracing::warn!(%error, "a command of an operator could not be heard");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        while open.try_join_next().is_some() {}
    }
}

async fn answer(service: Service, stream: UnixStream) {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(read.take(LINE_BYTES_MAX));
    let heard = tokio::time::timeout(LINE_TIMEOUT, reader.read_line(&mut line)).await;
    let answered = match heard {
        Ok(Ok(_)) => match serde_json::from_str::<Asked>(&line) {
            Ok(asked @ Asked::Backup(_)) => tokio::select! {
                told = told(&service, asked) => told,
                // It takes long, and nobody waits for it any more.
                () = gone(&mut reader) => return,
            },
            Ok(asked) => told(&service, asked).await,
            Err(_) => Err("this version of the service does not know what was asked".to_owned()),
        },
        _ => return,
    };
    let told = answered.map_or_else(|error| json!({"error": error}), |ok| json!({"ok": ok}));
    // Who went away meanwhile does not need it.
    let _ = write.write_all(format!("{told}\n").as_bytes()).await;
}

/// Returns when the command at the other end is gone. It says nothing after its line.
async fn gone(reader: &mut (impl AsyncRead + Unpin)) {
    let mut rest = [0; 64];
    while matches!(reader.read(&mut rest).await, Ok(bytes) if bytes > 0) {}
}

async fn told(service: &Service, asked: Asked) -> Result<Value, String> {
    let Service { state, reload } = service;
    let told = match asked {
        Asked::Keys => Ok(keys_told::all(state)),
        Asked::Key(id) => Ok(keys_told::one(state, &id)?),
        Asked::Status => serde_json::to_value(Status::of_running(state).await),
        Asked::Backup(dir) if dir.is_absolute() => {
            let made = running::make(state, &dir).await;
            serde_json::to_value(made.map_err(|error| {
                tracing::error!(%error, "a backup could not be made");
                error.to_string()
            })?)
        }
        Asked::Reload => match reload {
            Some(reload) => {
                let reloaded = reload.run(state, By::Command).await;
                serde_json::to_value(reloaded.map_err(|error| error.to_string())?)
            }
            None => return Err("this service has no configuration that it could read again".to_owned()),
        },
        Asked::AccessKeysChanged => {
            state.keys.refresh();
            Ok(Value::Null)
        }
        Asked::OnSubjects(word, asked) => {
            let wanted =
                asked.checked(word, Region::ALL, state.now_ms()).map_err(|problem| problem.detail)?;
            Ok(subjects::begin(state, wanted, BY_OPERATOR).await.map_err(|problem| problem.detail)?)
        }
        Asked::PlanErasure(asked) => {
            let wanted = asked.checked(ActWord::Erase, Region::ALL, state.now_ms());
            let wanted = wanted.map_err(|problem| problem.detail)?;
            Ok(erasures::plan(state, wanted, BY_OPERATOR).await.map_err(|error| error.to_string())?)
        }
        Asked::SubjectRequest(request) => {
            let told = subjects::told(state, request);
            Ok(told.ok_or_else(|| subjects::no_such_request().detail)?)
        }
        Asked::SubjectRequests => Ok(subjects::in_force(state, Region::ALL)),
        Asked::LiftSubjectRequest(request, asked) => {
            let lifted = subjects::lift(state, request, asked, (Region::ALL, BY_OPERATOR)).await;
            Ok(lifted.map_err(|problem| problem.detail)?)
        }
        Asked::Access(asked) => {
            Ok(json!(access::document(state, asked, BY_OPERATOR).await.map_err(|problem| problem.detail)?))
        }
        Asked::Receipts(request, region, part) => {
            let which = part.map_or(Which::Personal, Which::Full);
            let state = state.clone();
            let read = move || subjects::receipts(&state, request, region, which);
            let documents = tokio::task::spawn_blocking(read).await;
            let documents = documents.map_err(|_| "the receipts could not be read".to_owned())?;
            Ok(json!(documents.map_err(|error| error.to_string())?))
        }
        Asked::ReceiptKey(region) => {
            Ok(json!(state.receipts.public_key(region).map_err(|error| error.to_string())?))
        }
        Asked::StoredKey(act) => {
            let done = state.act_on_stored_key(&act).await;
            serde_json::to_value(done.map_err(|error| {
                tracing::error!(%error, "an act on a stored key failed");
                error.to_string()
            })?)
        }
        Asked::Backup(_) => {
            return Err("the directory of a backup must have its path from the root".to_owned());
        }
    };
    told.map_err(|e| e.to_string())
}

/// Asks the service that serves a data directory; none when none does.
///
/// # Errors
/// When it refuses, breaks off or does not answer.
pub(crate) fn ask(data_dir: &Path, asked: &Asked) -> Result<Option<Value>, Error> {
    let path = path_of(data_dir);
    let remote = |e: std::io::Error| Error::Remote(format!("{}: {e}", path.display()));
    let mut stream = match Blocking::connect(&path) {
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => return Ok(None),
        connected => connected.map_err(remote)?,
    };
    let timeout = match asked {
        Asked::Status
        | Asked::Keys
        | Asked::Key(_)
        | Asked::AccessKeysChanged
        | Asked::SubjectRequest(_)
        | Asked::SubjectRequests
        | Asked::Receipts(..)
        | Asked::ReceiptKey(_) => Some(ANSWER_TIMEOUT),
        // One takes as long as the data are large, the others may wait for commits of tables, or for questions that run.
        Asked::Backup(_)
        | Asked::Reload
        | Asked::StoredKey(_)
        | Asked::OnSubjects(..)
        | Asked::PlanErasure(_)
        | Asked::Access(_)
        | Asked::LiftSubjectRequest(..) => None,
    };
    stream.set_read_timeout(timeout).map_err(remote)?;
    let line = serde_json::to_string(asked).map_err(|e| Error::Usage(e.to_string()))?;
    stream.write_all(format!("{line}\n").as_bytes()).map_err(remote)?;
    let mut told = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut told).map_err(remote)?;
    let mut told: Value =
        serde_json::from_str(&told).map_err(|_| Error::Remote("the service broke off".into()))?;
    match told["error"].as_str() {
        Some(error) => Err(Error::Remote(error.to_owned())),
        None => Ok(Some(told["ok"].take())),
    }
}
