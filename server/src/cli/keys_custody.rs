//! `shoal keys wrap` and `shoal keys rewrap`: who has the key file in custody. Not here: what they do (`key_custody.rs`).

use clap::Args;
use serde_json::json;

use super::output::print_either;
use crate::config::Config;
use crate::error::Error;
use crate::key_custody::{self, Moved, Wanted};

#[derive(Args)]
pub(super) struct RewrapArgs {
    /// Puts the key file into the clear. Set `keys.custody` to `file` then, and leave `keys.wrapping_file` out.
    #[arg(long)]
    in_the_clear: bool,
    /// Prints what was done as JSON.
    #[arg(long)]
    json: bool,
}

/// Wraps a key file that is in the clear.
pub(super) fn wrap(config: &Config, as_json: bool, now_ms: i64) -> Result<(), Error> {
    show(config, as_json, &key_custody::rewrap(config, Wanted::Wrap, now_ms)?)
}

/// Wraps a wrapped key file anew, or puts it into the clear.
pub(super) fn rewrap(config: &Config, args: &RewrapArgs, now_ms: i64) -> Result<(), Error> {
    let wanted = if args.in_the_clear { Wanted::InTheClear } else { Wanted::Rewrap };
    show(config, args.json, &key_custody::rewrap(config, wanted, now_ms)?)
}

fn show(config: &Config, as_json: bool, moved: &Moved) -> Result<(), Error> {
    let text = || {
        let (path, before, after) = (config.key_file.display(), moved.before.words(), moved.after.words());
        let advice = match (moved.before.custody, moved.after.custody) {
            (None, Some(_)) => {
                "Copies of before are still in the clear, and are worth as much as the secrets: keep one in a safe where nobody but for an \
                 emergency comes, and destroy the others"
            }
            (_, None) => {
                "Whoever can read it has the secrets. Before the next start set `keys.custody` to `file`, and leave `keys.wrapping_file` out"
            }
            _ => {
                "Put a copy of it into the safe. The custody must keep the key of before for as long as a copy is kept that was wrapped \
                 with it"
            }
        };
        format!("{path} was {before}, and is {after}. {advice}")
    };
    print_either(as_json, || json!(moved), text).map(drop)
}
