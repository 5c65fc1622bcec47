//! Rows of cells: in columns for a person, with tabs between them for a program.

use std::io::{self, Write};

use super::escaped;

/// Rows of cells under a head.
#[derive(Debug)]
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns and no row.
    pub fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; its cells are escaped.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| escaped(&cell).into_owned()).collect());
    }

    /// Writes the head and the rows in columns.
    ///
    /// # Errors
    ///
    /// Those of `output`.
    pub fn write_columns(&self, output: &mut impl Write) -> io::Result<()> {
        let head: Vec<String> = self.head.iter().map(|name| (*name).to_owned()).collect();
        let width_of = |column: usize| {
            let cells = self.rows.iter().chain([&head]).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..head.len()).map(width_of).collect();
        for row in [&head].into_iter().chain(&self.rows) {
            let padded: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(output, "{}", padded.join("  ").trim_end())?;
        }
        Ok(())
    }

    /// Writes the rows alone, with a tab between two cells.
    ///
    /// # Errors
    ///
    /// Those of `output`.
    pub fn write_plain(&self, output: &mut impl Write) -> io::Result<()> {
        self.rows.iter().try_for_each(|row| writeln!(output, "{}", row.join("\t")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["RUN", "ENTRIES"]);
        table.row(["1-00000000".to_owned(), "7".to_owned()]);
        table.row(["2\t".to_owned(), "\u{1b}[1m".to_owned()]);
        table
    }

    fn written(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut output = Vec::new();
        write(&mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let text = written(|output| table().write_columns(output));
        assert_eq!(text, "RUN         ENTRIES\n1-00000000  7\n2\\u{9}      \\u{1b}[1m\n");
    }

    #[test]
    fn a_program_gets_rows_and_tabs_alone() {
        let text = written(|output| table().write_plain(output));
        assert_eq!(text, "1-00000000\t7\n2\\u{9}\t\\u{1b}[1m\n");
    }
}
