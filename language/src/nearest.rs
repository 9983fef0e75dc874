//! Which known name a written one is near to.
//!
//! Invariants: the only edit distance of the crate, so that messages and suggestions agree.

use strsim::levenshtein;

/// The nearest of some names; `None` when none of them is near.
pub(crate) fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let name = name.to_ascii_lowercase();
    let one = name.strip_suffix('s').unwrap_or(&name);
    let most = (name.chars().count() / 3).clamp(1, 3);
    let letters = |text: &str| {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        letters
    };
    let ranked = names.map(|known| {
        // `version` is near to `app_version`, and `form` to `from`.
        let is_part =
            one.len() > 2 && (known.ends_with(&format!("_{one}")) || known.starts_with(&format!("{one}_")));
        let is_swapped = letters(known) == letters(&name);
        let far = levenshtein(&name, known).min(levenshtein(one, known));
        (if is_part || is_swapped { far.min(1) } else { far }, known)
    });
    ranked.filter(|(far, _)| *far <= most).min().map(|(_, known)| known)
}

/// Texts, the nearest to this one first.
pub(crate) fn nearest_first<'t>(text: &str, all: impl Iterator<Item = &'t str>) -> Vec<&'t str> {
    let wanted = text.to_lowercase();
    let mut ranked: Vec<(usize, &str)> =
        all.map(|one| (levenshtein(&wanted, &one.to_lowercase()), one)).collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, one)| one).collect()
}
