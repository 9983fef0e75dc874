//! The client of one bucket: its threads, and how a request is repeated.
//!
//! Requests run on two threads of their own, and whoever asks waits without one of them. So a call may come from any thread that may
//! block, also one of another runtime: it cannot wait for itself.
//!
//! Invariants: a request is repeated here alone, so that nothing is sent twice without it being known, except the parts of an upload,
//! which have no effect until the upload is completed. A call ends within a bounded time. Not here: what a failure means (`failure`).

use std::future::Future;
use std::io;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use tokio::runtime::{Builder, Runtime};

use super::credentials::S3Credentials;
use super::failure::{Failure, Meaning};
use super::place::Place;
use super::settings::S3Settings;

/// Bytes of a part of an upload, and of a range that is read with one request.
pub(super) const PART_BYTES: usize = 8 << 20;
/// The first pause before a request is repeated, and the longest. Each is twice the one before, and up to a half shorter.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(5)];
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A bucket. Clones are the same.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) client: Arc<Client>,
    threads: Arc<Threads>,
}

impl Store {
    pub(super) fn connect(
        place: Place,
        settings: S3Settings,
        credentials: S3Credentials,
    ) -> io::Result<Store> {
        credentials.check()?;
        let client = Client::new(place, settings, credentials)?;
        Ok(Store { client: Arc::new(client), threads: Arc::new(Threads::start()?) })
    }

    /// Begins something on the threads of the store.
    pub(super) fn begin<F, T>(&self, work: impl FnOnce(Arc<Client>) -> F) -> Pending<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let (sender, receiver) = mpsc::sync_channel(1);
        let work = work(Arc::clone(&self.client));
        if let Some(runtime) = &self.threads.0 {
            // Nobody waits for the result of what is dropped.
            runtime.spawn(async move { sender.send(work.await).unwrap_or_default() });
        }
        Pending(receiver)
    }

    /// Does something on the threads of the store, and waits for it.
    pub(super) fn call<F, T>(
        &self,
        what: &dyn Fn() -> String,
        work: impl FnOnce(Arc<Client>) -> F,
    ) -> io::Result<T>
    where
        F: Future<Output = Result<T, Failure>> + Send + 'static,
        T: Send + 'static,
    {
        self.begin(work).wait().and_then(|done| done.map_err(|failure| failure.told(&what())))
    }
}

/// What was begun.
pub(super) struct Pending<T>(mpsc::Receiver<T>);

impl<T> Pending<T> {
    /// Waits for it.
    pub(super) fn wait(self) -> io::Result<T> {
        self.0.recv().map_err(|_| io::Error::other("a request to the store of S3 panicked"))
    }
}

/// The threads; none once they are told to end.
struct Threads(Option<Runtime>);

impl Threads {
    fn start() -> io::Result<Threads> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).thread_name("s3").enable_all().build()?;
        Ok(Threads(Some(runtime)))
    }
}

impl Drop for Threads {
    /// A runtime that is dropped waits, which no task of another one may.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// What requests are made with.
pub(super) struct Client {
    /// Makes one request, whatever comes of it.
    pub(super) once: AmazonS3,
    /// Repeats a request by itself.
    pub(super) patient: AmazonS3,
    pub(super) place: Place,
    settings: S3Settings,
}

impl Client {
    fn new(place: Place, settings: S3Settings, credentials: S3Credentials) -> io::Result<Client> {
        let region = settings.checked_region()?;
        let mut builder = AmazonS3Builder::new().with_bucket_name(&place.bucket).with_region(region);
        if let Some(endpoint) = settings.checked_endpoint()? {
            builder = builder.with_endpoint(endpoint);
        }
        let options = ClientOptions::new()
            .with_allow_http(settings.is_http_allowed)
            .with_connect_timeout(CONNECT_TIMEOUT.min(settings.request_timeout))
            .with_timeout(settings.request_timeout(PART_BYTES));
        let never = RetryConfig { max_retries: 0, ..RetryConfig::default() };
        let [init_backoff, max_backoff] = PAUSES;
        let patient = RetryConfig {
            backoff: BackoffConfig { init_backoff, max_backoff, base: 2.0 },
            max_retries: usize::MAX,
            retry_timeout: settings.give_up_after,
        };
        // What is wrong with the settings was found before; whatever else is, its text may have keys in it.
        let build = |builder: AmazonS3Builder| {
            builder.build().map_err(|_| io::Error::other("the client of the store of S3 cannot be made"))
        };
        // Whoever sends one request says how long it may take.
        let disabled = options.clone().with_timeout_disabled();
        let builder = builder.with_retry(never).with_client_options(disabled);
        let once = build(credentials.give(builder.clone()))?;
        let shared = Arc::clone(once.credentials());
        let patient =
            build(builder.with_credentials(shared).with_retry(patient).with_client_options(options))?;
        Ok(Client { once, patient, place, settings })
    }

    /// The time that a call has which carries so many bytes.
    pub(super) fn patience(&self, bytes: usize) -> Patience {
        Patience {
            end: Instant::now() + self.settings.give_up_after(bytes),
            request: self.settings.request_timeout(bytes),
            pause: PAUSES[0],
            requests: 0,
        }
    }

    /// Makes a request that has the same effect when it is made twice, until it is answered.
    pub(super) async fn repeat<T, F>(&self, bytes: usize, request: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut patience = self.patience(bytes);
        let mut is_in_doubt = false;
        loop {
            let failure = match patience.attempt(self, request()).await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            match failure.meaning {
                Meaning::InDoubt => is_in_doubt = true,
                Meaning::Undecided | Meaning::NoKeys => {}
                _ if is_in_doubt => return Err(failure.after_doubt()),
                _ => return Err(failure),
            }
            if !patience.pause().await {
                return Err(patience.end(failure, is_in_doubt));
            }
        }
    }

    /// Makes a request that is repeated by itself.
    pub(super) async fn patiently<T>(
        &self,
        bytes: usize,
        request: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut patience = self.patience(bytes);
        patience.request = self.settings.give_up_after(bytes);
        patience.attempt(self, request).await
    }
}

/// How long a call goes on.
pub(super) struct Patience {
    end: Instant,
    request: Duration,
    pause: Duration,
    requests: u32,
}

impl Patience {
    /// Makes one request, unless there is nothing to sign it with.
    pub(super) async fn attempt<T>(
        &mut self,
        client: &Client,
        request: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.requests += 1;
        let left = self.end.saturating_duration_since(Instant::now());
        let keys = tokio::time::timeout(left, client.once.credentials().get_credential()).await;
        if !matches!(keys, Ok(Ok(_))) {
            // Its error may repeat what the keys are got with.
            return Err(Failure::new(Meaning::NoKeys, "there are no keys to be had to sign a request with"));
        }
        let left = self.end.saturating_duration_since(Instant::now());
        match tokio::time::timeout(self.request.min(left), request).await {
            Ok(done) => done,
            Err(_) => Err(Failure::new(Meaning::InDoubt, "the store did not answer in time")),
        }
    }

    /// Waits before the next request. Whether there is to be one.
    pub(super) async fn pause(&mut self) -> bool {
        let mut random = [0; 2];
        let is_random = getrandom::fill(&mut random).is_ok();
        let share = if is_random { u32::from(u16::from_le_bytes(random)) } else { 0 };
        let pause = self.pause - self.pause.mul_f64(f64::from(share) / f64::from(u16::MAX) / 2.0);
        if Instant::now() + pause >= self.end {
            return false;
        }
        tokio::time::sleep(pause).await;
        self.pause = (self.pause * 2).min(PAUSES[1]);
        true
    }

    /// The failure after which there is no other request.
    pub(super) fn end(&self, failure: Failure, is_in_doubt: bool) -> Failure {
        let is_other = !matches!(failure.meaning, Meaning::InDoubt);
        let failure = failure.given_up(self.requests);
        if is_in_doubt && is_other { failure.after_doubt() } else { failure }
    }
}
