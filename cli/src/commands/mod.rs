//! The subcommands, one a file.

mod cat;
mod follow;
mod get;
mod info;
mod ls;
mod record;
mod recover;
mod verify;

use clap::Subcommand;

use crate::exit::{Failure, Verdict};

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    Record(record::Arguments),
    Ls(ls::Arguments),
    Cat(cat::Arguments),
    Get(get::Arguments),
    Follow(follow::Arguments),
    Info(info::Arguments),
    Recover(recover::Arguments),
    Verify(verify::Arguments),
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    ///
    /// Why it could not be done to its end.
    pub fn run(&self) -> Result<Verdict, Failure> {
        match self {
            Self::Record(arguments) => record::run(arguments),
            Self::Ls(arguments) => ls::run(arguments),
            Self::Cat(arguments) => cat::run(arguments),
            Self::Get(arguments) => get::run(arguments),
            Self::Follow(arguments) => follow::run(arguments),
            Self::Info(arguments) => info::run(arguments),
            Self::Recover(arguments) => recover::run(arguments),
            Self::Verify(arguments) => verify::run(arguments),
        }
    }
}
