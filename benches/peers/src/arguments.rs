//! The command line: `--name value` pairs and `--name` switches.

use std::str::FromStr;

use crate::Failure;

/// The arguments that have not been taken yet.
#[derive(Debug)]
pub struct Arguments {
    rest: Vec<String>,
}

impl Arguments {
    /// The arguments of this process. What cargo adds for a bench target is dropped.
    #[must_use]
    pub fn of_process() -> Self {
        Self { rest: std::env::args().skip(1).filter(|argument| argument != "--bench").collect() }
    }

    /// Takes a switch; whether it was given.
    pub fn switch(&mut self, name: &str) -> bool {
        let before = self.rest.len();
        self.rest.retain(|argument| argument != name);
        self.rest.len() < before
    }

    /// Takes the text behind a name.
    ///
    /// # Errors
    /// Where nothing stands behind the name.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, Failure> {
        let Some(index) = self.rest.iter().position(|argument| argument == name) else {
            return Ok(None);
        };
        if index + 1 >= self.rest.len() {
            return Err(format!("{name} needs a value").into());
        }
        self.rest.remove(index);
        Ok(Some(self.rest.remove(index)))
    }

    /// Takes the value behind a name, or its default.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn value<T: FromStr>(&mut self, name: &str, default: T) -> Result<T, Failure>
    where
        T::Err: std::fmt::Display,
    {
        match self.text(name)? {
            None => Ok(default),
            Some(text) => text.parse().map_err(|error| format!("{name} {text}: {error}").into()),
        }
    }

    /// Takes values separated by commas, or their default.
    ///
    /// # Errors
    /// Where one of them cannot be read.
    pub fn list<T: FromStr>(&mut self, name: &str, default: Vec<T>) -> Result<Vec<T>, Failure>
    where
        T::Err: std::fmt::Display,
    {
        let Some(text) = self.text(name)? else {
            return Ok(default);
        };
        text.split(',').map(|part| part.parse().map_err(|error| format!("{name} {part}: {error}").into())).collect()
    }

    /// Refuses what nobody took.
    ///
    /// # Errors
    /// Names the first argument that is left.
    pub fn finish(self) -> Result<(), Failure> {
        match self.rest.first() {
            None => Ok(()),
            Some(argument) => Err(format!("unknown argument {argument}").into()),
        }
    }
}
