//! `shoal completions` and `shoal man`: what a shell and `man` need to know of this command line, written by clap from the
//! commands themselves.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;
use serde_json::json;

use super::output::{print, print_either};
use crate::error::Error;

#[derive(Args)]
pub(super) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

#[derive(Args)]
pub(super) struct ManArgs {
    /// Writes one page for each command into this directory, which is made when it does not exist. Without this option the
    /// page of `shoal` itself goes to standard output.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Prints where the pages are as JSON.
    #[arg(long, requires = "dir")]
    json: bool,
}

pub(super) fn completions(command: &Command, args: &CompletionsArgs) -> Result<ExitCode, Error> {
    // The generators would complete hidden commands too.
    let shown = command.get_subcommands().filter(|inner| !inner.is_hide_set()).cloned();
    let mut shown = Command::new("shoal").args(command.get_arguments().cloned()).subcommands(shown);
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut shown, "shoal", &mut script);
    print(&script)
}

pub(super) fn man(command: Command, args: &ManArgs) -> Result<ExitCode, Error> {
    match &args.dir {
        Some(dir) => write_pages(command, dir, args.json),
        None => {
            let mut page = Vec::new();
            let rendered = clap_mangen::Man::new(command.disable_help_subcommand(true)).render(&mut page);
            rendered.map_err(|e| Error::io("the manual page", e))?;
            print(&page)
        }
    }
}

fn write_pages(command: Command, dir: &Path, json: bool) -> Result<ExitCode, Error> {
    let made = std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(command, dir));
    made.map_err(|e| Error::io(dir, e))?;
    print_either(
        json,
        || json!({"dir": dir}),
        || format!("The manual pages are in {0}; `man -l {0}/shoal.1` shows the first one.", dir.display()),
    )
}
