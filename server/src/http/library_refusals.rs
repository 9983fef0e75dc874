//! Refusals that no code of ours has written become problems: those of the HTTP library's extractors, and of the page at
//! `/docs/`.
//!
//! A refusal of ours is JSON: a problem, or what a vendor's SDK expects. One of the library's is text, which may quote the
//! request, or it has no body. It is replaced as a whole, so nothing of it gets out.
//! Not here: what is no HTTP at all, which the library answers before any route, without a body.

use actix_web::HttpResponse;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header;
use actix_web::middleware::Next;

use crate::problem::Problem;

/// Hands on what is ours, and replaces a refusal that is not.
pub(super) async fn around<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    match next.call(request).await {
        Ok(response) if is_the_librarys(response.response()) => {
            let mut refusal = Problem::of_library(response.status()).response();
            if let Some(allowed) = response.headers().get(header::ALLOW) {
                refusal.headers_mut().insert(header::ALLOW, allowed.clone());
            }
            Ok(response.into_response(refusal).map_into_right_body())
        }
        Ok(response) => Ok(response.map_into_left_body()),
        Err(error) => {
            let problem = Problem::of_library(error.as_response_error().status_code());
            Err(InternalError::from_response(error, problem.response()).into())
        }
    }
}

fn is_the_librarys<B>(response: &HttpResponse<B>) -> bool {
    let status = response.status();
    let media_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    (status.is_client_error() || status.is_server_error()) && !media_type.trim_end().ends_with("json")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use actix_web::middleware::from_fn;
    use actix_web::test::{self, TestRequest};
    use actix_web::{App, web};
    use serde_json::{Value, json};

    use super::*;

    type Named = std::collections::BTreeMap<String, u32>;

    #[test]
    fn whatever_an_extractor_refuses_is_a_problem_that_quotes_nothing() {
        let ok = || async { "ok" };
        actix_web::rt::System::new().block_on(async {
            let app = App::new()
                .wrap(from_fn(around))
                .app_data(web::PayloadConfig::new(16))
                .app_data(web::JsonConfig::default().limit(16))
                .route("/path/{number}", web::get().to(|_: web::Path<u32>| async { "ok" }))
                .route("/query", web::get().to(|_: web::Query<Named>| async { "ok" }))
                .route("/json", web::post().to(|_: web::Json<Named>| async { "ok" }))
                .route("/text", web::post().to(|_: String| async { "ok" }))
                .route("/broken", web::get().to(|| async { Err::<String, _>(std::io::Error::other("anna")) }))
                .service(web::resource("/method").route(web::get().to(ok)));
            let app = test::init_service(app).await;
            let long = "anna@example.org, and more";
            for (request, status, code) in [
                (TestRequest::get().uri("/path/anna@example.org"), 404, "unknown_path"),
                (TestRequest::get().uri("/nothing/anna@example.org"), 404, "unknown_path"),
                (TestRequest::post().uri("/method"), 405, "wrong_method"),
                (TestRequest::get().uri("/query?a=anna@example.org"), 422, "bad_request"),
                (TestRequest::post().uri("/json").set_payload("anna"), 422, "bad_request"),
                (TestRequest::post().uri("/json").set_json(long), 413, "too_large"),
                (TestRequest::post().uri("/text").set_payload(long), 413, "too_large"),
                (TestRequest::get().uri("/broken"), 500, "failed"),
            ] {
                let response = test::call_service(&app, request.to_request()).await;
                assert_eq!(response.status().as_u16(), status, "{code}");
                assert_eq!(response.headers().get("content-type").unwrap(), "application/problem+json");
                let text = String::from_utf8(test::read_body(response).await.to_vec()).unwrap();
                let document: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(document["code"], code, "{text}");
                assert!(!text.contains("anna"), "{text}");
            }
        });
    }

    #[test]
    fn an_answer_and_a_refusal_of_ours_stay_as_they_are() {
        actix_web::rt::System::new().block_on(async {
            let vendors =
                || async { HttpResponse::BadRequest().json(json!({"detail": "bad", "causes": []})) };
            let app = App::new()
                .wrap(from_fn(around))
                .route("/vendors", web::get().to(vendors))
                .route("/good", web::get().to(|| async { "good" }));
            let app = test::init_service(app).await;
            let refused = test::call_service(&app, TestRequest::get().uri("/vendors").to_request()).await;
            assert_eq!(refused.status(), 400);
            let body = test::read_body(refused).await;
            assert_eq!(
                serde_json::from_slice::<Value>(&body).unwrap(),
                json!({"detail": "bad", "causes": []})
            );
            let good = test::call_service(&app, TestRequest::get().uri("/good").to_request()).await;
            assert_eq!(test::read_body(good).await, "good");
        });
    }
}
