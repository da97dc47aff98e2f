//! What becomes of closed segments: they are compressed, and removed when they are old.
//!
//! Neither touches the newest segment, nor what proves that the rest is the log that it
//! was: of each removed segment its checkpoints stay (see `proof/pruned.rs`). One process
//! at a time does this; a gateway that is writing is not in its way.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};

use crate::audit::log::directory::LogReader;
use crate::audit::log::error::InputError;
use crate::audit::log::segment::Segment;
use crate::audit::proof::prove::tree_before;
use crate::audit::proof::pruned::{self, Link};
use crate::audit::record::event::Event;
use crate::audit::record::parse::Record;
use crate::audit::tree::{Frontier, Hash, RangeHashes, consistency_ranges};
use crate::files::{install, sync_directory};

/// A level that costs little time and saves nearly all that can be saved.
const ZSTD_LEVEL: i32 = 3;

const LOCK: &str = "maintenance.lock";

/// Why nothing, or not all, was done.
#[derive(Debug, thiserror::Error)]
pub enum RetainError {
    /// A file cannot be read or written.
    #[error("`{path}`: {1}", path = .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// Another process compresses or prunes.
    #[error("`{}` is held by another process that compresses or prunes", .0.display())]
    Busy(PathBuf),
    /// It would go with records that nobody could vouch for any more.
    #[error("`{file}` is not removed: {text}; `grantgate audit verify` says more")]
    Damaged {
        /// The segment.
        file: String,
        /// What is wrong with it.
        text: String,
    },
    /// What was written compressed does not read as what it was made from.
    #[error("`{}` was not compressed: what was written reads differently", .0.display())]
    Differs(PathBuf),
    /// The archive has something else in its place.
    #[error("`{}` is in the archive already, and differs from what the database has", .0.display())]
    Archived(PathBuf),
}

impl From<InputError> for RetainError {
    fn from(InputError { path, error }: InputError) -> Self {
        Self::Io(path, error)
    }
}

/// What is to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Nothing that is not wholly before this record is removed.
    pub keep_from: Option<u64>,
    /// Nor whose last record is not older than this.
    pub keep_since: Option<Timestamp>,
    /// Segments whose last record is older.
    pub before: Option<Timestamp>,
    /// The oldest, while the log takes more bytes on disk than this.
    pub bytes_max: Option<u64>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retained {
    /// Segments that were compressed or removed.
    pub segments: u64,
    /// Bytes on disk that this freed.
    pub freed_bytes: u64,
    /// The first record that is still there.
    pub first_seq: u64,
}

/// Keeps other processes from doing the same.
pub(super) fn lock(directory: &Path) -> Result<File, RetainError> {
    let path = directory.join(LOCK);
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.map_err(|error| RetainError::Io(path.clone(), error))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| RetainError::Busy(path))?;
    Ok(file)
}

/// Compresses every closed segment that is not.
///
/// # Errors
/// [`RetainError`]; segments before the one with the fault are done.
pub fn compress(directory: &Path) -> Result<Retained, RetainError> {
    let _lock = lock(directory)?;
    let all = LogReader::new(directory).segments_only().list()?;
    let mut done =
        Retained { first_seq: all.first().map_or(0, |s| s.first_seq), ..Retained::default() };
    for segment in all.iter().filter(|segment| segment.is_closed() && !segment.compressed) {
        let before = segment.stored_bytes();
        let to = compress_one(directory, segment)?;
        done.segments += 1;
        done.freed_bytes += before.saturating_sub(std::fs::metadata(to).map_or(0, |m| m.len()));
    }
    Ok(done)
}

/// The plain file goes when the compressed one is durable and reads the same.
fn compress_one(directory: &Path, segment: &Segment) -> Result<PathBuf, RetainError> {
    let to = segment.compressed_path();
    // If the process dies between the two, both are there, and the plain one counts.
    write_compressed(segment, &to)?;
    std::fs::remove_file(&segment.path)
        .and_then(|()| sync_directory(directory))
        .map_err(|error| RetainError::Io(segment.path.clone(), error))?;
    Ok(to)
}

/// Writes a segment compressed, durably, and reads it once more.
pub(super) fn write_compressed(segment: &Segment, to: &Path) -> Result<(), RetainError> {
    let making = to.with_extension("zst.making");
    let written = install(&making, to, |out| {
        let mut encoder = zstd::Encoder::new(out, ZSTD_LEVEL)?;
        // So that damage shows when it is read.
        encoder.include_checksum(true)?;
        // So that an index of the plain segment is known to be one of this.
        encoder.set_pledged_src_size(Some(segment.stored_bytes()))?;
        let plain = copy_hashed(&mut File::open(&segment.path)?, &mut encoder)?;
        encoder.finish()?;
        let read = copy_hashed(&mut zstd::Decoder::new(File::open(&making)?)?, &mut io::sink())?;
        if plain == read { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    });
    written.map_err(|error| {
        if error.kind() == io::ErrorKind::InvalidData {
            RetainError::Differs(segment.path.clone())
        } else {
            RetainError::Io(to.to_owned(), error)
        }
    })
}

fn copy_hashed(from: &mut impl io::Read, to: &mut impl io::Write) -> io::Result<Vec<u8>> {
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(context.finish().as_ref().to_vec()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let bytes = buffer.get(..read).unwrap_or_default();
        context.update(bytes);
        to.write_all(bytes)?;
    }
}

/// Removes old segments, the oldest first. What is left verifies against every checkpoint
/// that there ever was.
///
/// # Errors
/// [`RetainError`]; a segment that does not agree with its checkpoints stays, and all
/// behind it.
pub fn prune(directory: &Path, retention: &Retention) -> Result<Retained, RetainError> {
    let _lock = lock(directory)?;
    let log = LogReader::new(directory).segments_only();
    let all = log.list()?;
    let mut total: u64 = all.iter().map(Segment::stored_bytes).sum();
    let mut done =
        Retained { first_seq: all.first().map_or(0, |s| s.first_seq), ..Retained::default() };
    let mut end = None;
    for pair in all.windows(2) {
        let [segment, next] = pair else { break };
        let failed = |error| RetainError::Io(segment.path.clone(), error);
        let ended = first_time(&log, next)?;
        let is_kept = retention.keep_from.is_some_and(|from| from < next.first_seq)
            || retention.keep_since.is_some_and(|since| ended.is_none_or(|at| at >= since));
        if is_kept {
            break;
        }
        let old = retention.before.zip(ended).is_some_and(|(before, ended)| ended < before);
        if !old && retention.bytes_max.is_none_or(|max| total <= max) {
            break;
        }
        if end.is_none() {
            end = Some(pruned::End::of(&log).map_err(failed)?);
        }
        let Some(end) = &mut end else { break };
        let known = end.last_size;
        let links = links(&log, segment, next)?.into_iter();
        let new: Vec<Link> = links.filter(|link| known.is_none_or(|k| link.size > k)).collect();
        // If the process dies before the file is gone, the same links are not added again.
        end.append(&new).map_err(failed)?;
        let bytes = segment.stored_bytes();
        // A compressed copy, whose making was cut short, must not come to life with it.
        if !segment.compressed {
            remove_if_there(&segment.compressed_path()).map_err(failed)?;
        }
        std::fs::remove_file(&segment.path).map_err(failed)?;
        remove_if_there(&segment.index_path()).map_err(failed)?;
        sync_directory(directory).map_err(failed)?;
        total = total.saturating_sub(bytes);
        done.segments += 1;
        done.freed_bytes += bytes;
        done.first_seq = next.first_seq;
    }
    Ok(done)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// When the first record of a segment was made, at which the one before it ended.
fn first_time(log: &LogReader, segment: &Segment) -> Result<Option<Timestamp>, InputError> {
    let mut cursor = log.read(segment)?;
    Ok(cursor.next()?.and_then(|line| line.record()?.time()))
}

/// The checkpoints of a segment, each with the proof that the next one continues it; the
/// last one's next is the one that the following segment begins with.
fn links(log: &LogReader, segment: &Segment, next: &Segment) -> Result<Vec<Link>, RetainError> {
    let damaged = |text: &str| RetainError::Damaged { file: segment.name(), text: text.to_owned() };
    let tree = tree_before(log, segment)?;
    let tree = tree.ok_or_else(|| damaged("no checkpoint says what was before it"))?;
    let open = (tree.size() == 0).then(|| (Link::first(), tree.clone()));
    let mut chain = Chain { tree, leaves: Vec::new(), open, links: Vec::new() };
    let mut cursor = log.read(segment)?;
    while let Some(line) = cursor.next()? {
        let record = line.record().filter(|record| record.seq == chain.tree.size() + 1);
        let record = record.ok_or_else(|| damaged("it is damaged"))?;
        if record.is(Event::Checkpoint) {
            chain.checkpoint(&record).map_err(|text| damaged(&text))?;
        }
        let leaf = Hash::of_leaf(line.bytes);
        chain.tree.push(leaf);
        chain.leaves.push(leaf);
    }
    let mut cursor = log.read(next)?;
    let head = cursor.next()?.and_then(|line| line.record());
    let head = head.filter(|record| record.is(Event::Checkpoint));
    let head =
        head.ok_or_else(|| damaged("the segment behind it does not begin with a checkpoint"))?;
    chain.checkpoint(&head).map_err(|text| damaged(&text))?;
    Ok(chain.links)
}

/// Checkpoints on their way to becoming links.
struct Chain {
    tree: Frontier,
    /// Since the last checkpoint.
    leaves: Vec<Hash>,
    /// The last checkpoint, which has no next one yet.
    open: Option<(Link, Frontier)>,
    links: Vec<Link>,
}

impl Chain {
    fn checkpoint(&mut self, record: &Record<'_>) -> Result<(), String> {
        if record.tree().as_ref() != Some(&self.tree) {
            return Err(format!("its records do not agree with the checkpoint at {}", record.seq));
        }
        let size = self.tree.size();
        if let Some((link, before)) = self.open.take() {
            let mut hashes = RangeHashes::new(consistency_ranges(link.size, size), &before);
            for leaf in self.leaves.drain(..) {
                hashes.push(leaf);
            }
            let proof = hashes.finish().ok_or("a proof could not be made")?;
            let proof = proof.into_iter().map(Hash::to_base64).collect();
            self.links.push(Link { next: size, proof, ..link });
        }
        self.leaves.clear();
        let root = self.tree.root().to_base64();
        let checkpoint = record.checkpoint();
        let link = Link { size, root, checkpoint, next: 0, proof: Vec::new() };
        self.open = Some((link, self.tree.clone()));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
