//! A service inside the test, with a clock that the test moves, and a client that speaks plain HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::Value;
use shoal_schemas::{Programme, Region};
use shoal_server::keys::{KeyStore, Role, Scope};
use shoal_server::{Config, Running, start};

/// 2026-11-22T10:00:00Z.
pub(crate) const NOW_MS: i64 = 1_795_341_600_000;
pub(crate) const POLICY: &str = "2026-1";

/// A running service and its directory.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) clock_ms: Arc<AtomicI64>,
    pub(crate) running: Running,
    pub(crate) store: KeyStore,
}

impl World {
    /// The defaults, on a free port.
    pub(crate) async fn start() -> World {
        World::start_with(|_| {}).await
    }

    /// With settings of the test's own.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> World {
        let dir = tempfile::tempdir().unwrap();
        let clock_ms = Arc::new(AtomicI64::new(NOW_MS));
        let running = serve(&dir, &clock_ms, change).await;
        let store = KeyStore::new(&dir.path().join("data"));
        World { dir, clock_ms, running, store }
    }

    /// Stops, and starts again over the same directory.
    pub(crate) async fn restart(self) -> World {
        let World { dir, clock_ms, running, store } = self;
        running.stop().await.unwrap();
        let running = serve(&dir, &clock_ms, |_| {}).await;
        World { dir, clock_ms, running, store }
    }

    pub(crate) fn advance_ms(&self, ms: i64) {
        self.clock_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// A key for all regions and both programmes.
    pub(crate) async fn ingest_key(&self) -> String {
        self.key(Scope::Ingest {
            app: "camera".into(),
            regions: Region::ALL.to_vec(),
            programme: None,
            policy: None,
        })
        .await
    }

    /// A key that asserts consent to one programme.
    pub(crate) async fn asserting_key(&self, programme: Programme) -> String {
        let (regions, policy) = (Region::ALL.to_vec(), Some(POLICY.to_owned()));
        self.key(Scope::Ingest { app: "camera".into(), regions, programme: Some(programme), policy }).await
    }

    pub(crate) async fn person_key(&self, role: Role, regions: &[Region]) -> String {
        self.key(Scope::Analyst { role, regions: regions.to_vec() }).await
    }

    /// A new key, which the service knows when this returns.
    pub(crate) async fn key(&self, scope: Scope) -> String {
        let key = self.store.create(scope, NOW_MS).unwrap().reveal();
        self.running.flush().await.unwrap();
        key
    }

    pub(crate) async fn post(&self, path: &str, key: &str, body: impl Into<Vec<u8>>) -> Answer {
        let headers =
            [("authorization", format!("Bearer {key}")), ("content-type", "application/json".into())];
        self.send("POST", path, &headers, body.into()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], Vec::new()).await
    }

    pub(crate) async fn send(
        &self,
        method: &'static str,
        path: &str,
        headers: &[(&str, String)],
        body: Vec<u8>,
    ) -> Answer {
        let url = format!("http://{}{path}", self.running.addr());
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(body).unwrap();
        tokio::task::spawn_blocking(move || {
            let config =
                ureq::Agent::config_builder().http_status_as_error(false).allow_non_standard_methods(true);
            let mut response = config.build().new_agent().run(request).unwrap();
            let body = response.body_mut().read_to_vec().unwrap();
            Answer { status: response.status().as_u16(), headers: response.headers().clone(), body }
        })
        .await
        .unwrap()
    }
}

async fn serve(
    dir: &tempfile::TempDir,
    clock_ms: &Arc<AtomicI64>,
    change: impl FnOnce(&mut Config),
) -> Running {
    let mut config = Config::embedded(dir.path()).unwrap();
    config.http.listen = "127.0.0.1:0".parse().unwrap();
    config.ingest.free_bytes_min = 0;
    change(&mut config);
    let clock = Arc::clone(clock_ms);
    start(config, Arc::new(move || clock.load(Ordering::SeqCst))).await.unwrap()
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}: {}", self.status, self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|v| v.to_str().unwrap())
    }
}
