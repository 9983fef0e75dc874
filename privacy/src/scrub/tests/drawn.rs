//! Texts that are drawn from the patterns' own expressions: the scan must not skip what would match.

use proptest::{
    strategy::ValueTree as _,
    string::{RegexGeneratorStrategy, string_regex_parsed},
    test_runner::TestRunner,
};
use regex_syntax::hir::{Capture, Hir, HirKind, Repetition};

use super::*;

/// Texts that are drawn of each pattern, beside its own examples in all surroundings.
const DRAWN: usize = 120;

/// An expression of which only what a text is made of is left: no anchors, and nothing else that looks at what is around it.
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

/// What the texts of one pattern are drawn from.
struct Source {
    file: &'static str,
    drawn: RegexGeneratorStrategy<String>,
    /// Texts in which something must be found, as the file has them. Of numbers with check digits hardly one is drawn.
    examples: Vec<String>,
}

/// Of each pattern, in the order of the scrubber's patterns.
fn sources() -> Vec<Source> {
    let mut files: Vec<_> = pattern::EMBEDDED
        .iter()
        .map(|(file, text)| (*file, toml::from_str::<toml::Table>(text).unwrap()))
        .collect();
    files.sort_by_key(|(_, table)| table["priority"].as_integer());
    let source = |(file, table): (&'static str, toml::Table)| {
        let mut parser = regex_syntax::ParserBuilder::new().ignore_whitespace(true).build();
        let hir = parser.parse(table["regex"].as_str().unwrap()).unwrap();
        let pairs = table["pass"].as_array().unwrap().iter();
        let examples = pairs.map(|pair| pair[0].as_str().unwrap().to_owned()).collect();
        Source { file, drawn: string_regex_parsed(&without_looks(&hir)).unwrap(), examples }
    };
    files.into_iter().map(source).collect()
}

#[test]
fn the_scan_skips_no_pattern_that_would_match() {
    let mut runner = TestRunner::new(cases(1));
    let surroundings = prop::sample::select(SURROUNDINGS);
    let (mut skipped, mut without) = (Vec::new(), Vec::new());
    for (source, pattern) in sources().into_iter().zip(&scrubber().patterns) {
        let mut matched = 0;
        let mut look = |text: String| {
            let folded = fold::fold(&text);
            if pattern.find(&folded, 0, &mut Work::unlimited()).is_some() {
                matched += 1;
                if !pattern.needs.met(&scrubber().scan.traits(&folded)) {
                    skipped.push((source.file, text));
                }
            }
        };
        for _ in 0..DRAWN {
            let drawn = source.drawn.new_tree(&mut runner).unwrap().current();
            let (before, after) = surroundings.new_tree(&mut runner).unwrap().current();
            look(format!("{before}{drawn}{after}"));
        }
        for (before, after) in SURROUNDINGS {
            source.examples.iter().for_each(|example| look(format!("{before}{example}{after}")));
        }
        if matched < source.examples.len() {
            without.push((source.file, matched));
        }
    }
    assert!(skipped.is_empty(), "{}: {skipped:#?}", skipped.len());
    assert!(without.is_empty(), "nothing was tried of {without:#?}");
}
