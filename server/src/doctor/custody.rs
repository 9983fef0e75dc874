//! Whether the custody of the key file answers, and with which version of its key. Not here: the key file itself (`files.rs`).

use super::check::Check;
use crate::config::Config;
use crate::key_custody::Kept;
use crate::key_file;

/// Whether the key file is kept as the settings say, and whether its custody wraps and unwraps.
pub(super) fn custody(config: &Config) -> Check {
    const CHECK: &str = "custody";
    let path = &config.key_file;
    let custodies = match key_file::of(path, config) {
        Ok(custodies) => custodies,
        Err(error) => return Check::fail(CHECK, error.to_string(), "Complete the section [keys]."),
    };
    let kept = match path.exists().then(|| key_file::text(path)).transpose() {
        Ok(text) => text,
        // The check of the key file says why.
        Err(_) => return Check::fail(CHECK, "the key file cannot be read", "See to the key file first."),
    };
    if let Some(Err(error)) = kept.as_ref().map(|_| key_file::check_kept(config)) {
        return Check::fail(CHECK, error.to_string(), "A start refuses it.");
    }
    let probed = custodies.wrapping().and_then(|custody| custody.map(|custody| custody.probe()).transpose());
    match (probed, kept.as_ref().map(|text| Kept::of(text))) {
        (Err(error), _) => {
            let advice = "Without it a start is refused. docs/operations.md, section Custody of the key file, says more.";
            Check::fail(CHECK, error.to_string(), advice)
        }
        (Ok(None), _) => Check::ok(CHECK, "nobody: the key file is in the clear, for this account alone"),
        (Ok(Some(key)), Some(kept))
            if kept.version.as_ref() != Some(&key.version) || kept.key.as_ref() != Some(&key.name) =>
        {
            let found = format!(
                "`{}` answers with its key {key}, and the key file is {}",
                custodies.wraps(),
                kept.words()
            );
            Check::warn(CHECK, found, "Wrap it with the newest version: `shoal keys rewrap`.")
        }
        (Ok(Some(key)), _) => {
            Check::ok(CHECK, format!("`{}` answers, with its key {key}", custodies.wraps()))
        }
    }
}
