//! The command `tapelog`: record, read, recover and verify runs of an event log.
//!
//! Data goes to the standard output and everything else to the standard error. The exit code is 0 when all
//! is well, 1 when something is corrupt, 2 when something could not be done.

mod commands;
mod entry;
mod exit;
mod filter;
mod find;
mod folder;
mod follow;
mod info;
mod input;
mod open;
mod output;
mod printer;
mod record;
mod signals;

use std::process::ExitCode;

use clap::Parser;

use crate::commands::Command;
use crate::exit::Failure;

/// Records, reads, recovers and verifies runs of a tapelog event log.
///
/// Exit code: 0 all is well, 1 something is corrupt, 2 something could not be done.
#[derive(Debug, Parser)]
// Of an option that is given twice, the last counts.
#[command(name = "tapelog", version, about, args_override_self = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(error) => {
            // Help and version go to the standard output, mistakes to the standard error.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match command_line.command.run() {
        Ok(verdict) => verdict.exit_code(),
        Err(Failure { message, verdict }) => {
            output::tell(message);
            verdict.exit_code()
        }
    }
}
