//! Which web pages may send events. Only the endpoints of SDKs answer browsers of other origins; nothing can be read
//! this way.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, header};
use actix_web::middleware::Next;
use actix_web::{HttpResponse, web};

use crate::state::State;

const HEADERS: &str =
    "authorization, content-type, content-encoding, x-sentry-auth, x-retry-count, sentry-trace, baggage";

/// Answers a browser's question beforehand, and lets it see the answer of an SDK's request.
pub(super) async fn around<B: MessageBody>(
    state: web::Data<State>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let allowed =
        is_sdk_endpoint(request.path()).then(|| allowed(&state.config.http.cors_origins, &request)).flatten();
    if request.method() == Method::OPTIONS
        && let Some(origin) = &allowed
    {
        let answer = HttpResponse::NoContent()
            .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.as_str()))
            .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "POST"))
            .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS))
            .insert_header((header::ACCESS_CONTROL_MAX_AGE, "86400"))
            .insert_header((header::VARY, "Origin"))
            .finish();
        return Ok(request.into_response(answer).map_into_right_body());
    }
    let mut response = next.call(request).await?.map_into_left_body();
    if let Some(origin) = allowed.and_then(|o| header::HeaderValue::from_str(&o).ok()) {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers
            .insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, header::HeaderValue::from_static("retry-after"));
        headers.insert(header::VARY, header::HeaderValue::from_static("Origin"));
    }
    Ok(response)
}

fn is_sdk_endpoint(path: &str) -> bool {
    matches!(path, "/v1/events" | "/v1/batch" | "/v1/consents")
        || (path.starts_with("/api/") && path.trim_end_matches('/').ends_with("/envelope"))
}

/// What `Access-Control-Allow-Origin` says: any, or the request's own origin when it is listed.
fn allowed(origins: &[String], request: &ServiceRequest) -> Option<String> {
    let origin = request.headers().get(header::ORIGIN)?.to_str().ok()?;
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
    fn only_the_endpoints_of_sdks_and_only_listed_origins() {
        assert!(is_sdk_endpoint("/v1/events") && is_sdk_endpoint("/api/7/envelope/"));
        assert!(
            !is_sdk_endpoint("/v1/sql")
                && !is_sdk_endpoint("/v1/retention/runs")
                && !is_sdk_endpoint("/metrics")
        );
        let from =
            |origin: &'static str| TestRequest::default().insert_header(("origin", origin)).to_srv_request();
        let listed = ["https://shop.example".to_owned()];
        assert_eq!(allowed(&listed, &from("https://shop.example")).as_deref(), Some("https://shop.example"));
        assert_eq!(allowed(&listed, &from("https://shop.example.evil")), None);
        assert_eq!(allowed(&["*".to_owned()], &from("https://any")).as_deref(), Some("*"));
        assert_eq!(allowed(&["*".to_owned()], &TestRequest::default().to_srv_request()), None);
    }
}
