//! What a refusal suggests: the same question, written so that it works, and asked as a dry run before it is shown; or an
//! example of what can be asked.
//!
//! Invariants: a suggestion asks what was asked ([`lost`], here and nowhere else): where no statement is known that does, there is
//! none, and an example shows the form. Both are accepted with the same key, precision and time, unless no statement is. They
//! depend on what the refusal depends on: the text, the public schema, the key's regions and the time. The work is counted
//! and bounded. Not here: the proposals (`shoal-language`, `suggest`).

use std::time::Duration;

use tokio::time::Instant;

use super::attempt::{Asker, Attempts};
use crate::error::QueryError;
use shoal_language::suggest::{
    Asked, Refused, examples, instead, is_chosen, lost, on_one_line, proposals, typos,
};
use shoal_language::{LanguageError, Refusal, Rule, WORK_MAX, Work, ask_within};

/// Most statements that are asked for one suggestion.
const TRIES_MAX: usize = 24;
/// Longest time for one suggestion: for statements that take seconds to plan. Others have their tries long before, so that load
/// does not change what is suggested.
const TIME: Duration = Duration::from_secs(8);

/// Most steps of taking apart for one suggestion.
const STEPS_MAX: u64 = 2 * WORK_MAX;

/// What is left to try.
struct Tries {
    left: usize,
    steps: u64,
    until: Instant,
}

impl Tries {
    /// What the next try may cost; none when nothing is left.
    fn one(&mut self) -> Option<Work> {
        let is_left = self.left > 0 && self.steps > 0 && Instant::now() < self.until;
        self.left = self.left.saturating_sub(1);
        is_left.then(|| Work::of(WORK_MAX.min(self.steps)))
    }

    fn has_cost(&mut self, work: &Work) {
        self.steps = self.steps.saturating_sub(work.spent());
    }
}

impl Attempts {
    /// The refusal of a text, with a suggestion that works.
    pub(super) async fn suggested(&self, text: &str, refusal: Refusal, asker: Asker<'_>) -> Refusal {
        let until = asker.deadline.min(Instant::now() + TIME);
        let mut tries = Tries { left: TRIES_MAX, steps: STEPS_MAX, until };
        let asker = Asker { deadline: until, ..asker };
        let mut last = None;
        if !is_chosen(&refusal) && !matches!(refusal.rule, Rule::Size | Rule::Budget) {
            let read = match refusal.rule {
                Rule::Syntax => typos(text, &refusal).iter().find_map(|text| on_one_line(text)),
                _ => None,
            };
            match self.own(read.as_deref().unwrap_or(text), asker, &mut tries).await {
                Ok(suggestion) => return Refusal { suggestion: Some(suggestion), ..refusal },
                Err(other) => last = other,
            }
        }
        // These are always tried: the statement as another question that can be asked first, then what shows the form.
        let all: Vec<&Refusal> = std::iter::once(&refusal).chain(&last).collect();
        let near = || {
            let line = on_one_line(text).filter(|_| !is_chosen(&refusal))?;
            // Places are those of the text on one line.
            let on_line = self.refused(&line, asker)?;
            Some(examples(&line, &Refused { refusal: &on_line, registry: &self.registry }))
        };
        for example in near().unwrap_or_default().into_iter().chain(instead(text, &all)) {
            if self.attempt(&example, asker).await.is_ok() {
                return Refusal { example, ..refusal };
            }
        }
        refusal
    }

    /// The refusal of a text that is refused by what it says alone.
    fn refused(&self, text: &str, asker: Asker<'_>) -> Option<Refusal> {
        match ask_within(text, &self.registry, self.asking(asker.regions, asker.now_ms), &Work::default()) {
            Err(LanguageError::Refused(refusal)) => Some(*refusal),
            Ok(_) | Err(LanguageError::NotAllowed(_)) => None,
        }
    }

    /// The own statement, written so that it works and asks the same, or the last refusal on the way.
    async fn own(&self, text: &str, asker: Asker<'_>, tries: &mut Tries) -> Result<String, Option<Refusal>> {
        let Some(mut text) = on_one_line(text) else { return Err(None) };
        let whole = text.clone();
        let asking = self.asking(asker.regions, asker.now_ms);
        let asked = Asked { text: &whole, registry: &self.registry, asking };
        let mut refusal = match self.attempt(&text, asker).await {
            // It was not SQL, and a word or a letter of it was corrected.
            Ok(_) => return Ok(text),
            Err(QueryError::Refused(refusal)) => *refusal,
            Err(_) => return Err(None),
        };
        'next: loop {
            if is_chosen(&refusal) {
                return Err(Some(refusal));
            }
            for proposal in proposals(&text, &Refused { refusal: &refusal, registry: &self.registry }) {
                let Some(work) = tries.one() else { return Err(Some(refusal)) };
                let tried = self.attempt_within(&proposal, asker, &work).await;
                tries.has_cost(&work);
                match tried {
                    Ok(prepared) if lost(&asked, &proposal, &prepared.queries()).is_none() => {
                        return Ok(proposal);
                    }
                    Ok(_) => {}
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
