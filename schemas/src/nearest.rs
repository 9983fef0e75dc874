//! Which known name a written one is near to.
//!
//! Invariants: events, properties, columns and tables are compared here alone, so that messages and suggestions agree; what is longer
//! than a name may be is near to none, so that a comparison costs little whatever was written.
//! Not here: how near the name of a setting must be (`shoal-server`, `config/nearest.rs`).

use strsim::osa_distance;

/// Longest text that is compared, in bytes: no declared name is longer.
pub const BYTES_MAX: usize = 64;

/// How many letters are to be written, left out, changed, or swapped with their neighbour to make one text of another.
pub fn steps(from: &str, to: &str) -> usize {
    osa_distance(from, to)
}

/// The nearest of some names; `None` when none of them is near.
pub fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if name.len() > BYTES_MAX {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let one = name.strip_suffix('s').unwrap_or(&name);
    let most = (name.chars().count() / 3).clamp(1, 3);
    let sorted = sorted_letters(&name);
    let ranked = names.filter_map(|known| {
        // `version` is near to `app_version`, and `form` to `from`.
        let is_part = one.len() > 2 && is_part(one, known);
        // Each change is of one letter. `one` has at most one letter less than the name.
        if !is_part && known.chars().count().abs_diff(sorted.len()) > most + 1 {
            return None;
        }
        let is_swapped = known.len() == name.len() && sorted_letters(known) == sorted;
        let far = steps(&name, known).min(steps(one, known));
        Some((if is_part || is_swapped { far.min(1) } else { far }, known))
    });
    ranked.filter(|(far, _)| *far <= most).min().map(|(_, known)| known)
}

fn sorted_letters(text: &str) -> Vec<char> {
    let mut letters: Vec<char> = text.chars().collect();
    letters.sort_unstable();
    letters
}

/// Whether a name ends with `_` and this word, or begins with the word and `_`.
fn is_part(word: &str, name: &str) -> bool {
    name.strip_suffix(word).is_some_and(|rest| rest.ends_with('_'))
        || name.strip_prefix(word).is_some_and(|rest| rest.starts_with('_'))
}

/// Texts, the nearest to this one first.
pub fn nearest_first<'t>(text: &str, all: impl Iterator<Item = &'t str>) -> Vec<&'t str> {
    let wanted = text.to_lowercase();
    let mut ranked: Vec<(usize, &str)> = all.map(|one| (steps(&wanted, &one.to_lowercase()), one)).collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, one)| one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_near_and_another_or_an_endless_one_is_not() {
        let names = ["app_open", "click", "screen_view"];
        let near = |name: &str| nearest(name, names.into_iter());
        assert_eq!(near("clik"), Some("click"));
        assert_eq!(near("AppOpen"), Some("app_open"));
        assert_eq!(near("screen"), Some("screen_view"));
        assert_eq!(near("purchase"), None);
        assert_eq!(
            (near("clicks"), near("view"), near("xclicky")),
            (Some("click"), Some("screen_view"), Some("click"))
        );
        assert_eq!(near("pen_appo"), Some("app_open"));
        assert_eq!(near(&format!("click{}", " ".repeat(60))), None);
    }
}
