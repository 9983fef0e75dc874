//! What is kept of the exception of a crash: the one that was thrown last, its innermost frames, and the name of its thread.
//!
//! Never read: code context and variables of frames. Not here: what a crash says besides (`decode.rs`), what a frame may hold
//! (`stages/frames.rs`).

use std::borrow::Cow;

use crate::wire::{batch::FRAMES_MAX, json::Json};

/// The exception that was thrown last: SDKs list causes first.
pub(super) fn exception<'x, 'a>(event: &'x Json<'a>) -> Option<&'x Json<'a>> {
    let exception = event.get("exception")?;
    let values = exception.get("values").unwrap_or(exception);
    let last = values.items().last().unwrap_or(values);
    (last.get("type").is_some() || last.get("value").is_some()).then_some(last)
}

/// What is kept of the frames, the innermost last.
pub(super) fn frames<'a>(exception: &Json<'a>) -> Json<'a> {
    let frames = exception.path("stacktrace.frames").map_or(&[][..], Json::items);
    let kept = |frame: &Json<'a>| {
        let field = |name: &'static str, from: &[&str]| {
            let value = from.iter().find_map(|key| frame.get(key).filter(|v| !matches!(v, Json::Null)));
            value.map(|v| (Cow::Borrowed(name), v.clone()))
        };
        let fields = [
            field("module", &["module", "package"]),
            field("function", &["function"]),
            field("file", &["filename"]),
            field("line", &["lineno"]),
            field("in_app", &["in_app"]),
        ];
        Json::Map(fields.into_iter().flatten().collect())
    };
    if frames.is_empty() {
        return Json::Null;
    }
    let skipped = frames.len().saturating_sub(FRAMES_MAX);
    Json::List(frames.iter().skip(skipped).map(kept).collect())
}

/// The name of the thread that crashed.
pub(super) fn thread<'a>(event: &Json<'a>, exception: &Json<'a>) -> Json<'a> {
    let threads = event.get("threads").map_or(&[][..], |t| t.get("values").unwrap_or(t).items());
    let is_true = |thread: &&Json<'a>, key: &str| matches!(thread.get(key), Some(Json::Boolean(true)));
    let id = exception.get("thread_id").and_then(Json::identifier);
    let crashed = threads
        .iter()
        .find(|t| id.is_some() && t.get("id").and_then(Json::identifier) == id)
        .or_else(|| threads.iter().find(|t| is_true(t, "crashed")))
        .or_else(|| threads.iter().find(|t| is_true(t, "current")));
    crashed.and_then(|t| t.get("name")).cloned().unwrap_or(Json::Null)
}
