//! Writing the ring of frames in the file `wal`; its form is in `audit/log/wal.rs`.
//!
//! Overwriting what is on the disk already changes no length and takes no block, so that
//! making it durable costs one write of the device and no more. Where the file system takes it
//! the write goes past the page cache, which would only be handed on to the disk at once.
//!
//! A frame is overwritten only once a later frame says, durably, that its records are in
//! synced segments: whatever a crash leaves, the frames back from the last whole one to the
//! oldest that is needed are there.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, ReadWriteFlags, pwritev2};

use super::Batch;
use crate::audit::log::wal::{Check, HEADER, Header, Held, SLOT, WAL, frame_bytes};
use crate::files::{install, names_and_length, open_to_overwrite};

/// The ring, open for writing.
#[derive(Debug)]
pub(super) struct Wal {
    file: File,
    bytes: u64,
    /// Where the next frame begins, if it fits there.
    head: u64,
    /// Of the last frame.
    number: u64,
    check: Check,
    /// Frames that must not be overwritten: the last record of each, and where it begins.
    needed: VecDeque<(u64, u64)>,
    /// All records up to this one are in synced segments; and what the last frame says of it.
    synced: u64,
    recorded: u64,
    /// Whether writes go past the page cache: `O_DIRECT`.
    direct: bool,
    /// Whether the kernel and the file system take writes that are durable when they return.
    durable_writes: bool,
    broken: bool,
    frame: Frame,
}

/// Bytes that begin at a multiple of [`SLOT`] in memory, as a direct write wants them.
#[derive(Debug, Default)]
struct Frame {
    bytes: Vec<u8>,
    start: usize,
}

impl Frame {
    /// These lines behind room for a header, filled up to whole slots.
    fn fill(&mut self, lines: &[u8]) {
        let length = frame_bytes(lines.len());
        self.bytes.clear();
        // It does not move any more after this.
        self.bytes.reserve(SLOT + length);
        self.start = self.bytes.as_ptr().align_offset(SLOT).min(SLOT);
        self.bytes.resize(self.start + HEADER, 0);
        self.bytes.extend_from_slice(lines);
        self.bytes.resize(self.start + length, 0);
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or_default()
    }
}

impl Wal {
    /// Opens the ring of this size, or makes one. All records up to `synced` are in synced
    /// segments.
    pub(super) fn open(
        directory: &Path,
        bytes: u64,
        held: Option<&Held>,
        synced: u64,
    ) -> io::Result<Self> {
        let path = directory.join(WAL);
        let slot = SLOT as u64;
        let bytes = bytes.max(8 * slot).next_multiple_of(slot);
        let there = std::fs::symlink_metadata(&path).ok();
        let fits = there.is_some_and(|found| found.is_file() && found.len() == bytes);
        if !fits {
            // If the process dies before the end, the one before is there, or none: both are
            // of no more use.
            install(&directory.join("wal.making"), &path, |file| fill(file, bytes))?;
        }
        let file = open_to_overwrite(&path)?;
        let mut wal = Self {
            file,
            bytes,
            head: 0,
            number: 0,
            check: Check::default(),
            needed: VecDeque::new(),
            synced,
            recorded: synced,
            direct: false,
            durable_writes: true,
            broken: false,
            frame: Frame::default(),
        };
        // Where it is refused there is the page cache.
        let _ = wal.set_direct(true);
        if let Some(held) = held.filter(|_| fits) {
            (wal.number, wal.check) = held.last;
            wal.head = held.end;
            // Until another is whole, the last one says which are needed.
            wal.needed.push_back((held.next_seq() - 1, held.start));
            wal.recorded = held.synced;
        }
        Ok(wal)
    }

    /// Whether a batch of so many bytes can be a frame. One that is larger than half the
    /// ring might never find room beside the frame before it.
    pub(super) fn takes(&self, length: usize) -> bool {
        (frame_bytes(length) + 2 * SLOT) as u64 <= self.bytes / 2
    }

    /// Whether there is room for so many bytes of lines.
    pub(super) fn has_room(&self, length: usize) -> bool {
        self.place(length).is_some()
    }

    /// Where a frame of so many bytes of lines can be written, with room for a mark behind it.
    fn place(&self, length: usize) -> Option<u64> {
        self.free(self.head, self.oldest(), room_for(length))
    }

    /// Where the oldest frame begins that must not be overwritten.
    fn oldest(&self) -> Option<u64> {
        self.needed.front().map(|(_, start)| *start)
    }

    fn free(&self, head: u64, oldest: Option<u64>, bytes: u64) -> Option<u64> {
        let ends = head + bytes <= self.bytes;
        let Some(oldest) = oldest else { return Some(if ends { head } else { 0 }) };
        if head > oldest {
            let begins = bytes < oldest;
            return if ends { Some(head) } else { Some(0).filter(|_| begins) };
        }
        // It has gone round.
        Some(head).filter(|head| head + bytes < oldest)
    }

    /// Bytes that cannot be overwritten.
    pub(super) fn used(&self) -> u64 {
        match self.needed.front() {
            Some((_, oldest)) if self.head > *oldest => self.head - oldest,
            Some((_, oldest)) => self.bytes - oldest + self.head,
            None => 0,
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// All records up to this one are in synced segments.
    pub(super) fn set_synced(&mut self, seq: u64) {
        self.synced = self.synced.max(seq);
    }

    /// Says durably what is synced, where that makes room for the batch: the room for a mark
    /// is there once.
    pub(super) fn mark(&mut self, batch: &Batch<'_>) -> io::Result<()> {
        let slot = SLOT as u64;
        let Some(at) = self.free(self.head, self.oldest(), slot) else { return Ok(()) };
        let kept = self.needed.iter().find(|(last, _)| *last > self.synced);
        let oldest = kept.map_or(at, |(_, start)| *start);
        let helps = self.free(at + slot, Some(oldest), room_for(batch.lines.len())).is_some();
        if self.recorded == self.synced || !helps {
            return Ok(());
        }
        self.put(at, &Batch { count: 0, lines: &[], ..*batch })
    }

    /// Makes a batch durable. After an error the ring is never written again: what of it is
    /// on the disk is not known.
    pub(super) fn write(&mut self, batch: &Batch<'_>) -> io::Result<()> {
        let full = || io::Error::new(io::ErrorKind::StorageFull, "there is no room in it");
        let at = self.place(batch.lines.len()).ok_or_else(full)?;
        self.put(at, batch)
    }

    fn put(&mut self, at: u64, batch: &Batch<'_>) -> io::Result<()> {
        let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let header = Header {
            number: self.number + 1,
            first_seq: batch.first_seq,
            count: batch.count,
            length: u32::try_from(batch.lines.len()).map_err(too_long)?,
            synced: self.synced,
            root: batch.root,
            before: self.check,
        };
        self.frame.fill(batch.lines);
        let check = header.seal(self.frame.bytes_mut());
        self.write_durably(at).inspect_err(|_| self.broken = true)?;
        (self.number, self.check) = (header.number, check);
        self.head = at + self.frame.bytes().len() as u64;
        self.recorded = header.synced;
        let last = batch.first_seq + u64::from(batch.count) - 1;
        self.needed.push_back((last, at));
        while self.needed.len() > 1
            && self.needed.front().is_some_and(|(last, _)| *last <= self.recorded)
        {
            self.needed.pop_front();
        }
        Ok(())
    }

    /// If the process dies in here the frame is torn or whole, and nobody was told of it.
    fn write_durably(&mut self, at: u64) -> io::Result<()> {
        while self.durable_writes {
            let frame = self.frame.bytes();
            match pwritev2(&self.file, &[IoSlice::new(frame)], at, ReadWriteFlags::DSYNC) {
                Ok(written) if written == frame.len() => return self.check_file(),
                Ok(_) => {
                    return Err(io::Error::new(io::ErrorKind::WriteZero, "a part was written"));
                }
                Err(Errno::INTR) => {}
                // A disk may want larger slots for it, and a file system may take the one or
                // the other.
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) if self.direct => {
                    self.set_direct(false)?;
                }
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => self.durable_writes = false,
                Err(error) => return Err(error.into()),
            }
        }
        self.file.write_all_at(self.frame.bytes(), at)?;
        self.file.sync_data()?;
        self.check_file()
    }

    fn set_direct(&mut self, direct: bool) -> Result<(), Errno> {
        let mut flags = fcntl_getfl(&self.file)?;
        flags.set(OFlags::DIRECT, direct);
        fcntl_setfl(&self.file, flags)?;
        self.direct = direct;
        Ok(())
    }

    /// A frame in a file that nobody can find, or that somebody else has cut, is worth
    /// nothing.
    fn check_file(&self) -> io::Result<()> {
        let (names, length) = names_and_length(&self.file)?;
        if names == 0 {
            return Err(io::Error::other("the file was removed while it was in use"));
        }
        if length != self.bytes {
            let text = format!("the file has {length} bytes of {}", self.bytes);
            return Err(io::Error::other(text));
        }
        Ok(())
    }
}

#[cfg(test)]
impl Wal {
    /// Puts another file in its place, which is given back: one that fails.
    pub(super) fn swap_file(&mut self, file: File) -> File {
        std::mem::replace(&mut self.file, file)
    }

    pub(super) fn without_durable_writes(&mut self) {
        self.durable_writes = false;
    }
}

/// Bytes of a frame with so many bytes of lines, and of a mark behind it.
fn room_for(length: usize) -> u64 {
    (frame_bytes(length) + SLOT) as u64
}

/// Takes the blocks for good: one that was only promised would be made up with the first
/// write into it, as if the file grew.
fn fill(file: &mut File, bytes: u64) -> io::Result<()> {
    const CHUNK: u64 = 1 << 20;
    let zeros = vec![0; usize::try_from(CHUNK.min(bytes)).unwrap_or_default()];
    let mut left = bytes;
    while left > 0 {
        let part = usize::try_from(left.min(CHUNK)).unwrap_or_default();
        file.write_all(zeros.get(..part).unwrap_or_default())?;
        left -= part as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
