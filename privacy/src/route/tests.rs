//! Tests of templates: what is kept, what is a value, and properties.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

#[test]
fn values_in_paths_become_placeholders() {
    for (path, wanted) in [
        ("/account/4711", "/account/{}"),
        ("/account/4711?tab=2#top", "/account/{}"),
        ("GET /v1/users/4711", "GET /v1/users/{}"),
        ("GET /v1/users/4711 HTTP/1.1", "GET /v1/users/{}"),
        ("https://anna:pw@api.example.com:8443/v2/cameras/7f3a9c21/live", "/v2/cameras/{}/live"),
        ("https://example.com", "/"),
        ("https://example.com?user=anna", "/"),
        ("//example.com/account/4711", "/account/{}"),
        ("myapp://account/4711", "account/{}"),
        ("/device/7J0A123PAZ00001", "/device/{}"),
        ("/u/annaschmidt/home", "/u/{}/home"),
        ("/users/anna", "/users/{}"),
        ("/users/anna-schmidt/settings", "/users/{}/settings"),
        ("/foo/anna.schmidt", "/foo/{}"),
        ("/foo/AnnaSchmidt", "/foo/{}"),
        ("/reset/anna@example.com/done", "/reset/{}/done"),
        ("/reset/anna%40example.com", "/reset/{}"),
        ("%2Faccount%2F4711", "/account/{}"),
        ("/account%252F4711", "/account/{}"),
        ("/a/3f2504e0-4f89-41d3-9a0c-0305e82c3301", "/a/{}"),
        ("/a/deadbeefcafe", "/a/{}"),
        ("/a/q0Xk2vT9bLr8Zm3YpW5sNc7HdJf1GaQe4Uo6", "/a/{}"),
        ("/a/kqzvbnmxwrt", "/a/{}"),
        ("/list;jsessionid=8F3A/edit;x=1", "/list/edit"),
        ("/account/４７１１", "/account/{}"),
        ("/用户/列表", "/{}/{}"),
        ("/orders/2024-11-22/items/3", "/orders/{}/items/{}"),
        ("file:///Users/anna/x.txt", "/Users/{}/{}"),
        ("account?id=4711", "account"),
        ("device/4711", "device/{}"),
        ("/rooms/annas-kitchen", "/rooms/{}"),
        ("/device/52.520008,13.404954", "/device/{}"),
        ("/x/user=anna", "/x/{}"),
        // A number that begins with a known one is a number: only a word counts its steps.
        ("/4010/zz", "/{}/zz"),
        ("/orders/5007/items", "/orders/{}/items"),
        ("/a/401-4040", "/a/{}"),
        ("/a/4041.edit", "/a/{}"),
    ] {
        assert_eq!(template(path), wanted, "{path}");
    }
}

#[test]
fn values_in_names_become_placeholders() {
    for (name, wanted) in [
        ("users.4711.edit", "users.{}.edit"),
        ("user-4711", "user-{}"),
        ("User 4711", "User {}"),
        ("user_4711", "user_{}"),
        ("user4711", "user{}"),
        ("UserDetail4711", "UserDetail{}"),
        ("order#4711", "order#{}"),
        ("profile:anna", "profile:{}"),
        ("profile: anna.schmidt", "profile: {}"),
        ("profile:anna:edit", "profile:{}:edit"),
        ("user=anna", "user={}"),
        ("chat @anna", "chat @{}"),
        ("Room 12", "Room {}"),
        ("detail-3f2504e0-4f89-41d3-9a0c-0305e82c3301", "detail-{}"),
        ("device 7f3a9c21 live", "device {} live"),
        ("anna77", "{}"),
        ("7J0A123PAZ00001", "{}"),
        ("user-４７１１", "user-{}"),
        ("user%2D4711", "user-{}"),
        ("用户4711", "用户{}"),
        ("report-2024-11-22", "report-{}"),
        ("LiveView/4711", "LiveView/{}"),
    ] {
        assert_eq!(template(name), wanted, "{name}");
        assert_eq!(template(wanted), wanted);
    }
}

#[test]
fn names_stay() {
    for name in [
        "step2",
        "Page 2",
        "Page 12",
        "page_12",
        "last 30 days",
        "30 days",
        "LiveView2",
        "Grid16",
        "com.example.View",
        "com.example.cam.LiveView$onCreate$1",
        "Error 404",
        "H264Settings",
        "Home v2.14.1",
        "Update 2.14.1",
        "v12",
        "UserProfile",
        "user list",
        "device:list",
        "camera:settings",
        "add_device:scan_qr",
        "Live view: 2 of 4",
        "设备列表",
        "Über uns",
        "What? No!",
        "user-{id}",
        "users.{}.edit",
        "2fa",
        "",
    ] {
        assert!(matches!(template(name), Cow::Borrowed(_)), "{name} became {}", template(name));
    }
}

#[test]
fn routes_stay() {
    for path in [
        "/device/list",
        "device/list",
        "settings/notifications",
        "/v1/cameras/{id}",
        "/v1/devices/:device_id/events",
        "GET /v1/devices/{id}/events",
        "/users/<int:id>/posts",
        "/users/settings",
        "/account/billing",
        "/api/v2/live-view/start",
        "/two-factor/setup",
        "/firmware/upgrade/step2",
        "/LiveView/CameraDetail",
        "/oauth2/token",
        "/static/*",
        "/video.m3u8",
        "/users.list",
        "/",
        "LiveViewController",
        "home",
        "com.example.View",
        "What?",
    ] {
        assert!(matches!(template(path), Cow::Borrowed(_)), "{path} became {}", template(path));
    }
}

#[test]
fn names_of_spans_become_endpoints() {
    for (name, wanted) in [
        ("GET https://host/v1/users/4711?token=8f3a", "/v1/users/{}"),
        ("GET /v1/cameras/{id}", "/v1/cameras/{id}"),
        ("POST /graphql", "/graphql"),
        ("UserService.get", "UserService.get"),
        ("SELECT * FROM users WHERE id = 4711", "{}"),
        ("job 4711", "{}"),
    ] {
        assert_eq!(endpoint(name), wanted, "{name}");
    }
    assert!(is_request("GET /v1/users/4711") && is_request("https://host/x") && is_request("DELETE x"));
    assert!(!is_request("/device/list") && !is_request("LiveView") && !is_request("Get started"));
    assert!(is_path("/x") && is_path(" GET a/b ") && is_path("app://x") && is_path("%2Fx"));
    assert!(!is_path("a/b") && !is_path("java/lang/Error") && !is_path("SM/G991"));
}

proptest! {
    #[test]
    fn no_value_comes_through_and_a_template_stays(
        words in prop::collection::vec("[a-z]{1,6}", 0..4),
        value in "[0-9]{4,12}|[a-f0-9]{6,40}[0-9]|[A-Z]{2}[0-9]{6}|[a-z]{2,6}[.+-][a-z]{2,6}@[a-z]{2,6}\\.com|[A-Za-z0-9]{18}[0-9]{2}",
        host in prop::sample::select(&["", "https://api.example.com", "rtsp://cam", "GET ", "app:/"]),
        tail in "(\\?[a-z]{1,4}=[a-z0-9]{1,9})?(#[a-z]{0,5})?",
    ) {
        let head: String = words.iter().map(|w| format!("/{w}")).collect();
        let text = format!("{host}{head}/{value}/zz{tail}");
        let once = template(&text).into_owned();
        prop_assert!(once.ends_with("{}/zz"), "{} became {}", text, once);
        prop_assert_eq!(template(&once), once.as_str());
        let encoded: String = text.bytes().map(|b| format!("%{b:02X}")).collect();
        prop_assert!(!template(&encoded).contains(&value));
    }

    #[test]
    fn no_number_comes_through_in_a_name(
        words in prop::collection::vec("[a-z]{1,6}|[A-Z][a-z]{2,6}", 1..4),
        separator in prop::sample::select(&[" ", "-", "_", ".", "#", ":", "", "@"]),
        value in "[0-9]{4,12}",
        at in 0usize..4,
    ) {
        let mut parts = words.clone();
        parts.insert(at.min(words.len()), value.clone());
        let once = template(&parts.join(separator)).into_owned();
        prop_assert!(!once.contains(&value), "{} became {}", parts.join(separator), once);
        prop_assert_eq!(template(&once), once.as_str());
    }

    #[test]
    fn any_text_has_a_template_that_stays(text in "\\PC{0,80}|[a-zA-Z0-9/%?#:;.{}@-]{0,80}") {
        let once = template(&text).into_owned();
        prop_assert_eq!(template(&once), once.as_str());
        let _ = (endpoint(&text), is_path(&text), is_request(&text));
    }
}
