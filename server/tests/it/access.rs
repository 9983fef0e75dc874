//! A person is told what is kept of them, all of it and nothing of anybody else.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shoal_schemas::Region;
use shoal_server::access_keys::Scope;

use crate::http::Answer;
use crate::process::Setup;
use crate::stage::{POLICY, World, batch, click};
use crate::tables::files;

const PATH: &str = "/v1/subjects/access";

fn service(world: &World, regions: &[Region]) -> String {
    world.key(Scope::Account { app: "camera".into(), regions: regions.to_vec() }).reveal()
}

fn ask(world: &World, key: &str, body: &Value) -> Answer {
    world.client().post(PATH, key, body.to_string())
}

fn of(person: &str, element: &str) -> Value {
    click(&format!("{person}-{element}"), person, element)
}

/// Elements of the clicks in a document.
fn elements(document: &Value) -> BTreeSet<String> {
    let usage =
        document["tables"].as_array().unwrap().iter().find(|table| table["table"] == "usage").unwrap();
    let rows = usage["rows"].as_array().unwrap().iter();
    rows.map(|row| row["element"].as_str().unwrap().to_owned()).collect()
}

fn set(elements: &[&str]) -> BTreeSet<String> {
    elements.iter().map(|element| (*element).to_owned()).collect()
}

#[test]
fn a_person_is_told_every_row_of_theirs_and_none_of_anybody_else() {
    let world = World::new();
    let key = service(&world, &[Region::De, Region::Us]);
    let mut install = of("", "oninstall");
    install.as_object_mut().unwrap().remove("user_id");
    install["install_id"] = json!("install-1");
    let sent = batch("DE", vec![of("ada", "stored"), of("bob", "bobs"), install]);
    assert_eq!(world.client().events(&world.keys.app, &sent)["accepted"], 3);
    world.flush();
    assert_eq!(
        world.client().events(&world.keys.app, &batch("DE", vec![of("ada", "inthelog")]))["accepted"],
        1
    );
    assert_eq!(
        world.client().events(&world.keys.app, &batch("US", vec![of("ada", "elsewhere")]))["accepted"],
        1
    );
    let grant = json!({"action": "grant", "programme": "user-experience", "policy_version": POLICY, "user_id": "ada", "country": "DE"});
    world.client().post("/v1/consents", &world.keys.app, grant.to_string()).expect(200);
    let told = |body: &Value| {
        let answer = ask(&world, &key, body).expect(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(!answer.text().contains("bobs") && !answer.text().contains("ada"), "{}", answer.text());
        answer.json()
    };
    let ada = json!({"subject": {"user_id": "ada"}, "region": "DE"});
    let document = told(&ada);
    assert_eq!(elements(&document), set(&["stored", "inthelog"]));
    assert_eq!((&document["is_complete"], &document["controller"]), (&json!(true), &json!("europe")));
    let consent =
        document["consents"].as_array().unwrap().iter().find(|told| told["programme"] == "user-experience");
    assert_eq!(consent.unwrap()["state"], "granted");
    let row = &document["tables"][0]["rows"][0];
    assert_eq!(
        (&row["country"], &row["day"], row["subject"].as_str().unwrap().len()),
        (&json!("DE"), &json!("2026-11-22"), 32)
    );
    for table in document["tables"].as_array().unwrap() {
        let columns = table["columns"].as_array().unwrap();
        assert!(columns.iter().all(|column| !column["meaning"].as_str().unwrap().is_empty()), "{table}");
    }
    let both = json!({"subject": {"user_id": "ada", "install_id": "install-1"}, "region": "DE"});
    assert_eq!(elements(&told(&both)), set(&["stored", "inthelog", "oninstall"]));
    assert_eq!(elements(&told(&json!({"subject": {"user_id": "ada"}, "region": "US"}))), set(&["elsewhere"]));
    let devices = json!({"subject": {"user_id": "ada"}, "region": "DE", "programmes": ["device-experience"]});
    assert!(elements(&told(&devices)).is_empty());
    // The form is the same where there is nothing.
    let nobody = told(&json!({"subject": {"user_id": "nobody"}, "region": "DE"}));
    assert!(elements(&nobody).is_empty());
    let form = |mut document: Value| {
        document["consents"] = json!([]);
        document["tables"].as_array_mut().unwrap().iter_mut().for_each(|table| table["rows"] = json!([]));
        document
    };
    assert_eq!(form(nobody), form(document.clone()));
    // A restriction takes no right away, and an erasure leaves nothing to be told.
    let restrict =
        json!({"subjects": [{"user_id": "ada"}], "ground": "legal-claim", "review_on": "2026-12-31"});
    world.client().post("/v1/subjects/restrict", &world.keys.officer, restrict.to_string()).expect(200);
    assert_eq!(elements(&told(&ada)), set(&["stored", "inthelog"]));
    world
        .client()
        .post("/v1/subjects/erase", &key, json!({"subjects": [{"user_id": "ada"}]}).to_string())
        .expect(200);
    crate::process::until("the erasure", || elements(&told(&ada)).is_empty().then_some(()));
}

#[test]
fn access_is_for_account_services_and_the_machine_and_leaves_a_line_and_no_name() {
    let mut world = World::new();
    let key = service(&world, &[Region::De]);
    assert_eq!(
        world.client().events(&world.keys.app, &batch("DE", vec![of("secret-ada", "stored")]))["accepted"],
        1
    );
    let ada = json!({"subject": {"user_id": "secret-ada"}, "region": "DE"});
    for other in [&world.keys.officer, &world.keys.analyst, &world.keys.app] {
        assert_eq!(ask(&world, other, &ada).status, 403);
    }
    let elsewhere = ask(&world, &key, &json!({"subject": {"user_id": "secret-ada"}, "region": "US"}));
    assert_eq!((elsewhere.status, elsewhere.json()["code"].as_str()), (403, Some("not_allowed")));
    for body in [
        json!({"subject": {}, "region": "DE"}),
        json!({"subject": {"user_id": "secret-ada"}}),
        json!({"subject": {"user_id": "secret-ada"}, "region": "EU"}),
        json!({"subject": {"user_id": "secret-ada"}, "region": "DE", "programmes": []}),
        json!({"subject": {"user_id": "secret-ada", "more": "secret-ada"}, "region": "DE"}),
        json!([]),
    ] {
        let refused = ask(&world, &key, &body);
        assert_eq!((refused.status, refused.json()["code"].as_str()), (422, Some("bad_request")), "{body}");
        assert!(!refused.text().contains("secret"), "{}", refused.text());
    }
    assert_eq!(elements(&ask(&world, &key, &ada).expect(200).json()), set(&["stored"]));
    let setup = Setup { dir: world.dir(), variables: &[] };
    let (code, told, errors) =
        setup.run_with("{\"user_id\":\"secret-ada\"}\n", &["subject", "access", "--region", "DE"]);
    assert!(code == 0, "{errors}");
    assert_eq!(elements(&serde_json::from_str(&told).unwrap()), set(&["stored"]));
    let two = "{\"user_id\":\"a\"}\n{\"user_id\":\"b\"}\n";
    let (code, _, errors) = setup.run_with(two, &["subject", "access", "--region", "DE"]);
    assert!(code == 2 && errors.contains("one person"), "{errors}");
    let lines = crate::audit::lines(&world);
    let acts: Vec<(&Value, &Value)> = lines
        .iter()
        .filter(|line| line["act"] == "subject_access")
        .map(|line| (&line["role"], &line["outcome"]))
        .collect();
    let (account, operator) = (json!("account_service"), json!("operator"));
    let (begun, done) = (json!("begun"), json!("done"));
    assert_eq!(acts, [(&account, &begun), (&account, &done), (&operator, &begun), (&operator, &done)]);
    world.stop();
    for path in files(&world.data_dir()) {
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(10).any(|window| window == b"secret-ada"), "{}", path.display());
    }
}
