//! The table of problems is whole, documented and the only one.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::*;

fn query_problem(rule: Rule) -> Problem {
    refused(rule, None)
}

fn refused(rule: Rule, suggestion: Option<String>) -> Problem {
    let (message, example) = ("There is none.".to_owned(), "precision low".to_owned());
    let refusal = shoal_language::Refusal { rule, line: 1, column: 8, message, suggestion, example };
    QueryError::Refused(Box::new(refusal)).into()
}

fn document(problem: &Problem) -> Value {
    let body = problem.response().into_body();
    let bytes = actix_web::body::MessageBody::try_into_bytes(body).ok().unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn a_budget_that_is_used_up_is_429_and_does_not_invite_to_come_back() {
    let answer = query_problem(Rule::Budget).response();
    assert_eq!(answer.status(), 429);
    assert!(!answer.headers().contains_key("retry-after"));
    assert_eq!(query_problem(Rule::Column).response().status(), 400);
    assert_eq!(Problem::from(QueryError::Busy).response().headers().get("retry-after").unwrap(), "1");
}

#[test]
fn a_problem_is_written_as_the_rfc_says() {
    let problem = query_problem(Rule::Column);
    assert_eq!(problem.response().headers().get("content-type").unwrap(), "application/problem+json");
    assert_eq!(
        document(&problem),
        serde_json::json!({
            "type": "urn:shoal:problem:refused", "title": "The question cannot be answered", "status": 400,
            "detail": "There is none.", "code": "refused", "rule": Rule::Column, "line": 1, "column": 8,
            "example": "precision low",
        })
    );
    let suggested = document(&refused(Rule::Column, Some("SELECT 1".to_owned())));
    assert_eq!((&suggested["suggestion"], suggested.get("example")), (&"SELECT 1".into(), None));
    let refusal =
        Refusal { code: RefusalCode::DiskFull, reason: "there is no room".into(), retry_after_s: Some(60) };
    let full = document(&refusal.into());
    assert_eq!((&full["status"], &full["code"]), (&507.into(), &"disk_full".into()));
    assert_eq!((&full["detail"], &full["retry_after_s"]), (&"there is no room".into(), &60.into()));
}

#[test]
fn every_code_is_there_once_and_only_those_that_may_pass_invite_to_come_back() {
    let codes: Vec<_> = ProblemType::all().map(ProblemType::code).collect();
    let mut unique = codes.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), codes.len());
    for of in ProblemType::all() {
        assert!(of.status().is_client_error() || of.status().is_server_error(), "{}", of.code());
        assert!(!of.title().ends_with('.') && of.title().contains(' '), "{}", of.title());
        if let Some(later) = of.later() {
            assert_eq!(of.status(), status_of(later), "{}", of.code());
        }
        let invited = Problem::new(of, "").response().headers().contains_key("retry-after");
        assert_eq!(invited, of.later().is_some(), "{}", of.code());
    }
}

/// The table of `docs/problems.md`.
fn table() -> String {
    let mut rows: Vec<_> = ProblemType::all().collect();
    rows.sort_by_key(|of| (of.status().as_u16(), of.code()));
    let row = |of: &ProblemType| {
        let again = if of.later().is_some() { "after `retry_after_s`" } else { "" };
        format!("| {} | `{}` | {} | {again} |\n", of.status().as_u16(), of.code(), of.title())
    };
    rows.iter().map(row).collect()
}

#[test]
fn the_documentation_lists_every_problem() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/problems.md");
    let text = std::fs::read_to_string(file).unwrap();
    let wanted = table();
    let rows = |l: &&str| l.strip_prefix("| ").is_some_and(|l| l.starts_with(char::is_numeric));
    let found: String = text.lines().filter(rows).map(|l| format!("{l}\n")).collect();
    assert_eq!(found, wanted, "the table of docs/problems.md must be:\n{wanted}");
}

/// Files below a directory of sources.
fn sources(dir: &Path, out: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else {
            out.push(path);
        }
    }
}

/// Lines in which a status of a refusal stands. `HttpResponse::Ok` and `NoContent` say that there is none.
fn statuses(text: &str) -> Vec<&str> {
    let is_status = |line: &str| {
        let built = line.split("HttpResponse::").skip(1).any(|rest| {
            rest.starts_with(char::is_uppercase)
                && !rest.starts_with("Ok()")
                && !rest.starts_with("NoContent()")
        });
        let named = line.split("StatusCode::").skip(1).any(|rest| rest.starts_with(char::is_uppercase));
        let made = [
            "StatusCode::from",
            ".status(S",
            ".set_status",
            ".status_mut",
            "HttpResponse::build",
            "HttpResponse::new",
            "StatusCode as",
        ]
        .iter()
        .any(|way| line.contains(way));
        let described = line
            .split("status = ")
            .skip(1)
            .any(|rest| rest.starts_with(char::is_numeric) && !rest.starts_with('2'));
        built || named || made || described
    };
    let code = text.split("#[cfg(test)]").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//") && is_status(line)).collect()
}

#[test]
fn statuses_of_refusals_stand_in_this_file_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 40, "the test must see the sources");
    for path in files {
        let shown = path.strip_prefix(&root).unwrap().display().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        let found = statuses(&text);
        match shown.as_str() {
            "problem.rs" => assert!(found.len() > 15, "the test must see a status where one is"),
            "problem/tests.rs" => {}
            _ => assert!(found.is_empty(), "{shown}: a status belongs into problem.rs: {found:?}"),
        }
    }
}
