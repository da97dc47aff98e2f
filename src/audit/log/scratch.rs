//! A log of lines from elsewhere, in a directory that is thrown away after it was read.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use crate::audit::record::event::Event;
use crate::audit::record::parse::Record;

/// Once a file has so many bytes, the next checkpoint begins another one: as segments do, each file
/// begins with one.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Its files are named as segments are: by the number of their first record.
pub struct ScratchLog<'p> {
    directory: &'p Path,
    open: Option<(BufWriter<File>, u64)>,
}

impl<'p> ScratchLog<'p> {
    /// In this directory, which is empty.
    #[must_use]
    pub const fn new(directory: &'p Path) -> Self {
        Self { directory, open: None }
    }

    /// Adds a line, of which the numbers rise.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, seq: u64, line: &str) -> io::Result<()> {
        let is_full = self.open.as_ref().is_some_and(|(_, bytes)| *bytes >= FILE_BYTES_MAX);
        if is_full && Record::parse(line.as_bytes()).is_some_and(|it| it.is(Event::Checkpoint)) {
            self.finish()?;
        }
        let (file, bytes) = match &mut self.open {
            Some(open) => open,
            None => {
                let path = self.directory.join(format!("{seq:020}.jsonl"));
                self.open.insert((BufWriter::new(File::create_new(path)?), 0))
            }
        };
        file.write_all(line.as_bytes())?;
        file.write_all(b"\n")?;
        *bytes += line.len() as u64 + 1;
        Ok(())
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(&mut self) -> io::Result<()> {
        match self.open.take() {
            Some((mut file, _)) => file.flush(),
            None => Ok(()),
        }
    }
}
