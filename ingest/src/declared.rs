//! The declared names of a batch's events, for counts.
//!
//! Invariant: a name is there because a definition has it, so that nothing that a body made up is ever counted or shown.
//! Not here: the counts (`senders.rs`).

/// For each event of a batch its declared name, where it has one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declared {
    /// Each once.
    names: Vec<String>,
    /// Positions in the names, by slot.
    slots: Vec<Option<u16>>,
}

impl Declared {
    /// Keeps those of the events' names that are declared.
    pub(crate) fn of<'n>(
        events: impl Iterator<Item = Option<&'n str>>,
        is_declared: impl Fn(&str) -> bool,
    ) -> Declared {
        let mut declared = Declared::default();
        for name in events {
            let at = name.and_then(|name| declared.position(name, &is_declared));
            declared.slots.push(at);
        }
        declared
    }

    fn position(&mut self, name: &str, is_declared: impl Fn(&str) -> bool) -> Option<u16> {
        let at = match self.names.iter().rposition(|known| known == name) {
            Some(at) => at,
            None if is_declared(name) => {
                self.names.push(name.to_owned());
                self.names.len() - 1
            }
            None => return None,
        };
        u16::try_from(at).ok()
    }

    /// Its names, each once.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Which of its names the event at a slot has.
    pub(crate) fn at(&self, slot: usize) -> Option<usize> {
        (*self.slots.get(slot)?).map(usize::from)
    }

    /// The declared name of the event at a slot.
    pub(crate) fn name(&self, slot: usize) -> Option<&str> {
        self.names.get(self.at(slot)?).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_declared_names_are_kept_and_each_once() {
        let events = [Some("click"), None, Some("anna@example.com"), Some("click"), Some("app_open")];
        let declared = Declared::of(events.into_iter(), |name| ["click", "app_open"].contains(&name));
        let names: Vec<_> = (0..6).map(|slot| declared.name(slot)).collect();
        assert_eq!(names, [Some("click"), None, None, Some("click"), Some("app_open"), None]);
        assert_eq!(declared.names.len(), 2);
    }
}
