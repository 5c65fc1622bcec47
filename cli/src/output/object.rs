//! One JSON object, written a field at a time, so that JSON within it is neither parsed again nor changed.

use std::io::{self, Write};

use serde::Serialize;

use super::numbers::Numbers;
use super::text::escaped_json;

/// An object that is being written. A terminal takes all of it as text.
#[derive(Debug)]
pub struct Object<'a, W> {
    output: &'a mut W,
    numbers: Numbers,
    before_next: &'static [u8],
}

impl<'a, W: Write> Object<'a, W> {
    /// An object without a field.
    pub fn new(output: &'a mut W, numbers: Numbers) -> Self {
        Self { output, numbers, before_next: b"{" }
    }

    fn name(&mut self, name: &str) -> io::Result<()> {
        self.output.write_all(std::mem::replace(&mut self.before_next, b","))?;
        self.numbers.write(name, self.output)?;
        self.output.write_all(b":")
    }

    /// Adds a number.
    ///
    /// # Errors
    ///
    /// Those of the output.
    pub fn number(&mut self, name: &str, number: u64) -> io::Result<()> {
        self.value(name, &number)
    }

    /// Adds a text.
    ///
    /// # Errors
    ///
    /// Those of the output.
    pub fn text(&mut self, name: &str, text: &str) -> io::Result<()> {
        self.value(name, text)
    }

    /// Adds a value that is compact JSON already.
    ///
    /// # Errors
    ///
    /// Those of the output.
    pub fn json(&mut self, name: &str, json: &str) -> io::Result<()> {
        self.name(name)?;
        self.output.write_all(escaped_json(json).as_bytes())
    }

    /// Adds a list of objects, which `write` adds one by one.
    ///
    /// # Errors
    ///
    /// Those of the output.
    pub fn list(&mut self, name: &str, write: impl FnOnce(&mut List<'_, W>) -> io::Result<()>) -> io::Result<()> {
        self.name(name)?;
        let mut list = List { output: self.output, numbers: self.numbers, before_next: b"" };
        list.output.write_all(b"[")?;
        write(&mut list)?;
        self.output.write_all(b"]")
    }

    fn value(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> io::Result<()> {
        self.name(name)?;
        self.numbers.write(value, self.output)
    }

    /// Ends the object.
    ///
    /// # Errors
    ///
    /// Those of the output.
    pub fn end(self) -> io::Result<()> {
        // Without a field its beginning has not been written yet.
        if self.before_next == b"{" {
            self.output.write_all(b"{")?;
        }
        self.output.write_all(b"}")
    }
}

/// A list of objects that is being written.
#[derive(Debug)]
pub struct List<'a, W> {
    output: &'a mut W,
    numbers: Numbers,
    before_next: &'static [u8],
}

impl<W: Write> List<'_, W> {
    /// Adds an object with the fields that `write` adds to it.
    ///
    /// # Errors
    ///
    /// Those of the output.
    pub fn object(&mut self, write: impl FnOnce(&mut Object<'_, W>) -> io::Result<()>) -> io::Result<()> {
        self.output.write_all(std::mem::replace(&mut self.before_next, b","))?;
        let mut object = Object::new(self.output, self.numbers);
        write(&mut object)?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_in_their_order_and_json_as_it_is() {
        let mut output = Vec::new();
        let mut object = Object::new(&mut output, Numbers::Plain);
        object.number("n", 1).unwrap();
        object.text("t", "a\"b\u{9b}").unwrap();
        object.json("j", "{\"a\":1.10,\"a\":2}").unwrap();
        object.end().unwrap();
        assert_eq!(String::from_utf8(output).unwrap(), r#"{"n":1,"t":"a\"b\u009b","j":{"a":1.10,"a":2}}"#);
    }

    #[test]
    fn a_list_stands_within_its_object() {
        let mut output = Vec::new();
        let mut object = Object::new(&mut output, Numbers::Strings);
        object.list("none", |_| Ok(())).unwrap();
        object.list("two", |list| list.object(|item| item.number("n", 1)).and_then(|()| list.object(|_| Ok(())))).unwrap();
        object.end().unwrap();
        assert_eq!(String::from_utf8(output).unwrap(), r#"{"none":[],"two":[{"n":"1"},{}]}"#);
    }

    #[test]
    fn an_object_may_be_empty() {
        let mut output = Vec::new();
        Object::new(&mut output, Numbers::Strings).end().unwrap();
        assert_eq!(output, b"{}");
    }
}
