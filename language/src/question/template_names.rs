//! The templates: tables that are made of another table in FROM, each with how it is written and what it tells.
//!
//! Invariant: the list is closed, and what is on it is all that [`Template::of`] knows.
//! Not here: what the arguments mean (`templates`).

/// A template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Template {
    Funnel,
    Retention,
}

/// A template as an asker is told of it.
#[derive(Clone, Copy, Debug)]
pub struct TemplateForm {
    template: Template,
    /// Its name.
    pub name: &'static str,
    /// How it is written in FROM. `table` and `event` stand for what the asker writes.
    pub written: &'static str,
    /// What it tells.
    pub meaning: &'static str,
    /// A statement that works.
    pub example: &'static str,
}

const FUNNEL: TemplateForm = TemplateForm {
    template: Template::Funnel,
    name: "funnel",
    written: "FUNNEL(table, event, event, .., within => INTERVAL '7 days')",
    meaning: "subjects by `step`: who came at least so far through two to ten events, in this order and within this time; \
        an event is a name or a condition; for COUNT(DISTINCT subject)",
    example: "SELECT step, COUNT(DISTINCT subject) AS people FROM funnel(usage, 'app_open', event = 'login' AND \
        result = 'ok', within => INTERVAL '7 days') GROUP BY step",
};
const RETENTION: TemplateForm = TemplateForm {
    template: Template::Retention,
    name: "retention",
    written: "RETENTION(table, event, event, period => 'week')",
    meaning: "subjects by `cohort` and `period`: who did the first event in the day, week or month of the cohort, and the \
        second one so many periods later; for COUNT(DISTINCT subject)",
    example: "SELECT cohort, period, COUNT(DISTINCT subject) AS people FROM retention(usage, 'app_open', \
        'app_open', period => 'week') GROUP BY cohort, period",
};

/// Every template that can be asked.
pub const TEMPLATES: [TemplateForm; 2] = [FUNNEL, RETENTION];

impl Template {
    /// The template of a name.
    pub(super) fn of(name: &str) -> Option<Template> {
        TEMPLATES.iter().find(|form| form.name == name).map(|form| form.template)
    }

    /// How an asker is told of it.
    pub(super) const fn form(self) -> TemplateForm {
        match self {
            Template::Funnel => FUNNEL,
            Template::Retention => RETENTION,
        }
    }
}
