//! The command, as a user and a script meet it: the built binary, its output and its exit codes.

mod support;

mod arguments;
mod cat;
mod ls;
mod record;
mod recover;
mod signals;
mod verify;
