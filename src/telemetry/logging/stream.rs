//! One stream of lines, written in order and never torn: some at once, some a moment later.
//!
//! A system call for each request's line costs more than the line. Whoever collects a line
//! never waits for the stream: while nobody reads it, lines are kept up to a bound, and those
//! beyond are counted and lost. Whoever writes a line at once waits for the stream, as for any
//! other.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use prometheus::IntCounter;

use super::lost_lines;

/// A line is collected for no longer, while the stream is read.
const TICK: Duration = Duration::from_millis(100);

/// So many bytes are written without waiting for the tick.
const ENOUGH: usize = 64 * 1024;

/// So many bytes are collected at most. As many again are being written, or twice as many where
/// the stream does not block.
const BYTES_MAX: usize = 1024 * 1024;

/// Where lines go.
pub(super) struct Stream {
    collected: Mutex<Vec<u8>>,
    /// Something is collected, or enough.
    more: Condvar,
    /// The stream said that it takes the rest later.
    behind: AtomicBool,
    out: Mutex<Out>,
    lost: Option<IntCounter>,
}

struct Out {
    stream: Box<dyn Write + Send>,
    /// What is being written; in between, the rest that a stream which does not block did not
    /// take yet.
    lines: Vec<u8>,
    /// The stream ends within a line.
    within: bool,
    /// The rest of that line is lost.
    torn: bool,
}

impl Stream {
    pub(super) fn new(stream: impl Write + Send + 'static) -> Self {
        let stream = Box::new(stream);
        let out = Out { stream, lines: Vec::new(), within: false, torn: false };
        let lost = lost_lines().ok();
        let (collected, more, out) = (Mutex::default(), Condvar::new(), Mutex::new(out));
        Self { collected, more, behind: AtomicBool::new(false), out, lost }
    }

    /// Keeps what `line` writes, a line with its end, to be written within a tick.
    pub(super) fn collect(&self, line: impl FnOnce(&mut Vec<u8>)) {
        let mut collected = self.collected.lock();
        let before = collected.len();
        if before >= BYTES_MAX {
            drop(collected);
            self.lose(1);
            return;
        }
        line(&mut collected);
        let after = collected.len();
        drop(collected);
        if before == 0 || (before < ENOUGH && after >= ENOUGH) {
            self.more.notify_one();
        }
    }

    /// Writes a line with its end at once, after what is collected.
    pub(super) fn write(&self, line: &[u8]) {
        let mut out = self.out.lock();
        self.take(&mut out);
        // A rest is bounded, too.
        if out.lines.len() < 2 * BYTES_MAX {
            out.lines.extend_from_slice(line);
        } else {
            self.lose(ends(line));
        }
        self.put(&mut out);
    }

    /// Writes what is collected.
    pub(super) fn flush(&self) {
        let mut out = self.out.lock();
        self.take(&mut out);
        self.put(&mut out);
    }

    /// The same, unless somebody is at it: whoever panics may hold the very locks.
    pub(super) fn try_flush(&self) {
        if let (Some(mut out), Some(mut collected)) =
            (self.out.try_lock(), self.collected.try_lock())
        {
            out.lines.append(&mut collected);
            self.lose(out.write());
        }
    }

    /// Waits for lines, and for others that come within a tick, and writes them.
    pub(super) fn tick(&self) {
        let mut collected = self.collected.lock();
        while collected.is_empty() && !self.behind.load(Ordering::Acquire) {
            self.more.wait(&mut collected);
        }
        let end = Instant::now() + TICK;
        while collected.len() < ENOUGH {
            if self.more.wait_until(&mut collected, end).timed_out() {
                break;
            }
        }
        drop(collected);
        self.flush();
    }

    /// With the stream held, so that nothing overtakes what is taken.
    fn take(&self, out: &mut Out) {
        let mut collected = self.collected.lock();
        if out.lines.is_empty() {
            std::mem::swap(&mut out.lines, &mut *collected);
        } else if out.lines.len() < BYTES_MAX {
            out.lines.append(&mut collected);
        }
    }

    fn put(&self, out: &mut Out) {
        self.lose(out.write());
        let behind = !out.lines.is_empty();
        self.behind.store(behind, Ordering::Release);
        if behind {
            // Whoever is about to wait sees it, or is woken.
            drop(self.collected.lock());
            self.more.notify_one();
        }
    }

    fn lose(&self, lines: u64) {
        if let (Some(lost), 1..) = (&self.lost, lines) {
            lost.inc_by(lines);
        }
    }
}

impl Out {
    /// Writes its lines, keeps those that the stream takes later, and returns how many of them
    /// it will not take whole.
    fn write(&mut self) -> u64 {
        if self.lines.is_empty() {
            return 0;
        }
        // What was cut off gets an end, so that the next line begins as one.
        let begun = match self.torn {
            true => put(&mut *self.stream, b"\n").1,
            false => End::Done,
        };
        let (written, end) = match begun {
            End::Done => {
                self.within &= !self.torn;
                put(&mut *self.stream, &self.lines)
            }
            End::Later | End::Failed => (0, begun),
        };
        if let Some(last) = written.checked_sub(1).and_then(|last| self.lines.get(last)) {
            self.within = *last != b'\n';
        }
        self.torn = self.within && (end == End::Failed || begun != End::Done);
        if end == End::Later {
            self.lines.drain(..written);
            return 0;
        }
        let left = self.lines.get(written..).unwrap_or_default();
        // A line that lacks its end alone will get it.
        let lost = ends(left.strip_prefix(b"\n").filter(|_| self.torn).unwrap_or(left));
        self.lines.clear();
        // After a flood it is given back.
        self.lines.shrink_to(2 * ENOUGH);
        lost
    }
}

fn ends(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

/// How writing ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    Later,
    Failed,
}

/// Writes all of it, or as much as the stream takes.
fn put(stream: &mut dyn Write, bytes: &[u8]) -> (usize, End) {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match stream.write(rest) {
            Ok(0) => return (written, End::Failed),
            Ok(some) => written += some,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return (written, End::Later),
            Err(_) => return (written, End::Failed),
        }
    }
    (written, End::Done)
}

#[cfg(test)]
mod tests;
