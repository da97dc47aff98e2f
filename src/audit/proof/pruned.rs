//! What is left of segments that were removed: their checkpoints, each with the proof that
//! the next one continues it, from the empty log up to the first segment that is still
//! there.
//!
//! So an old checkpoint, kept elsewhere, still proves that the log of today is the one that
//! it was of, and nothing can be taken away from the beginning either. `pruned.jsonl` grows
//! by one line for each checkpoint, and is read one line at a time.

use std::fs::File;
use std::io::{self, Write as _};

use serde::{Deserialize, Serialize};

use crate::audit::log::directory::LogReader;
use crate::audit::log::lines::{Ending, Lines};
use crate::audit::tree::{Frontier, Hash, proves_consistency};
use crate::files::open_to_append;

/// The file beside the segments.
pub(in crate::audit) const FILE: &str = "pruned.jsonl";

/// One checkpoint of a removed segment; the first is that of no records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::audit) struct Link {
    pub(in crate::audit) size: u64,
    pub(in crate::audit) root: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::audit) checkpoint: Option<String>,
    /// The size of the next checkpoint.
    pub(in crate::audit) next: u64,
    /// That its tree begins with this one (RFC 6962, section 2.1.2).
    pub(in crate::audit) proof: Vec<String>,
}

impl Link {
    /// What every log begins with.
    pub(in crate::audit) fn first() -> Self {
        let root = Frontier::default().root().to_base64();
        Self { size: 0, root, checkpoint: None, next: 0, proof: Vec::new() }
    }

    /// Whether the proof in it leads to the next one.
    fn leads_to(&self, next: u64, root: Hash) -> bool {
        let proof: Option<Vec<Hash>> =
            self.proof.iter().map(|text| Hash::from_base64(text)).collect();
        let own = Hash::from_base64(&self.root);
        self.next == next
            && own.zip(proof).is_some_and(|(own, proof)| {
                proves_consistency((self.size, own), (next, root), &proof)
            })
    }
}

/// The links one after the other.
struct Links(Lines);

impl Links {
    fn open(log: &LogReader) -> io::Result<Option<Self>> {
        match File::open(log.beside(FILE)) {
            Ok(file) => Ok(Some(Self(Lines::new(Box::new(file), 0)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The next link and where it ends, or which line is none.
    fn next(&mut self) -> io::Result<Option<Result<(Link, u64), u64>>> {
        // Without its end: what was being added when its process died.
        if !self.0.advance()? || self.0.ending() == Ending::Missing {
            return Ok(None);
        }
        let link = serde_json::from_slice(self.0.bytes()).map_err(|_| self.0.number());
        Ok(Some(link.map(|link| (link, self.0.end()))))
    }
}

/// Whether the links lead from nothing to the tree with which the rest of the log begins;
/// how many checkpoints they are, or what is wrong. `each` is told of every one.
///
/// # Errors
/// When the file cannot be read.
pub(in crate::audit) fn verify(
    log: &LogReader,
    (gone, root): (u64, Hash),
    is_true: impl Fn(Option<&str>, u64, Hash) -> bool,
    mut each: impl FnMut(u64, Hash),
) -> io::Result<Result<u64, String>> {
    let Some(mut links) = Links::open(log)? else {
        return Ok(Err("it is not there, and nothing else vouches for what was before".into()));
    };
    let (mut before, mut count): (Option<Link>, u64) = (None, 0);
    while let Some(next) = links.next()? {
        let link = match next {
            // A prune that was cut short: the segment of these is still there.
            Ok((link, _)) if link.size >= gone => break,
            Ok((link, _)) => link,
            Err(line) => return Ok(Err(format!("line {line} is not a checkpoint"))),
        };
        let size = link.size;
        let Some(own) = Hash::from_base64(&link.root) else {
            return Ok(Err(format!("checkpoint {size} has a false hash")));
        };
        match &before {
            None if link == (Link { next: link.next, ..Link::first() }) => {}
            None => return Ok(Err(format!("it begins with checkpoint {size}"))),
            Some(before) if before.leads_to(size, own) => count += 1,
            Some(before) => {
                return Ok(Err(format!("checkpoint {} does not lead to {size}", before.size)));
            }
        }
        if !is_true(link.checkpoint.as_deref(), size, own) {
            return Ok(Err(format!("the signature of checkpoint {size} is false")));
        }
        each(size, own);
        before = Some(link);
    }
    match before {
        Some(before) if before.leads_to(gone, root) => Ok(Ok(count)),
        Some(before) => Ok(Err(format!("checkpoint {} does not lead to {gone}", before.size))),
        None => Ok(Err("it is empty, and nothing else vouches for what was before".into())),
    }
}

/// All links, as they are written.
///
/// # Errors
/// When the file cannot be read.
pub(in crate::audit) fn text(log: &LogReader) -> io::Result<String> {
    io::read_to_string(File::open(log.beside(FILE))?)
}

/// Where the next links go.
pub(in crate::audit) struct End {
    file: File,
    length: u64,
    /// The size of the last link; none when there is none.
    pub(in crate::audit) last_size: Option<u64>,
}

impl End {
    /// Finds the end. A line that was cut short is taken away.
    ///
    /// # Errors
    /// Of the file; [`io::ErrorKind::InvalidData`] with the number of a line that is no link.
    pub(in crate::audit) fn of(log: &LogReader) -> io::Result<Self> {
        let (mut length, mut last_size) = (0, None);
        let links = Links::open(log)?;
        if let Some(mut links) = links {
            while let Some(next) = links.next()? {
                let (link, end) = next.map_err(|line| {
                    let text = format!("line {line} of `{FILE}` is not a checkpoint");
                    io::Error::new(io::ErrorKind::InvalidData, text)
                })?;
                (length, last_size) = (end, Some(link.size));
            }
        }
        let file = open_to_append(&log.beside(FILE))?;
        file.set_len(length)?;
        Ok(Self { file, length, last_size })
    }

    /// Adds links, durably, or none.
    pub(in crate::audit) fn append(&mut self, links: &[Link]) -> io::Result<()> {
        let mut text = Vec::new();
        for link in links {
            serde_json::to_writer(&mut text, link)?;
            text.push(b'\n');
        }
        let written = self.file.write_all(&text).and_then(|()| self.file.sync_all());
        if let Err(error) = written {
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += text.len() as u64;
        self.last_size = links.last().map(|link| link.size).or(self.last_size);
        Ok(())
    }
}
