//! The write-ahead log: a ring of frames in the file `wal` beside the segments.
//!
//! A batch is durable once its frame is; its lines go to the newest segment afterwards. What
//! a crash keeps from a segment is therefore here. This file knows the form of a frame
//! (`docs/audit-format.md`) and reads what the ring holds; the journal alone writes it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use memchr::memchr_iter;

use crate::audit::tree::Hash;

/// The file's name in the audit directory.
pub(in crate::audit) const WAL: &str = "wal";

/// Frames begin at multiples of this, in bytes: to write one touches no page of another.
pub(in crate::audit) const SLOT: usize = 4096;

/// The fields of a frame before its lines, in bytes.
pub(in crate::audit) const HEADER: usize = 104;

/// No line has a zero byte: none can be taken for the beginning of a frame.
const MAGIC: [u8; 7] = *b"ggwal\0\0";
const VERSION: u8 = 1;

/// The first half of a SHA-256 hash.
pub(in crate::audit) type Check = [u8; 16];

/// The fields of a frame before its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::audit) struct Header {
    /// One more than that of the frame before.
    pub(in crate::audit) number: u64,
    /// The first record's; of a frame without records that of the next one.
    pub(in crate::audit) first_seq: u64,
    /// Records.
    pub(in crate::audit) count: u32,
    /// Bytes of their lines.
    pub(in crate::audit) length: u32,
    /// All records up to this one are on the disk in segments.
    pub(in crate::audit) synced: u64,
    /// The tree's hash over all records before the first: it says which log this is, and
    /// where in it.
    pub(in crate::audit) root: Hash,
    /// The check of the frame before; zeros for the first.
    pub(in crate::audit) before: Check,
}

impl Header {
    /// Puts the frame's bytes into `frame`, whose lines stand behind the room for the header
    /// already, and gives its check.
    pub(in crate::audit) fn seal(&self, frame: &mut [u8]) -> Check {
        let fields: [&[u8]; 9] = [
            &MAGIC,
            &[VERSION],
            &self.number.to_le_bytes(),
            &self.first_seq.to_le_bytes(),
            &self.count.to_le_bytes(),
            &self.length.to_le_bytes(),
            &self.synced.to_le_bytes(),
            &self.root.0,
            &self.before,
        ];
        let bytes = fields.iter().copied().flatten();
        frame.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        let check = check_of(frame, self.length as usize);
        let room = frame.iter_mut().skip(HEADER - check.len());
        room.zip(&check).for_each(|(to, from)| *to = *from);
        check
    }

    /// None where these bytes begin no frame.
    fn parse(bytes: &[u8; HEADER]) -> Result<Option<(Self, Check)>, WalError> {
        let mut fields = Fields(bytes);
        if fields.take() != MAGIC {
            return Ok(None);
        }
        let [version] = fields.take();
        match version {
            // It is torn right here.
            0 => return Ok(None),
            VERSION => {}
            newer => return Err(WalError::Newer(newer)),
        }
        let header = Self {
            number: u64::from_le_bytes(fields.take()),
            first_seq: u64::from_le_bytes(fields.take()),
            count: u32::from_le_bytes(fields.take()),
            length: u32::from_le_bytes(fields.take()),
            synced: u64::from_le_bytes(fields.take()),
            root: Hash(fields.take()),
            before: fields.take(),
        };
        Ok(Some((header, fields.take())))
    }
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().unwrap_or((&[0; N], &[]));
        self.0 = rest;
        *field
    }
}

/// Of a whole frame, from its fields before the check and its lines.
fn check_of(frame: &[u8], length: usize) -> Check {
    let fields = HEADER - size_of::<Check>();
    let mut context = Context::new(&SHA256);
    context.update(frame.get(..fields).unwrap_or_default());
    context.update(frame.get(HEADER..HEADER + length).unwrap_or_default());
    let digest = context.finish();
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

/// The bytes that a frame with so many bytes of lines takes.
pub(in crate::audit) fn frame_bytes(length: usize) -> usize {
    (HEADER + length).next_multiple_of(SLOT)
}

/// Why the ring cannot be used.
#[derive(Debug, thiserror::Error)]
pub(in crate::audit) enum WalError {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A frame that is needed is not whole although a later one is.
    #[error(
        "the frame before the one at byte {0} is damaged or missing; move the whole log away and \
         keep it"
    )]
    Damaged(u64),
    #[error("it is of format version {0}: a newer grantgate wrote it")]
    Newer(u8),
}

/// What the ring holds that may not be in the segments yet, and its last frame in any case.
#[derive(Debug)]
pub(in crate::audit) struct Held {
    /// Of the first line.
    first_seq: u64,
    lines: Vec<u8>,
    /// Where each line ends, behind its newline.
    ends: Vec<usize>,
    /// The first record of each frame, and the tree's hash before it; in order.
    roots: Vec<(u64, Hash)>,
    /// All records up to this one are on the disk in segments, as the last frame says.
    pub(in crate::audit) synced: u64,
    /// Number and check of the last frame.
    pub(in crate::audit) last: (u64, Check),
    /// Where the oldest frame begins, and where the last one ends.
    pub(in crate::audit) start: u64,
    pub(in crate::audit) end: u64,
}

impl Held {
    /// None where there is no ring, or no whole frame in it. A last frame that is torn is
    /// passed over: nobody was told of its records.
    pub(in crate::audit) fn read(directory: &Path) -> Result<Option<Self>, WalError> {
        let file = match File::open(directory.join(WAL)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut found = headers(&file)?;
        // The newest first.
        found.sort_by_key(|place| std::cmp::Reverse(place.header.number));
        let mut frames = Vec::new();
        for place in &found {
            let Some(newest) = place.frame(&file)? else { continue };
            let mut oldest = *place;
            frames.push(newest);
            while oldest.header.first_seq > oldest_needed(place) {
                let before = found.iter().find(|p| p.precedes(&oldest));
                let frame = before.map(|before| before.frame(&file)).transpose()?.flatten();
                let (Some(before), Some(frame)) = (before, frame) else {
                    return Err(WalError::Damaged(oldest.start));
                };
                oldest = *before;
                frames.push(frame);
            }
            return Ok(Some(Self::of(place, oldest.start, frames)));
        }
        Ok(None)
    }

    /// The same while a gateway may be writing: what is overwritten during the look is no
    /// damage.
    pub(in crate::audit) fn look(directory: &Path) -> Result<Option<Self>, WalError> {
        let mut looks = 0;
        loop {
            looks += 1;
            match Self::read(directory) {
                Err(WalError::Damaged(_)) if looks < LOOKS_MAX => {}
                read => return read,
            }
        }
    }

    /// `frames` are the newest first.
    fn of(last: &Place, start: u64, frames: Vec<(Header, Vec<u8>)>) -> Self {
        let mut held = Self {
            first_seq: frames.last().map_or(0, |(header, _)| header.first_seq),
            lines: Vec::new(),
            ends: Vec::new(),
            roots: Vec::new(),
            synced: last.header.synced,
            last: (last.header.number, last.check),
            start,
            end: last.start + frame_bytes(last.header.length as usize) as u64,
        };
        for (header, lines) in frames.into_iter().rev() {
            held.roots.push((header.first_seq, header.root));
            let at = held.lines.len();
            held.ends.extend(memchr_iter(b'\n', &lines).map(|newline| at + newline + 1));
            held.lines.extend_from_slice(&lines);
        }
        held
    }

    /// The number behind that of the last record.
    pub(in crate::audit) fn next_seq(&self) -> u64 {
        self.first_seq.saturating_add(self.ends.len() as u64)
    }

    /// The first record of the oldest frame.
    pub(in crate::audit) fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// The line of this record, without its newline.
    pub(in crate::audit) fn line(&self, seq: u64) -> Option<&[u8]> {
        let at = usize::try_from(seq.checked_sub(self.first_seq)?).ok()?;
        let end = self.ends.get(at)?;
        self.lines.get(self.begin_of(at)..end - 1)
    }

    /// All lines from this record on.
    pub(in crate::audit) fn lines_from(&self, seq: u64) -> &[u8] {
        let at = seq.checked_sub(self.first_seq).and_then(|at| usize::try_from(at).ok());
        let from = at.filter(|at| *at < self.ends.len()).map(|at| self.begin_of(at));
        from.and_then(|from| self.lines.get(from..)).unwrap_or_default()
    }

    fn begin_of(&self, at: usize) -> usize {
        at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0)
    }

    /// What the tree's hash must be before this record, where a frame says so.
    pub(in crate::audit) fn root_before(&self, seq: u64) -> Option<Hash> {
        let at = self.roots.partition_point(|(first, _)| *first < seq);
        self.roots.get(at).filter(|(first, _)| *first == seq).map(|(_, root)| *root)
    }

    /// Whether a crash may have kept this record from its segment, and it is here.
    pub(in crate::audit) fn makes_up_for(&self, seq: u64) -> bool {
        seq > self.synced && self.line(seq).is_some()
    }
}

/// How often the ring is looked at before what does not fit counts as damage.
const LOOKS_MAX: u32 = 20;

/// A frame as its header describes it: whole or not.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: u64,
    header: Header,
    check: Check,
}

/// The oldest record that may not be in the segments.
fn oldest_needed(last: &Place) -> u64 {
    last.header.synced.saturating_add(1)
}

impl Place {
    /// Its lines; none where it is not whole.
    fn frame(&self, file: &File) -> io::Result<Option<(Header, Vec<u8>)>> {
        let length = self.header.length as usize;
        let mut frame = vec![0; HEADER + length];
        match file.read_exact_at(&mut frame, self.start) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let as_before = frame.get(HEADER - self.check.len()..HEADER) == Some(&self.check[..]);
        let lines = frame.get(HEADER..).unwrap_or_default();
        let count = memchr_iter(b'\n', lines).count() as u64;
        let whole = lines.last().is_none_or(|byte| *byte == b'\n');
        if !as_before
            || check_of(&frame, length) != self.check
            || count != u64::from(self.header.count)
            || !whole
        {
            return Ok(None);
        }
        frame.drain(..HEADER);
        Ok(Some((self.header, frame)))
    }

    /// Whether it is the one before `next`, in the ring and in the log.
    fn precedes(&self, next: &Self) -> bool {
        let Header { first_seq, count, number, .. } = self.header;
        self.check == next.header.before
            && number.checked_add(1) == Some(next.header.number)
            && first_seq.checked_add(count.into()) == Some(next.header.first_seq)
    }
}

/// Whatever looks like the beginning of a frame.
fn headers(file: &File) -> Result<Vec<Place>, WalError> {
    /// Read at once, in bytes.
    const CHUNK: usize = 256 * SLOT;
    let bytes = file.metadata()?.len();
    let mut found = Vec::new();
    let mut chunk = vec![0; CHUNK];
    let mut at = 0;
    while at < bytes {
        let wanted = usize::try_from(bytes - at).unwrap_or(CHUNK).min(CHUNK);
        let part = chunk.get_mut(..wanted).unwrap_or_default();
        match file.read_exact_at(part, at) {
            // It is being made smaller.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            read => read?,
        }
        for (slot, start) in part.chunks(SLOT).zip((at..).step_by(SLOT)) {
            let Some(header) = slot.first_chunk() else { continue };
            let parsed = Header::parse(header)?;
            let fits =
                |header: &Header| start + frame_bytes(header.length as usize) as u64 <= bytes;
            if let Some((header, check)) = parsed.filter(|(header, _)| fits(header)) {
                found.push(Place { start, header, check });
            }
        }
        at += wanted as u64;
    }
    Ok(found)
}
