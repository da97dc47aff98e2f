//! An aligned table that needs not be complete before its first line is printed.

use std::io::{self, Write};

/// Rows that the widths of the columns are taken from.
const MEASURED: usize = 1_000;

/// Columns are not made wider than this, in characters.
const WIDTH_MAX: usize = 64;

/// A table of which rows are written as they come. The first ones are kept back to measure
/// them; a later cell that is wider pushes its line out of place and is not cut.
pub(super) struct Table<W: Write> {
    out: W,
    waiting: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
}

impl<W: Write> Table<W> {
    pub(super) fn new(out: W, header: &[&str]) -> Self {
        let header = header.iter().map(|cell| (*cell).to_owned()).collect();
        Self { out, waiting: vec![header], widths: None }
    }

    pub(super) fn row(&mut self, row: Vec<String>) -> io::Result<()> {
        if let Some(widths) = &self.widths {
            return line(&mut self.out, widths, &row);
        }
        self.waiting.push(row);
        if self.waiting.len() > MEASURED { self.measured() } else { Ok(()) }
    }

    /// Writes what is left. A table without rows has no header.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if self.widths.is_none() && self.waiting.len() > 1 {
            self.measured()?;
        }
        self.out.flush()
    }

    fn measured(&mut self) -> io::Result<()> {
        let mut widths = Vec::new();
        for row in &self.waiting {
            widths.resize(row.len().max(widths.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().clamp(*width, WIDTH_MAX.max(*width));
            }
        }
        for row in self.waiting.drain(..) {
            line(&mut self.out, &widths, &row)?;
        }
        self.widths = Some(widths);
        Ok(())
    }
}

fn line(out: &mut impl Write, widths: &[usize], row: &[String]) -> io::Result<()> {
    let cells = widths.iter().zip(row).map(|(width, cell)| format!("{cell:width$}"));
    writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_a_wide_cell_is_whole() {
        let mut out = Vec::new();
        let mut table = Table::new(&mut out, &["a", "bb"]);
        let wide = "w".repeat(100);
        table.row(vec!["xxx".into(), "y".into()]).unwrap();
        table.row(vec![wide.clone(), "é".into()]).unwrap();
        for _ in 0..MEASURED {
            table.row(vec!["z".into(), String::new()]).unwrap();
        }
        table.finish().unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("{:64}  bb", "a"));
        assert_eq!(lines[1], format!("{:64}  y", "xxx"));
        assert_eq!(lines[2], format!("{wide}  é"));
        assert_eq!((lines[3], lines.len()), ("z", MEASURED + 3));
        let mut none = Vec::new();
        Table::new(&mut none, &["a"]).finish().unwrap();
        assert!(none.is_empty());
    }
}
