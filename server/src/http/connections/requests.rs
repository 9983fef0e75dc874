//! What happens around every request for the sake of its connection: when it begins and ends, whether its body was read to the
//! end, what its answer says of a stranger, and the wait of whoever presents wrong keys.
//!
//! A body that a route did not read to its end is kept until the answer is written. The HTTP library closes the connection then;
//! were the body dropped before, it would read a body without a stated length to its end, which may never come.
//! Not here: logging and counting (`http.rs`), whether a valid key has come (`auth.rs`), refusals for overload (`shoal-ingest`,
//! `admission`).

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_http::body::{BodySize, MessageBody};
use actix_http::error::PayloadError;
use actix_web::HttpMessage;
use actix_web::body::EitherBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::{ConnectionType, Method};
use actix_web::middleware::Next;
use actix_web::web;
use bytes::Bytes;
use futures::Stream;

use super::gate::Standing;
use super::line::Line;
use super::network::Network;
use crate::http::routes::peer;
use crate::problem::{Problem, ProblemType, says_that_the_key_is_wrong};
use crate::state::State;

/// The answer of a route, or one of ours.
type Answer<B> = ServiceResponse<Tracked<EitherBody<B>>>;

/// Around every request.
pub(in crate::http) async fn around<B: MessageBody + 'static>(
    state: web::Data<State>,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<Answer<B>, actix_web::Error> {
    let line = request.conn_data::<Rc<Line>>().cloned();
    let open = Open::begin(line.clone(), request.method());
    let body = Body::tap(&mut request);
    if line.as_ref().is_some_and(|line| line.is_reserve()) && !is_health(request.path()) {
        let problem = Problem::new(ProblemType::Busy, "too many connections; send again in a second");
        let mut response = request.into_response(problem.retry_after(1).response());
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        return Ok(response.map_body(|_, answer| Tracked::new(EitherBody::right(answer), body, open)));
    }
    let client = Network::of(peer(request.request(), &state.config.http));
    let response = next.call(request).await?;
    if says_that_the_key_is_wrong(response.status()) {
        if let Some(line) = &line {
            line.stands(Standing::Refused);
        }
        // Whoever has a valid key never comes here, whatever others send from the same address.
        tokio::time::sleep(state.failing_keys.failed(client, Instant::now())).await;
    }
    Ok(response.map_body(|_, answer| Tracked::new(EitherBody::left(answer), body, open)))
}

/// The paths for which seats are kept.
fn is_health(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}

/// A request that is not answered to its last byte yet.
struct Open {
    line: Option<Rc<Line>>,
    /// Before a browser sends a key it asks, without one, whether it may.
    could_show_a_key: bool,
    is_unread: bool,
}

impl Open {
    fn begin(line: Option<Rc<Line>>, method: &Method) -> Open {
        if let Some(line) = &line {
            line.note(super::times::Times::began);
        }
        Open { line, could_show_a_key: method != Method::OPTIONS, is_unread: false }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            line.note(|times| times.answered(self.is_unread, Instant::now()));
            if self.could_show_a_key {
                line.stands(Standing::Answered);
            }
        }
    }
}

/// A request's body, which the route and the answer share.
#[derive(Clone)]
struct Body(Rc<RefCell<Read>>);

struct Read {
    payload: Payload,
    has_ended: bool,
}

impl Body {
    /// Puts itself in the place of the body; `None` when there is none.
    fn tap(request: &mut ServiceRequest) -> Option<Body> {
        let payload = request.take_payload();
        if matches!(payload, Payload::None) {
            return None;
        }
        let body = Body(Rc::new(RefCell::new(Read { payload, has_ended: false })));
        request.set_payload(Payload::Stream { payload: Box::pin(body.clone()) });
        Some(body)
    }
}

impl Stream for Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut read = self.0.borrow_mut();
        let polled = Pin::new(&mut read.payload).poll_next(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            read.has_ended = true;
        }
        polled
    }
}

/// An answer's body. With its end the request ends, and what is left of the request's body is dropped.
pub(in crate::http) struct Tracked<B> {
    answer: Pin<Box<B>>,
    // In this order: the body is there until the connection knows of it.
    _open: Open,
    _request: Option<Body>,
}

impl<B: MessageBody> Tracked<B> {
    fn new(answer: B, request: Option<Body>, mut open: Open) -> Tracked<B> {
        let request = request.filter(|body| !body.0.borrow().has_ended);
        open.is_unread = request.is_some();
        Tracked { answer: Box::pin(answer), _open: open, _request: request }
    }
}

impl<B: MessageBody> MessageBody for Tracked<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.answer.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        self.get_mut().answer.as_mut().poll_next(cx)
    }
}
