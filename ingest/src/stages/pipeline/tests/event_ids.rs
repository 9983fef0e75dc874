//! What a resend is recognised by: whose event ids are, and what stands for one that an event has not.

use shoal_schemas::Kind;

use super::*;

const UUID: &str = "5f0c6f0e-6f0a-4b62-8f0c-0d4a0f7f9a11";
const TIME: &str = r#""time":"2026-11-20T08:00:00Z""#;

/// A click in DE with these members, received some ms after `now()`: its fingerprint, and the others.
fn known_as(members: &str, after_ms: i64) -> (u64, Vec<u64>) {
    let body = format!(
        r#"{{"event":"click","country":"DE","properties":{{"element":"ok","screen":"home"}},{members}}}"#
    );
    of_body(&body, after_ms)
}

fn of_body(body: &str, after_ms: i64) -> (u64, Vec<u64>) {
    of_request(Protocol::Native, body, after_ms)
}

fn of_request(protocol: Protocol, body: &str, after_ms: i64) -> (u64, Vec<u64>) {
    let received_ms = now() + after_ms;
    let request = Request { received_ms, ..request(protocol, body.as_bytes()) };
    let piped = world().run(&request, &grant(Some(Programme::UserExperience)), received_ms).unwrap();
    assert_eq!(code(&piped.outcomes[0]), "accepted", "{body}: {:?}", piped.outcomes);
    let row = piped.batches[0].rows()[0];
    (row.fingerprint, piped.batches[0].others(row.others).to_vec())
}

fn id(members: &str) -> u64 {
    known_as(&format!("{TIME},{members}"), 0).0
}

#[test]
fn a_short_id_is_of_the_first_that_counts_and_a_random_one_of_the_app() {
    // Two people, two phones, two devices.
    assert_ne!(id(r#""id":"7","user_id":"a""#), id(r#""id":"7","user_id":"b""#));
    assert_ne!(id(r#""id":"7","install_id":"a""#), id(r#""id":"7","install_id":"b""#));
    assert_ne!(id(r#""id":"7","device_id":"a""#), id(r#""id":"7","serial_number":"a""#));
    assert_eq!(
        id(&format!(r#""id":"{UUID}","user_id":"a""#)),
        id(&format!(r#""id":"{UUID}","user_id":"b""#))
    );
    // A login between two sends, and another session, make no second event.
    let before = id(r#""id":"7","install_id":"i""#);
    for members in [
        r#""id":"7","install_id":"i","user_id":"anna""#,
        r#""id":"7","install_id":"i","user_id":"anna","device_id":"d","session_id":"s""#,
        r#""id":"7","install_id":" i ","device_id":"d""#,
    ] {
        assert_eq!(id(members), before, "{members}");
    }
    assert_ne!(id(r#""id":"8","install_id":"i""#), before);
    // Nobody is named: the content tells two senders apart.
    assert_ne!(id(r#""id":"7","session_id":"a""#), id(r#""id":"7","session_id":"b""#));
    assert_eq!(id(r#""id":"7""#), id(r#""id":"7""#));
    assert_ne!(known_as(r#""id":"7","time":"2026-11-20T08:00:01Z""#, 0).0, id(r#""id":"7""#));
}

#[test]
fn neither_the_country_nor_the_corrected_clock_is_in_an_id() {
    let body = |country: &str, id: &str| {
        format!(
            r#"{{"event":"click","country":"{country}","user_id":"u",{id}"sent_at":"2026-11-20T11:59:59Z",{TIME},"properties":{{"element":"ok"}}}}"#
        )
    };
    for id in ["", r#""id":"7","#, r#""id":"5f0c6f0e-6f0a-4b62-8f0c-0d4a0f7f9a11","#] {
        let first = of_body(&body("DE", id), 0).0;
        assert_eq!(of_body(&body("FR", id), 0).0, first, "another country of the region");
        for later_ms in [59_000, 70_000, 86_400_000] {
            assert_eq!(of_body(&body("DE", id), later_ms).0, first, "{later_ms}");
        }
    }
}

#[test]
fn content_without_an_id_is_told_by_the_clients_time() {
    let user = r#""user_id":"u""#;
    let timed = |time: &str| known_as(&format!("{user},{time}"), 0).0;
    assert_eq!(timed(TIME), known_as(&format!("{user},{TIME}"), 70_000).0);
    assert_ne!(timed(TIME), timed(r#""time":"2026-11-20T08:00:00.001Z""#));
    assert_ne!(timed(TIME), known_as(&format!(r#""user_id":"v",{TIME}"#), 0).0);
    // The same in another order, and the time in another unit.
    let reordered = r#"{"time":1795161600000,"user_id":"u","properties":{"screen":"home","element":"ok"},"country":"DE","event":"click"}"#;
    assert_eq!(of_body(reordered, 0).0, timed(TIME));
    let crash = |function: &str| {
        let body = format!(
            r#"{{"event":"app_crash","country":"DE","user_id":"u",{TIME},"properties":{{"exception_type":"E","frames":["{function}"]}}}}"#
        );
        of_body(&body, 0).0
    };
    assert_ne!(crash("load"), crash("save"));
}

#[test]
fn without_any_time_a_resend_is_known_for_a_minute() {
    let body = r#""user_id":"u""#;
    let (first, _) = known_as(body, 0);
    for began_ms in [0, 1, 4_999, 9_900] {
        let (first, _) = known_as(body, began_ms);
        for (later_ms, is_known) in
            [(0, true), (5_000, true), (50_000, true), (60_000, true), (65_000, false), (70_000, false)]
        {
            let (id, others) = known_as(body, began_ms + later_ms);
            assert_eq!(id == first || others.contains(&first), is_known, "{began_ms} {later_ms}");
        }
    }
    assert_ne!(known_as(r#""user_id":"v""#, 0).0, first, "another sender's");
}

#[test]
fn what_is_stamped_at_each_sending_makes_no_second_event() {
    let body = |time: &str, id: &str, sent_at: &str| {
        format!(
            r#"{{"sent_at":{sent_at},"events":[{{{id}"event":"click",{time}"country":"DE","sent_at":{sent_at},"properties":{{"element":"ok"}}}}]}}"#
        )
    };
    let known = |body: &str, after_ms| {
        let (id, others) = of_body(body, after_ms);
        [vec![id], others].concat()
    };
    let time = format!("{TIME},");
    for id in ["", r#""id":"7","#, r#""id":"undefined","#, r#""id":7,"#] {
        let first = of_body(&body(&time, id, r#""2026-11-20T12:00:00Z""#), 0).0;
        for (sent_at, after_ms) in [
            (r#""2026-11-20T12:00:30Z""#, 30_000),
            (r#""2026-11-20T13:00:00Z""#, 3_600_000),
            ("{}", 86_400_000),
        ] {
            assert_eq!(of_body(&body(&time, id, sent_at), after_ms).0, first, "{id} {sent_at}");
        }
        // Without a time of its own it is known for a minute.
        let first = of_body(&body("", id, r#""2026-11-20T12:00:00Z""#), 0).0;
        assert!(known(&body("", id, r#""2026-11-20T12:00:55Z""#), 55_000).contains(&first), "{id}");
        assert!(!known(&body("", id, r#""2026-11-20T12:01:10Z""#), 70_000).contains(&first), "{id}");
    }
    let of_id = |id: &str| of_body(&body(&time, id, "0"), 0).0;
    assert_ne!(of_id(r#""id":"7","#), of_id(r#""id":"8","#), "two short ids of one moment are two events");
    assert_ne!(of_id(r#""id":"7","#), of_id(""));
}

#[test]
fn events_of_before_there_were_scopes_are_known() {
    let digester = world().keyring.event_digester(Region::De);
    let former = |text: &str| row::fingerprint(&digester.digest(text));
    let before = former("camera\u{1f}id\u{1f}7");
    assert!(known_as(&format!(r#"{TIME},"id":"7","user_id":"u""#), 0).1.contains(&before));
    // What is random is kept under the same id as before.
    assert_eq!(
        id(&format!(r#""id":"{UUID}","user_id":"u""#)),
        former(&format!("camera\u{1f}id\u{1f}{UUID}"))
    );
    let (_, others) = known_as(&format!(r#"{TIME},"user_id":"u""#), 0);
    assert_eq!(others.len(), 2);
    assert_eq!(others, known_as(&format!(r#"{TIME},"user_id":"u""#), 70_000).1);
}

#[test]
fn content_goes_by_names_and_is_known_by_the_positions_of_before() {
    let digester = world().keyring.event_digester(Region::De);
    let time_ms = rfc3339("2026-11-20T08:00:00Z").unwrap();
    let of = |form: &str, column: &dyn Fn(&str) -> String| {
        let mut text = format!("camera\u{1f}{form}\u{1f}5:click\u{1f}1:u");
        text.push_str(&"\u{1f}0:".repeat(4));
        text.push_str(&format!("\u{1f}{time_ms}"));
        for (name, value) in [("element", "ok"), ("screen", "home")] {
            text.push_str(&format!("\u{1f}{}={}:{value}", column(name), value.len()));
        }
        row::fingerprint(&digester.digest(&text))
    };
    let columns = &world().registry.table(Kind::Usage).columns;
    let position = |name: &str| columns.iter().position(|column| column.name == name).unwrap();
    assert!(position("element") < position("screen"), "or else the order of before was another one");
    let (id, others) = of_body(
        &format!(
            r#"{{"country":"DE","user_id":"u",{TIME},"event":"click","properties":{{"screen":"home","element":"ok"}}}}"#
        ),
        0,
    );
    // No position is in it, so that no definition that gains a column changes it.
    assert_eq!(id, of("named content of client time", &|name| name.to_owned()));
    assert_eq!(others[0], of("content of client time", &|name| position(name).to_string()));
}

#[test]
fn content_of_before_there_were_scopes_is_in_the_order_of_the_event() {
    let digester = world().keyring.event_digester(Region::De);
    let of = |name: &str, members: &[(&str, &str)]| {
        let time_ms = rfc3339("2026-11-20T08:00:00Z").unwrap();
        let mut text = format!("camera\u{1f}content\u{1f}{}:{name}\u{1f}1:u", name.len());
        text.push_str(&"\u{1f}0:".repeat(4));
        text.push_str(&format!("\u{1f}{time_ms}"));
        for (name, value) in members {
            let columns = &world().registry.table(Kind::Usage).columns;
            let column = columns.iter().position(|column| column.name == *name).unwrap();
            text.push_str(&format!("\u{1f}{column}={}:{value}", value.len()));
        }
        Some(row::fingerprint(&digester.digest(&text)))
    };
    let native = |members: &str| {
        of_body(&format!(r#"{{"country":"DE","user_id":"u",{TIME},{members}}}"#), 0).1.last().copied()
    };
    let (element, screen) = (("element", "ok"), ("screen", "home"));
    // The context comes first, and then each property where it stands.
    let context = r#""context":{"app_version":"4.2","os_version":"18"}"#;
    for (properties, wanted) in [
        (r#"{"element":"ok","screen":"home"}"#, [element, screen]),
        (r#"{"screen":"home","a":1,"element":"ok"}"#, [screen, element]),
    ] {
        let members = format!(r#""event":"click",{context},"properties":{properties}"#);
        let wanted = [&[("app_version", "4.2"), ("os_version", "18")][..], &wanted].concat();
        assert_eq!(native(&members), of("click", &wanted), "{properties}");
    }
    let segment = |name: &str, properties: &str| {
        let track = format!(
            r#"{{"type":"track","event":"{name}","userId":"u","timestamp":"2026-11-20T08:00:00Z","context":{{"country":"DE"}},"properties":{properties}}}"#
        );
        of_request(Protocol::Segment, &format!(r#"{{"batch":[{track}]}}"#), 0).1.last().copied()
    };
    assert_eq!(
        segment("click", r#"{"screen":"home","a":1,"element":"ok"}"#),
        of("click", &[screen, element])
    );
    assert_eq!(segment("click", r#"{"element":"ok","screen":"home"}"#), of("click", &[element, screen]));
    // What the rule of a vendor's name says comes before what is named as it is declared.
    assert_eq!(
        segment("Signed In", r#"{"method":"code"}"#),
        of("login", &[("result", "ok"), ("method", "code")])
    );
    assert_eq!(
        segment("Button Clicked", r#"{"screen":"home","button_id":"ok"}"#),
        of("click", &[element, screen])
    );
}
