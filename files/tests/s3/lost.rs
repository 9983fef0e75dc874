//! Answers that are lost, one at a time: what is known afterwards, and what is not.

use std::io::{ErrorKind, Write as _};
use std::time::{Duration, Instant};

use shoal_files::{Objects as _, S3, S3Settings, is_in_doubt};

use crate::proxy::{Deed, Proxy};
use crate::servers::{Server, open};

fn short(seconds: u64) -> S3Settings {
    let (request_timeout, give_up_after) = (Duration::from_secs(seconds), Duration::from_secs(3 * seconds));
    S3Settings { request_timeout, give_up_after, ..S3Settings::default() }
}

/// A bucket behind a proxy that does these things to the first requests, and passes the others.
///
/// SeaweedFS takes a second or more for a conditional put of a name that others put at the moment.
fn behind(server: &Server, prefix: &str, deeds: &[Deed]) -> (Proxy, S3) {
    let deeds = deeds.to_vec();
    let proxy =
        Proxy::start(server.port, move |number, _, _| deeds.get(number).cloned().unwrap_or(Deed::Pass));
    let s3 = open(proxy.port, prefix, short(4));
    (proxy, s3)
}

/// Every way in which the answer to a put may get lost or be an error.
fn losses() -> Vec<Deed> {
    let mut deeds = vec![Deed::LoseAnswer, Deed::CutAnswer, Deed::Reset, Deed::Hang];
    for (status, code) in
        [(500, "InternalError"), (503, "SlowDown"), (429, "TooManyRequests"), (408, "RequestTimeout")]
    {
        deeds.extend([Deed::AnswerAfter(status, code), Deed::AnswerBefore(status, code)]);
    }
    deeds.extend([
        Deed::AnswerBefore(409, "ConditionalRequestConflict"),
        Deed::AnswerBefore(400, "RequestTimeout"),
    ]);
    deeds
}

#[test]
fn a_put_whose_answer_is_lost_is_known_to_be_ours() {
    let server = Server::shared();
    for (number, deed) in losses().into_iter().enumerate() {
        let (_proxy, s3) = behind(&server, &format!("lost/{number}"), std::slice::from_ref(&deed));
        s3.put_if_absent("a", b"ours").unwrap_or_else(|e| panic!("{deed:?}: {e}"));
        assert_eq!(s3.read("a").unwrap(), b"ours");
        assert_eq!(
            s3.put_if_absent("a", b"ours").unwrap_err().kind(),
            ErrorKind::AlreadyExists,
            "not the same call"
        );
    }
}

#[test]
fn somebody_elses_object_is_never_ours() {
    let server = Server::shared();
    for (number, deed) in losses().into_iter().enumerate() {
        let (_proxy, s3) = behind(&server, &format!("theirs/{number}"), std::slice::from_ref(&deed));
        // The same bytes, and put where there was nothing, as those of this call.
        server.bucket(&format!("theirs/{number}")).put_if_absent("a", b"same").unwrap();
        let error = s3.put_if_absent("a", b"same").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{deed:?}: {error}");
    }
}

/// An answer is lost, and somebody writes over the name in any case before it is asked again.
#[test]
fn what_cannot_be_known_is_told_as_unknown() {
    let server = Server::shared();
    for is_removed in [false, true] {
        let prefix = format!("unknown/{is_removed}");
        let direct = server.bucket(&prefix);
        let of_proxy = direct.clone();
        let proxy = Proxy::start(server.port, move |number, method, _| {
            match (number, method) {
                (0, _) => return Deed::LoseAnswer,
                // The second request finds an object of somebody else's.
                (1, _) if !is_removed => of_proxy.put("a", b"over it").unwrap(),
                // The second request is refused, and before a look at the object it is gone.
                (2, "HEAD") if is_removed => of_proxy.remove(&["a"]).unwrap(),
                _ => {}
            }
            Deed::Pass
        });
        let error = open(proxy.port, &prefix, short(4)).put_if_absent("a", b"ours").unwrap_err();
        assert!(error.to_string().contains("an earlier request may have been carried out"), "{error}");
        assert!(error.kind() != ErrorKind::AlreadyExists && is_in_doubt(&error), "{error:?}");
    }
}

/// A refusal after a lost answer says nothing of the request before.
#[test]
fn a_refusal_after_a_lost_answer_is_no_refusal() {
    let server = Server::shared();
    for after in [(403, "AccessDenied"), (404, "NoSuchBucket"), (400, "InvalidRequest")] {
        let deeds = [Deed::LoseAnswer, Deed::AnswerBefore(after.0, after.1)];
        let (_proxy, s3) = behind(&server, &format!("refusal/{}", after.0), &deeds);
        let error = s3.put_if_absent("a", b"x").unwrap_err();
        assert!(is_in_doubt(&error), "{error:?}");
        let (_proxy, s3) = behind(&server, &format!("refusal/{}", after.0), &deeds);
        assert!(is_in_doubt(&s3.put("a", b"x").unwrap_err()));
    }
    let (_proxy, s3) = behind(&server, "refusal/first", &[Deed::AnswerBefore(403, "AccessDenied")]);
    assert_eq!(s3.put("a", b"x").unwrap_err().kind(), ErrorKind::PermissionDenied);
}

/// Whichever of the requests of an upload has its answer lost.
#[test]
fn an_upload_whose_answers_are_lost_is_whole() {
    let server = Server::shared();
    let all = vec![b'x'; 9 << 20];
    for number in 0..4 {
        for deed in [Deed::LoseAnswer, Deed::CutAnswer, Deed::AnswerAfter(500, "InternalError"), Deed::Reset]
        {
            let mut deeds = vec![Deed::Pass; number];
            deeds.push(deed.clone());
            let (_proxy, s3) = behind(&server, "upload", &deeds);
            let mut draft = s3.write("a").unwrap();
            draft.write_all(&all).unwrap_or_else(|e| panic!("{number} {deed:?}: {e}"));
            assert_eq!(draft.finish().unwrap_or_else(|e| panic!("{number} {deed:?}: {e}")), 9 << 20);
            assert!(s3.read("a").unwrap() == all);
        }
    }
}

#[test]
fn what_only_reads_or_removes_is_repeated() {
    let server = Server::shared();
    let direct = server.bucket("repeated");
    for deed in losses() {
        direct.put("f/a", b"0123456789").unwrap();
        // None of these is slow anywhere.
        let with = |use_it: &dyn Fn(&S3)| use_it(&behind(&server, "repeated", std::slice::from_ref(&deed)).1);
        with(&|s3| assert_eq!(s3.read("f/a").unwrap(), b"0123456789", "{deed:?}"));
        with(&|s3| assert_eq!(s3.open("f/a").unwrap().length().unwrap(), 10));
        with(&|s3| assert_eq!(s3.list("f").unwrap().len(), 1));
        with(&|s3| s3.put("f/a", b"9876543210").unwrap());
        with(&|s3| s3.remove(&["f/a"]).unwrap());
        assert!(direct.list("").unwrap().is_empty());
    }
    direct.put("a", b"0123456789").unwrap();
    let (_proxy, s3) = behind(&server, "repeated", &[Deed::Pass, Deed::CutAnswer]);
    let mut found = [0; 4];
    s3.open("a").unwrap().read_at(3, &mut found).unwrap();
    assert_eq!(&found, b"3456");
}

#[test]
fn a_store_that_does_not_answer_is_given_up_in_time() {
    let deeds = [Deed::Hang, Deed::Reset, Deed::AnswerBefore(503, "SlowDown")];
    for deed in deeds {
        let of_proxy = deed.clone();
        let proxy = Proxy::start(0, move |_, _, _| of_proxy.clone());
        let s3 = open(proxy.port, "never", short(1));
        for call in [
            &|s3: &S3| s3.put_if_absent("a", b"x"),
            &|s3: &S3| s3.put("a", b"x"),
            &|s3: &S3| s3.read("a").map(drop),
            &|s3: &S3| s3.list("").map(drop),
            &|s3: &S3| s3.remove(&["a"]),
        ] as [&dyn Fn(&S3) -> std::io::Result<()>; 5]
        {
            let begun = Instant::now();
            let error = call(&s3).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut, "{deed:?}: {error}");
            let taken = begun.elapsed();
            // A read may carry a MiB, which has a second more.
            assert!(taken < Duration::from_secs(6), "{deed:?}: {taken:?}");
            assert!(taken > Duration::from_millis(900), "{deed:?}: it must be repeated, not {taken:?}");
        }
        assert!(proxy.seen().len() > 5, "each is repeated");
    }
}
