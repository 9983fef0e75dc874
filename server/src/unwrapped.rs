//! What a custody has unwrapped last, so that a process asks it once and not for each file that it opens.
//!
//! Invariants: an answer is that of the very text that was wrapped, so it is never out of date; what is in here is zeroised when it goes,
//! and neither `Debug` nor a comparison has any of it. Not here: who unwraps (`custody.rs`).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

/// The last text that was unwrapped. Clones are the same.
#[derive(Clone, Default)]
pub struct Unwrapped(Arc<Mutex<Option<Pair>>>);

/// The wrapped text, and what was in it.
type Pair = (String, Zeroizing<String>);

impl Unwrapped {
    /// What is in a wrapped text: what is known, or what `unwrap` says.
    ///
    /// # Errors
    /// Those of `unwrap`.
    pub(crate) fn of<E>(
        &self,
        wrapped: &str,
        unwrap: impl FnOnce() -> Result<Zeroizing<String>, E>,
    ) -> Result<Zeroizing<String>, E> {
        // Whoever comes meanwhile waits, and then need not ask.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((text, inner)) = &*known
            && text == wrapped
        {
            return Ok(inner.clone());
        }
        let inner = unwrap()?;
        *known = Some((wrapped.to_owned(), inner.clone()));
        Ok(inner)
    }
}

impl fmt::Debug for Unwrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unwrapped")
    }
}

impl PartialEq for Unwrapped {
    /// It is no setting, so it does not count when configurations are compared.
    fn eq(&self, _: &Unwrapped) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_text_is_unwrapped_once_and_another_one_anew() {
        let known = Unwrapped::default();
        let ok = |text: &str| Ok::<_, String>(Zeroizing::new(text.to_owned()));
        let never = || Err::<Zeroizing<String>, _>("asked".to_owned());
        assert!(known.of("a", never).is_err(), "what failed is not known");
        assert_eq!(known.of("a", || ok("secret")).unwrap().as_str(), "secret");
        assert_eq!(known.clone().of("a", never).unwrap().as_str(), "secret");
        assert!(known.of("b", never).is_err());
        assert_eq!(known.of("a", never).unwrap().as_str(), "secret");
        assert_eq!(known.of("b", || ok("other")).unwrap().as_str(), "other");
        assert!(known.of("a", never).is_err());
        assert_eq!(format!("{known:?}"), "Unwrapped");
    }
}
