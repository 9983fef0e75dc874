//! Texts that are drawn from the patterns' own expressions: the scan must not skip what would match.

use proptest::{
    strategy::ValueTree as _,
    string::{RegexGeneratorStrategy, string_regex_parsed},
    test_runner::TestRunner,
};
use regex_syntax::hir::{Capture, Hir, HirKind, Repetition};

use super::*;

/// Texts that are drawn of each pattern.
const DRAWN: usize = 120;

/// An expression without what it asks of its surroundings, which is not a part of a text.
fn without_looks(hir: &Hir) -> Hir {
    let all = |parts: &[Hir]| parts.iter().map(without_looks).collect();
    match hir.kind() {
        HirKind::Look(_) => Hir::empty(),
        HirKind::Repetition(repeated) => {
            Hir::repetition(Repetition { sub: Box::new(without_looks(&repeated.sub)), ..repeated.clone() })
        }
        HirKind::Capture(group) => {
            Hir::capture(Capture { sub: Box::new(without_looks(&group.sub)), ..group.clone() })
        }
        HirKind::Concat(parts) => Hir::concat(all(parts)),
        HirKind::Alternation(parts) => Hir::alternation(all(parts)),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) => hir.clone(),
    }
}

/// Each pattern's name of a file and what its texts are drawn from, in the order of the scrubber's patterns.
fn sources() -> Vec<(&'static str, RegexGeneratorStrategy<String>)> {
    let mut files: Vec<_> = pattern::EMBEDDED
        .iter()
        .map(|(file, text)| (*file, toml::from_str::<toml::Table>(text).unwrap()))
        .collect();
    files.sort_by_key(|(_, table)| table["priority"].as_integer());
    let source = |table: &toml::Table| {
        let mut parser = regex_syntax::ParserBuilder::new().ignore_whitespace(true).build();
        let hir = parser.parse(table["regex"].as_str().unwrap()).unwrap();
        string_regex_parsed(&without_looks(&hir)).unwrap()
    };
    files.iter().map(|(file, table)| (*file, source(table))).collect()
}

#[test]
fn the_scan_skips_no_pattern_that_would_match() {
    let mut runner = TestRunner::new(cases(1));
    let surroundings = prop::sample::select(SURROUNDINGS);
    let (mut matched, mut skipped) = (0, Vec::new());
    for ((file, source), pattern) in sources().into_iter().zip(&scrubber().patterns) {
        for _ in 0..DRAWN {
            let drawn = source.new_tree(&mut runner).unwrap().current();
            let (before, after) = surroundings.new_tree(&mut runner).unwrap().current();
            let text = format!("{before}{drawn}{after}");
            let folded = fold::fold(&text);
            if pattern.find(&folded, 0, &mut Work::unlimited()).is_some() {
                matched += 1;
                if !pattern.needs.met(&scrubber().scan.traits(&folded)) {
                    skipped.push((file, text));
                }
            }
        }
    }
    assert!(skipped.is_empty(), "{} of {matched}: {skipped:#?}", skipped.len());
    assert!(matched > 10 * DRAWN, "{matched}");
}
