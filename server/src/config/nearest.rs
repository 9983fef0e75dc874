//! The setting that a misspelt name may have meant.

use shoal_schemas::nearest::steps;

use super::declare::{Setting, VARIABLE_PREFIX};
use super::settings::{all, sections};

/// The declared name nearest to an unknown one, when it is near enough to be what was meant. A name without its section, or
/// in the wrong one, counts as one step.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let last = |name| -> &str { str::rsplit(name, '.').next().unwrap_or(name) };
    let far = |setting: &Setting| {
        let whole = steps(name, setting.name);
        whole.min(steps(last(name), last(setting.name)) + 1)
    };
    let (far, found) = all().map(|setting| (far(setting), setting.name)).min()?;
    (far <= name.len() / 3 + 1).then_some(found)
}

/// The section nearest to an unknown one.
pub(super) fn nearest_section(name: &str) -> Option<&'static str> {
    let (far, found) = sections().map(|section| (steps(name, section), section)).min()?;
    (far <= name.len() / 3 + 1).then_some(found)
}

/// The setting whose variable is nearest to an unknown one, and the steps between the two. One without its section counts as one step.
pub(super) fn nearest_variable(variable: &str) -> Option<(usize, &'static Setting)> {
    let far = |setting: &Setting| {
        let key = setting.name.split_once('.').map(|(_, key)| key.to_ascii_uppercase());
        match key.is_some_and(|key| variable.strip_prefix(VARIABLE_PREFIX) == Some(&key)) {
            true => 1,
            false => steps(variable, &setting.variable()),
        }
    };
    all().map(|setting| (far(setting), setting)).min_by_key(|(far, _)| *far)
}
