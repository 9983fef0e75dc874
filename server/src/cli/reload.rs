//! `shoal reload`: the running service reads its configuration and its definitions again, as on SIGHUP, and the command prints what
//! has changed, or everything that is wrong.
//!
//! Not here: what is taken over (`reload.rs`).

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::Deserialize as _;
use serde_json::json;
use shoal_schemas::Changes;

use super::output::print_either;
use crate::config::Config;
use crate::error::Error;
use crate::operator_socket::{self, Asked};
use crate::reload::Reloaded;

#[derive(Args)]
pub(super) struct ReloadArgs {
    /// Prints what has changed as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(file: Option<&Path>, args: &ReloadArgs) -> Result<ExitCode, Error> {
    // With settings that are wrong the service would refuse as well; the longer check tells what is wrong with the files, too.
    let config = Config::load(file, std::env::vars_os())
        .or_else(|_| Config::load_for_service(file, std::env::vars_os()))?;
    let dir = &config.data_dir;
    if !dir.is_dir() {
        return Err(Error::Usage(format!("data_dir {} does not exist", dir.display())));
    }
    let told = operator_socket::ask(dir, &Asked::Reload)?
        .ok_or_else(|| Error::Remote(format!("no service that can be asked runs over {}", dir.display())))?;
    let reloaded = Reloaded::deserialize(told)
        .map_err(|e| Error::Remote(format!("this is no report of a reload: {e}")))?;
    print_either(args.json, || json!(reloaded), || text(&reloaded))
}

fn text(reloaded: &Reloaded) -> String {
    let Reloaded { definitions, settings_taken, files_read, settings_need_restart } = reloaded;
    let Changes { events_added, properties_added, files_changed } = definitions;
    let lines: Vec<String> = [
        ("new events", events_added),
        ("new properties", properties_added),
        ("changed", files_changed),
        ("settings in force that differ from the start", settings_taken),
        ("files that were read again", files_read),
        ("settings that need a restart", settings_need_restart),
    ]
    .into_iter()
    .filter(|(_, names)| !names.is_empty())
    .map(|(what, names)| format!("{what}: {}", names.join(", ")))
    .collect();
    let head = match definitions.is_none() {
        true => "read again; the definitions say what they said before",
        false => "read again; other definitions are in force",
    };
    [head.to_owned()].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_is_told_by_name_and_nothing_else_is() {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let definitions = Changes {
            events_added: names(&["door_open"]),
            properties_added: names(&["click.hand", "click.side"]),
            files_changed: Vec::new(),
        };
        let reloaded = Reloaded {
            definitions,
            settings_taken: names(&["log.level"]),
            files_read: names(&["http.tls_cert", "http.tls_key"]),
            settings_need_restart: names(&["http.workers"]),
        };
        let expected = "read again; other definitions are in force\nnew events: door_open\n\
            new properties: click.hand, click.side\nsettings in force that differ from the start: log.level\n\
            files that were read again: http.tls_cert, http.tls_key\nsettings that need a restart: http.workers";
        assert_eq!(text(&reloaded), expected);
        let reloaded = Reloaded {
            definitions: Changes::default(),
            settings_taken: Vec::new(),
            files_read: Vec::new(),
            settings_need_restart: Vec::new(),
        };
        assert_eq!(text(&reloaded), "read again; the definitions say what they said before");
    }
}
