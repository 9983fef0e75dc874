//! A withdrawal is understood in whatever list, form, spelling and place it comes, and kept of what is refused; no file of consents is
//! made anew beside data.
//!
//! Not here: withdrawals and clocks (`withdrawal.rs`), whom an identifier means (`meant.rs`), paths that there are not yet
//! (`endpoints.rs`).

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use shoal_schemas::{Programme, Region};

use crate::audit::lines;
use crate::process::Setup;
use crate::stage::{NOON_MS, POLICY, World, batch, click, ingest};
use crate::tables::{Tables, text};

/// A withdrawal of somebody, and nothing else.
fn withdrawal(user: &str) -> String {
    json!({"action": "withdraw", "programme": "user-experience", "user_id": user}).to_string()
}

fn grant(user: &str) -> String {
    json!({"action": "grant", "programme": "user-experience", "policy_version": POLICY, "user_id": user, "country": "DE"})
        .to_string()
}

/// What becomes of one event of this person, which carries a consent.
fn outcome(world: &World, user: &str) -> String {
    let id = user.escape_unicode().to_string();
    let event = json!({"id": id, "event": "app_open", "country": "DE", "time": NOON_MS, "user_id": user,
        "consent": {"policy_version": POLICY}});
    codes(&world.client().events(&world.keys.app, &json!([event]))).remove(0)
}

fn codes(answer: &Value) -> Vec<String> {
    let events = answer["events"].as_array().unwrap().iter();
    events.map(|event| event["code"].as_str().or(event["status"].as_str()).unwrap().to_owned()).collect()
}

#[test]
fn a_withdrawal_is_not_lost_because_of_the_list_it_travels_in() {
    let world = World::new();
    let long = |with: &str, user: &str| {
        let others: Vec<String> = (0..1000).map(|n| withdrawal(&format!("{user}-{n}"))).collect();
        format!("[{},{with}{}]", others.join(","), withdrawal(user))
    };
    let of = withdrawal;
    for (user, status, recorded, body) in [
        ("lines", 200, 2, format!("{}\n{}\n", of("x"), of("lines"))),
        ("lists", 200, 2, format!("[{}]\n[{}]", of("x"), of("lists"))),
        ("long", 200, 1001, long("", "long")),
        ("mixed", 413, 1001, long(&format!("{},", grant("nobody")), "mixed")),
        ("cut", 400, 1, format!("[{},{}", of("cut"), &of("other")[..50])),
        ("cut-line", 400, 1, format!("{}\n{}", of("cut-line"), &of("other")[..50])),
        ("open", 400, 2, format!("[{},{}", of("x"), of("open"))),
        ("behind", 400, 1, format!("[{{\"a\" \"b\"}},{}]", of("behind"))),
    ] {
        let answer = world.client().post("/v1/consents", &world.keys.app, body).expect(status);
        let told = answer.json();
        match status {
            200 => assert_eq!(told["recorded"], recorded, "{told}"),
            _ => {
                let detail = told["detail"].as_str().unwrap();
                assert!(detail.ends_with(&format!("recorded all the same: {recorded}")), "{detail}");
            }
        }
        assert_eq!(outcome(&world, user), "withdrawn", "{user}");
    }
    for user in ["long-0", "long-999", "mixed-500"] {
        assert_eq!(outcome(&world, user), "withdrawn", "{user}");
    }
    assert_eq!(outcome(&world, "other"), "accepted", "what is cut names nobody");
    let told = world.client().post("/v1/consents", &world.keys.app, &of("whole")[..60]).expect(400).json();
    assert_eq!(told["code"], "bad_json");
}

#[test]
fn a_withdrawal_is_understood_in_the_forms_that_clients_send_or_told_the_right_one() {
    let world = World::new();
    let key = world.key(ingest(&[Region::De], Some(Programme::UserExperience), None)).reveal();
    for (at, body) in [
        json!({"action": "WITHDRAW", "programme": "user-experience", "user_id": "w-0"}),
        json!({"Action": "Withdrawn", "programme": "User-Experience", "userId": "w-1"}),
        json!({"status": "denied", "programme": "user_experience", "user_id": "w-2"}),
        json!({"granted": false, "user_id": "w-3"}),
        json!({"action": "revoke", "subject": {"user_id": "w-4"}}),
        json!({"action": "opt-out", "user": {"id": "w-5"}}),
        json!({"action": "withdraw", "granted": true, "user_id": "other", "subject.user_id": "w-6"}),
    ]
    .into_iter()
    .enumerate()
    {
        world.client().post("/v1/consents", &key, body.to_string()).expect(200);
        assert_eq!(outcome(&world, &format!("w-{at}")), "withdrawn", "{body}");
    }
    let refused = |body: Value| {
        let answer = world.client().post("/v1/consents", &key, body.to_string()).expect(422).json();
        answer["detail"].as_str().unwrap().to_owned()
    };
    let told = refused(json!({"action": "forget", "user_id": "x"}));
    assert!(told.contains("\"action\": \"withdraw\""), "{told}");
    let told = refused(json!({"action": "withdraw", "subject": "x"}));
    assert!(told.contains("user_id") && told.contains("subject"), "{told}");
    // Whoever grants says so with the word, at the documented place.
    for body in [
        json!({"status": "granted", "programme": "user-experience", "policy_version": POLICY, "user_id": "g"}),
        json!({"action": "grant", "programme": "user-experience", "PolicyVersion": POLICY, "user_id": "g"}),
    ] {
        refused(body);
    }
    let body = json!({"action": "Granted", "programme": "user-experience", "policy_version": POLICY, "user_id": "g"});
    world.client().post("/v1/consents", &key, body.to_string()).expect(200);
}

/// A message of Segment's SDKs with more than the usual members.
fn message(id: &str, more: &Value) -> Value {
    let mut message = json!({"type": "track", "event": "app_open", "messageId": id, "anonymousId": id, "timestamp": NOON_MS});
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message
}

/// What a server's key that asserts consent is told of an event of an installation.
fn of_install(world: &World, key: &str, install: &str) -> String {
    let event = json!({"event": "app_open", "install_id": install, "time": world.now_ms()});
    codes(&world.client().events(key, &json!([event]))).remove(0)
}

#[test]
fn a_denial_in_any_spelling_withholds_and_is_recorded_and_an_agreement_in_one_counts() {
    let world = World::new();
    let key = world.key(ingest(&[Region::De], Some(Programme::UserExperience), Some(POLICY))).reveal();
    let said = |allowed: bool| json!({"Analytics": allowed});
    let post = |id: &str, body: Value| {
        world.client().post("/v1/batch", &key, body.to_string()).expect(200);
        of_install(&world, &key, id)
    };
    let forms: [(&str, &dyn Fn(Value) -> Value); 9] = [
        ("nested", &|of| json!({"context": {"consent": {"categoryPreferences": of}}})),
        ("dotted", &|of| json!({"context": {"consent.categoryPreferences": of}})),
        ("beside", &|of| json!({"consent.categoryPreferences": of})),
        ("beside-nested", &|of| json!({"consent": {"categoryPreferences": of}})),
        ("all-dotted", &|of| json!({"context.consent.categoryPreferences": of})),
        ("half-dotted", &|of| json!({"context.consent": {"categoryPreferences": of}})),
        ("snake", &|of| json!({"context": {"consent": {"category_preferences": of}}})),
        ("capitals", &|of| json!({"Context": {"Consent": {"CategoryPreferences": of}}})),
        (
            "both",
            &|of| json!({"context": {"consent": {"categoryPreferences": {"Analytics": true}}, "consent.categoryPreferences": of}}),
        ),
    ];
    for (id, form) in forms {
        let denied = form(said(false));
        assert_eq!(post(id, json!({"batch": [message(id, &denied)]})), "withdrawn", "{denied}");
        let id = &format!("{id}-of-batch");
        let mut body = json!({"batch": [message(id, &json!({}))]});
        body.as_object_mut().unwrap().extend(denied.as_object().unwrap().clone());
        assert_eq!(post(id, body), "withdrawn", "{denied}");
    }
    for (id, of) in [("small", json!({"analytics": false})), ("word", json!({"ANALYTICS": "Denied"}))] {
        let more = json!({"context": {"consent": {"categoryPreferences": of}}});
        assert_eq!(post(id, json!({"batch": [message(id, &more)]})), "withdrawn", "{more}");
    }
    let ids = json!({"context": {"consent_management": {"denied_consent_ids": ["Analytics"]}}});
    assert_eq!(post("ids", json!({"batch": [message("ids", &ids)]})), "withdrawn");
    // An agreement elsewhere than it is documented is none: nothing is recorded, and the decision of before stays.
    world.set_now_ms(NOON_MS + 600_000);
    let decision = |more: Value| {
        let mut message = message("dotted", &more);
        message["timestamp"] = json!(NOON_MS + 600_000);
        message["event"] = json!("Segment Consent Preference Updated");
        json!({"batch": [message]})
    };
    assert_eq!(post("dotted", decision(json!({"consent.categoryPreferences": said(true)}))), "withdrawn");
    let documented = json!({"context": {"consent": {"categoryPreferences": said(true)}}});
    assert_eq!(post("dotted", decision(documented)), "accepted");
}

#[test]
fn who_withdraws_in_a_whole_message_of_a_batch_that_is_refused_is_recorded() {
    let world = World::with(|config| config.ingest.events_max = 3);
    let key = world.key(ingest(&[Region::De], Some(Programme::UserExperience), Some(POLICY))).reveal();
    let denied = json!({"context": {"consent": {"categoryPreferences": {"Analytics": false}}}});
    let silent = |id: &str| message(id, &json!({}));
    let cut = format!("{{\"batch\":[{},{},{{\"type\":\"tra", silent("kept"), message("cut", &denied));
    let many: Vec<Value> = vec![silent("1"), silent("2"), silent("3"), silent("4"), message("many", &denied)];
    // What one list has too much is that list's own loss; these are too much together.
    let lists = (0..45).map(|at| (format!("list-{at}"), json!(vec![0; 9_000])));
    let heavy = message("5", &Value::Object(lists.collect()));
    let values = json!({"batch": [heavy, message("values", &denied)]}).to_string();
    let dull = vec![message("6", &json!({"properties": {"text": "a".repeat(60_000)}})); 100];
    let dull = [dull, vec![message("dull", &denied)]].concat();
    let pack = |body: &str| {
        use std::io::Write;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(body.as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    let dull = pack(&json!({"batch": dull}).to_string());
    let packed = pack(&json!({"batch": [message("packed", &denied)]}).to_string());
    let packed = &packed[..packed.len() - 6];
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str())];
    for (install, status, body) in [
        ("cut", 200, cut.as_bytes()),
        ("many", 413, json!({"batch": many}).to_string().as_bytes()),
        ("values", 413, values.as_bytes()),
        ("dull", 413, dull.as_slice()),
        ("packed", 400, packed),
    ] {
        world.client().ask("POST", "/v1/batch", &headers, body).unwrap().expect(status);
        assert_eq!(of_install(&world, &key, install), "withdrawn", "{install}");
    }
    world.flush();
    // What is whole before a cut is an event like any other; of what is refused none is kept.
    assert_eq!(Tables::read(&world).count(), 1);
    // Who agrees in such a batch has agreed to nothing: what says otherwise may be missing.
    let agreed =
        json!({"context": {"consent": {"categoryPreferences": {"Analytics": true}}, "country": "DE"}});
    world.set_now_ms(NOON_MS + 600_000);
    let mut decision = message("cut", &agreed);
    decision["timestamp"] = json!(NOON_MS + 600_000);
    decision["event"] = json!("Segment Consent Preference Updated");
    world.client().post("/v1/batch", &key, format!("{{\"batch\":[{decision},{{")).expect(200);
    assert_eq!(of_install(&world, &key, "cut"), "withdrawn");
}

#[test]
fn a_denial_holds_for_the_device_whose_serial_number_is_a_property() {
    let world = World::new();
    let key = world.key(ingest(&[Region::De], Some(Programme::DeviceExperience), Some(POLICY))).reveal();
    let profile = |event: Value| {
        let mut event = event;
        event["event"] = json!("device_profile");
        event["time"] = json!(world.now_ms());
        codes(&world.client().events(&key, &json!([event]))).remove(0)
    };
    assert_eq!(profile(json!({"id": "1", "serial_number": "S-1"})), "accepted");
    let denied = json!({"event": "device_profile", "anonymousId": null, "properties": {"serial_number": "S-1"},
        "context": {"consent": {"categoryPreferences": {"Analytics": false}}}});
    world.client().post("/v1/batch", &key, json!({"batch": [message("2", &denied)]}).to_string()).expect(200);
    assert_eq!(profile(json!({"id": "3", "serial_number": "S-1"})), "withdrawn");
    assert_eq!(profile(json!({"id": "4", "properties": {"serial_number": "s-1"}})), "withdrawn");
    assert_eq!(profile(json!({"id": "5", "serial_number": "S-2"})), "accepted");
}

#[test]
fn what_is_wrong_with_the_consent_of_a_batch_is_no_fault_of_events_that_have_their_own() {
    let world = World::new();
    let asserting = world.key(ingest(&[Region::De], Some(Programme::UserExperience), Some(POLICY))).reveal();
    let event = |id: String, own: Option<Value>| {
        let mut event =
            json!({"id": id, "event": "app_open", "time": NOON_MS, "user_id": "u", "country": "DE"});
        if let Some(own) = own {
            event["consent"] = own;
        }
        event
    };
    // What becomes of an event with a consent of its own, and of one without.
    for (at, (name, of_batch, wanted)) in [
        ("consent", json!({"policy_version": POLICY, "scope": "all"}), ["accepted", "bad_consent"]),
        ("consent", json!({"policy_version": 7}), ["accepted", "bad_consent"]),
        ("consent", json!({"policy_version": POLICY, "age": true}), ["accepted", "bad_consent"]),
        ("consent", json!("yes"), ["accepted", "bad_consent"]),
        ("consent", json!([POLICY]), ["accepted", "bad_consent"]),
        ("consent", json!("x".repeat(70_000)), ["accepted", "bad_consent"]),
        ("consent", json!({"policy_version": POLICY, "age": 40}), ["accepted", "accepted"]),
        // What refuses is for all events of the batch, also where something else is wrong with it.
        ("consent", json!(false), ["no_consent", "no_consent"]),
        ("consent", json!("denied"), ["no_consent", "bad_consent"]),
        ("consent", json!({"policy_version": POLICY, "granted": false}), ["no_consent", "no_consent"]),
        ("consent", json!({"policy_version": POLICY, "status": "denied"}), ["no_consent", "no_consent"]),
        ("consent", json!({"policy_version": 7, "granted": false}), ["no_consent", "bad_consent"]),
        ("consent", json!({"policy_version": POLICY, "age": 12}), ["minor", "minor"]),
        ("consent", json!({"scope": "all", "age": "12"}), ["minor", "bad_consent"]),
        ("Consent", json!({"granted": false}), ["no_consent", "bad_consent"]),
        ("consent.granted", json!(false), ["no_consent", "bad_consent"]),
    ]
    .into_iter()
    .enumerate()
    {
        for (kind, key) in [("carried", &world.keys.app), ("asserted", &asserting)] {
            let own = event(format!("{at}-{kind}"), Some(json!({"policy_version": POLICY})));
            let without = event(format!("{at}-{kind}-without"), None);
            let body = json!({name: of_batch, "events": [own, without]});
            assert_eq!(codes(&world.client().events(key, &body)), wanted, "{name} {at}");
        }
    }
    // Of what is said twice the last counts that is not null.
    let twice =
        r#"{"consent":{"granted":false},"consent":null,"events":[{"event":"app_open","user_id":"u"}]}"#;
    let answer = world.client().post("/v1/events", &asserting, twice).expect(200).json();
    assert_eq!(codes(&answer), ["no_consent"]);
}

#[test]
fn a_refusal_of_a_batch_counts_for_a_message_of_segment_with_a_consent_of_its_own() {
    let world = World::new();
    let own = json!({"country": "DE", "consent": {"policy_version": POLICY, "age": 40}});
    for (at, of_batch) in
        [json!({"granted": false}), json!({"age": 12}), json!({"age": 40})].iter().enumerate()
    {
        let said = json!({"type": "screen", "messageId": format!("m-{at}"), "anonymousId": "a", "name": "Home", "context": own});
        let body = json!({"context": {"consent": of_batch}, "batch": [said]});
        world.client().post("/v1/batch", &world.keys.app, body.to_string()).expect(200);
    }
    world.flush();
    assert_eq!(Tables::read(&world).count(), 1, "of the last batch, which refuses nothing");
}

#[test]
fn what_nobody_sees_in_an_identifier_makes_no_other_person() {
    let world = World::new();
    for (at, unseen) in
        ["\u{feff}", "\u{200b}", "\u{200d}", "\u{2060}", "\u{ad}", "\u{fe0f}"].iter().enumerate()
    {
        let user = |with: &str| format!("{with}an{with}na-{at}{with}");
        assert_eq!(outcome(&world, &user(unseen)), "accepted");
        assert_eq!(outcome(&world, &user("")), "accepted");
        let (one, other) = if at % 2 == 0 { (user(unseen), user("")) } else { (user(""), user(unseen)) };
        world.client().post("/v1/consents", &world.keys.app, withdrawal(&one)).expect(200);
        assert_eq!(outcome(&world, &other), "withdrawn", "{unseen:?}");
    }
    world.flush();
    let tables = Tables::read(&world);
    let subjects: BTreeSet<&str> = tables.rows("de/usage").iter().map(|row| text(row, "subject")).collect();
    assert_eq!(subjects.len(), 6);
}

#[test]
fn a_file_of_consents_that_is_missing_beside_data_stops_the_start_until_its_loss_is_accepted() {
    let mut world = World::new();
    let events = |id: &str, user: &str| batch("DE", vec![click(id, user, "a")]);
    assert_eq!(world.client().events(&world.keys.app, &events("1", "berta"))["accepted"], 1);
    world.client().post("/v1/consents", &world.keys.app, withdrawal("anna")).expect(200);
    world.stop();
    let setup = |world: &World, command: &[&str]| Setup { dir: world.dir(), variables: &[] }.run(command);
    let path = |world: &World, region: &str| world.data_dir().join(region).join("ledger.redb");
    let (_, told, _) = setup(&world, &["consents", "accept-loss"]);
    assert!(told.contains("nothing was changed"), "{told}");

    for missing in [&["de"][..], &["us"], &["us", "de", "sg", "my"]] {
        let kept: Vec<Vec<u8>> =
            missing.iter().map(|region| fs::read(path(&world, region)).unwrap()).collect();
        missing.iter().for_each(|region| fs::remove_file(path(&world, region)).unwrap());
        let told = world.try_start().unwrap_err();
        assert!(told.contains("Put back") && told.contains("consents accept-loss"), "{told}");
        assert!(missing.iter().all(|region| told.contains(&format!("/{region}/ledger.redb"))), "{told}");
        let (code, _, errors) = setup(&world, &["serve"]);
        assert!(code == 1 && errors.contains("accept-loss"), "{errors}");
        assert!(missing.iter().all(|region| !path(&world, region).exists()), "none is made beside data");
        // Put back, everything is as it was.
        for (region, bytes) in missing.iter().zip(kept) {
            fs::write(path(&world, region), bytes).unwrap();
        }
        world.try_start().unwrap();
        assert_eq!(outcome(&world, "anna"), "withdrawn");
        world.stop();
    }

    fs::remove_file(path(&world, "de")).unwrap();
    let (code, _, _) = setup(&world, &["consents", "accept-loss", "--key", &world.keys.analyst]);
    assert_eq!(code, 2, "an analyst does not accept");
    assert!(world.try_start().is_err());
    let (code, told, errors) = setup(&world, &["consents", "accept-loss", "--key", &world.keys.officer]);
    assert!(code == 0 && told.contains("the consents of DE are lost"), "{told}{errors}");
    let line = lines(&world).pop().unwrap();
    assert_eq!(
        (&line["act"], &line["role"], &line["regions"]),
        (&json!("consents_accept_loss"), &json!("officer"), &json!(["DE"])),
        "{line}"
    );
    world.try_start().unwrap();
    assert_eq!(outcome(&world, "anna"), "withdrawn", "the journal of withdrawals knows it");
    let of_us =
        json!({"consent": {"policy_version": POLICY}, "country": "US", "events": [click("u", "anna", "a")]});
    assert_eq!(
        codes(&world.client().events(&world.keys.app, &of_us)),
        ["withdrawn"],
        "those of other regions are not"
    );
    let (code, _, errors) = setup(&world, &["consents", "accept-loss"]);
    assert!(code == 2 && errors.contains("running"), "{errors}");
    world.stop();
    let (_, shown, _) = setup(&world, &["audit", "show"]);
    assert!(shown.contains("consents_accept_loss") && shown.contains("DE"), "{shown}");
}
