//! Which web pages may send events. Only the routes that apps send to are wrapped in this (`routes.rs`), and a page may read that
//! a path is none; nothing else can be read this way.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::state::State;

/// Answers a browser's question beforehand, and lets it see the answer of an SDK's request.
pub(super) async fn around<B: MessageBody>(
    state: web::Data<State>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let allowed = allowed(&state.config.http.cors_origins, request.headers());
    if request.method() == Method::OPTIONS
        && let Some(origin) = &allowed
    {
        let answer = beforehand(origin, request.headers());
        return Ok(request.into_response(answer).map_into_right_body());
    }
    let mut response = next.call(request).await?.map_into_left_body();
    if let Some(origin) = &allowed {
        show(response.headers_mut(), origin);
    }
    Ok(response)
}

/// The answer where nothing is served. A page whose SDK has a wrong path can only tell so when it may read that.
pub(super) fn of_no_route(state: &State, request: &HttpRequest, mut answer: HttpResponse) -> HttpResponse {
    let Some(origin) = allowed(&state.config.http.cors_origins, request.headers()) else { return answer };
    if request.method() == Method::OPTIONS {
        return beforehand(&origin, request.headers());
    }
    show(answer.headers_mut(), &origin);
    answer
}

/// The answer to a browser's question beforehand.
fn beforehand(origin: &str, headers: &HeaderMap) -> HttpResponse {
    let mut answer = HttpResponse::NoContent()
        .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, origin))
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "POST"))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, "86400"))
        .insert_header((header::VARY, "Origin, Access-Control-Request-Headers"))
        .finish();
    // SDKs and apps set headers of their own: whichever are asked for may be sent, since none of them is trusted.
    if let Some(asked) = asked(headers) {
        answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
    }
    answer
}

/// Lets a page of this origin read the answer.
fn show(headers: &mut HeaderMap, origin: &str) {
    if let Ok(origin) = HeaderValue::from_str(origin) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    }
}

/// The headers that a page asks to send, when they are a list of names.
fn asked(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS)?;
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || b"-_, ".contains(b);
    (asked.len() <= 1024 && asked.as_bytes().iter().all(is_name)).then(|| asked.clone())
}

/// What `Access-Control-Allow-Origin` says: any, or the request's own origin when it is listed.
fn allowed(origins: &[String], headers: &HeaderMap) -> Option<String> {
    let origin = headers.get(header::ORIGIN)?.to_str().ok()?;
    if origins.iter().any(|o| o == "*") {
        return Some("*".to_owned());
    }
    origins.iter().find(|o| o.as_str() == origin).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn the_headers_that_a_page_asks_for_are_those_it_may_send() {
        let asked_for = |value: &'static str| {
            let request = TestRequest::default().insert_header(("access-control-request-headers", value));
            asked(request.to_srv_request().headers()).map(|v| v.to_str().unwrap_or_default().to_owned())
        };
        assert_eq!(asked_for("x-mcs-appkey, content-type").as_deref(), Some("x-mcs-appkey, content-type"));
        assert_eq!(asked_for("<script>"), None);
        assert_eq!(asked(TestRequest::default().to_srv_request().headers()), None);
    }

    #[test]
    fn only_listed_origins() {
        let from =
            |origin: &'static str| TestRequest::default().insert_header(("origin", origin)).to_srv_request();
        let allowed = |origins: &[String], request: &ServiceRequest| allowed(origins, request.headers());
        let listed = ["https://shop.example".to_owned()];
        assert_eq!(allowed(&listed, &from("https://shop.example")).as_deref(), Some("https://shop.example"));
        assert_eq!(allowed(&listed, &from("https://shop.example.evil")), None);
        assert_eq!(allowed(&["*".to_owned()], &from("https://any")).as_deref(), Some("*"));
        assert_eq!(allowed(&["*".to_owned()], &TestRequest::default().to_srv_request()), None);
    }
}
