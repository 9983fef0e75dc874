//! How a command ends: the exit codes, and what each of them says.

use std::process::ExitCode;

use crate::error::Error;

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// All is done.
    Done = 0,
    /// The command failed, or found something wrong.
    Failed = 1,
    /// The command, the configuration or the definitions are wrong.
    Wrong = 2,
    /// The running service refused, or cannot be reached.
    Remote = 3,
    /// Retention ran, and a table did not finish.
    TableUnfinished = 4,
}

impl Exit {
    pub(super) const ALL: [Exit; 5] =
        [Exit::Done, Exit::Failed, Exit::Wrong, Exit::Remote, Exit::TableUnfinished];

    /// The exit code after an error.
    pub(super) const fn after(error: &Error) -> Exit {
        match error {
            Error::Config(_) | Error::Schemas(_) | Error::Usage(_) => Exit::Wrong,
            Error::Remote(_) => Exit::Remote,
            _ => Exit::Failed,
        }
    }

    /// The number, as a text.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Exit::Done => "0",
            Exit::Failed => "1",
            Exit::Wrong => "2",
            Exit::Remote => "3",
            Exit::TableUnfinished => "4",
        }
    }

    /// What has happened.
    pub(super) const fn cause(self) -> &'static str {
        match self {
            Exit::Done => "The command is done. A service has ended in order.",
            Exit::Failed => {
                "The command failed, or has found what it looks for: `doctor` a failing check, `audit verify` and `backup verify` what is \
                    not whole."
            }
            Exit::Wrong => "An option, a setting or a definition is wrong. Nothing was changed.",
            Exit::Remote => "The running service cannot be reached, or has refused.",
            Exit::TableUnfinished => "Retention ran, and a table did not finish.",
        }
    }

    /// What to do.
    pub(super) const fn remedy(self) -> &'static str {
        match self {
            Exit::Done => "Nothing.",
            Exit::Failed => "Read the message, then run `shoal doctor`, which says what to do.",
            Exit::Wrong => {
                "Read the message; `shoal config check` lists all faults, `shoal schemas check DIR` those of definitions."
            }
            Exit::Remote => {
                "Look whether it runs (`shoal health`), at `SHOAL_URL` and at `SHOAL_KEY`. The message has the code of the problem."
            }
            Exit::TableUnfinished => "Run it again: another run goes on. The log says what stood in the way.",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
