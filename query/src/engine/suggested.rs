//! What a refusal suggests: a statement that was asked, as a dry run, before it is shown.
//!
//! Invariants: a suggestion is accepted with the same key, precision and time, unless no statement is. It depends on what the
//! refusal depends on: the text, the public schema, the key's regions and the time. The work is bounded.
//! Not here: the proposals (`shoal-language`, `suggest`).

use std::time::Duration;

use tokio::time::Instant;

use super::attempt::{Asker, Attempts};
use crate::error::QueryError;
use shoal_language::suggest::{Refused, instead, is_chosen, on_one_line, proposals, typos};
use shoal_language::{Refusal, Rule};

/// Most statements that are asked for one suggestion.
const TRIES_MAX: usize = 24;
/// Longest time for one suggestion: for statements that take seconds to plan. Others have their tries long before, so that load
/// does not change what is suggested.
const TIME: Duration = Duration::from_secs(8);

/// What is left to try.
struct Tries {
    left: usize,
    until: Instant,
}

impl Tries {
    fn one(&mut self) -> bool {
        let is_left = self.left > 0 && Instant::now() < self.until;
        self.left = self.left.saturating_sub(1);
        is_left
    }
}

impl Attempts {
    /// The refusal of a text, with a suggestion that works.
    pub(super) async fn suggested(&self, text: &str, refusal: Refusal, asker: Asker<'_>) -> Refusal {
        let until = asker.deadline.min(Instant::now() + TIME);
        let mut tries = Tries { left: TRIES_MAX, until };
        let asker = Asker { deadline: until, ..asker };
        let mut last = None;
        if !is_chosen(&refusal) && !matches!(refusal.rule, Rule::Size | Rule::Budget) {
            let read = match refusal.rule {
                Rule::Syntax => typos(text, &refusal).iter().find_map(|text| on_one_line(text)),
                _ => None,
            };
            match self.own(read.as_deref().unwrap_or(text), asker, &mut tries).await {
                Ok(suggestion) => return Refusal { suggestion, ..refusal },
                Err(other) => last = other,
            }
        }
        // These are always tried.
        let all: Vec<&Refusal> = std::iter::once(&refusal).chain(&last).collect();
        for suggestion in instead(text, &all) {
            if self.attempt(&suggestion, asker).await.is_ok() {
                return Refusal { suggestion, ..refusal };
            }
        }
        refusal
    }

    /// The own statement mended, or the last refusal on the way.
    async fn own(&self, text: &str, asker: Asker<'_>, tries: &mut Tries) -> Result<String, Option<Refusal>> {
        let Some(mut text) = on_one_line(text) else { return Err(None) };
        let mut refusal = match self.attempt(&text, asker).await {
            Ok(_) => return Ok(text),
            Err(QueryError::Refused(refusal)) => *refusal,
            Err(_) => return Err(None),
        };
        'next: loop {
            if is_chosen(&refusal) {
                return Err(Some(refusal));
            }
            for proposal in proposals(&text, &Refused { refusal: &refusal, registry: &self.registry }) {
                if !tries.one() {
                    return Err(Some(refusal));
                }
                match self.attempt(&proposal, asker).await {
                    Ok(_) => return Ok(proposal),
                    Err(QueryError::Refused(next))
                        if proposal.len() < text.len() || is_further(&next, &refusal) =>
                    {
                        (text, refusal) = (proposal, *next);
                        continue 'next;
                    }
                    Err(_) => {}
                }
            }
            return Err(Some(refusal));
        }
    }
}

/// Whether something else is refused now.
fn is_further(next: &Refusal, before: &Refusal) -> bool {
    (next.rule, &next.message, next.line, next.column)
        != (before.rule, &before.message, before.line, before.column)
}
