//! What a closed segment may hold, in a small file beside it.
//!
//! An index is a hint and never evidence: one that is missing, of other bytes, damaged
//! or of another version counts as none, and a segment without one is read. So is a
//! segment with a damaged line, whatever its index says. It is replaced in one step, so
//! that whoever reads along sees the one before or the new one.
//!
//! It knows its segment by the first sequence number and by the length. Bytes that were
//! changed in place are not its business: `audit verify` finds them.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use tempfile::NamedTempFile;

use super::bloom::{Bloom, Kind, SALT_BYTES, key};
use super::filter::Keys;
use crate::audit::log::cursor::Line;
use crate::audit::log::directory::LogReader;
use crate::audit::log::error::InputError;
use crate::audit::log::segment::Segment;
use crate::audit::record::event::Event;
use crate::audit::record::parse::Record;

/// How every index begins.
const MAGIC: &[u8; 8] = b"gg-index";

/// The version of the format.
const VERSION: u32 = 2;

/// Bytes of the checksum (SHA-256) at the end.
const CHECKSUM_BYTES: usize = 32;

/// Above so many different keys a segment gets no index.
const KEYS_MAX: usize = 8_000_000;

/// Values that come again and again are hashed once, as long as there are no more of a
/// kind.
const KNOWN_MAX: usize = 10_000;

/// The index of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::audit) struct Index {
    first_seq: u64,
    /// Bytes of the segment, uncompressed.
    content_bytes: u64,
    /// And compressed, where it was when this was made; else 0.
    stored_bytes: u64,
    pub(super) records: u64,
    /// Lines that are no records.
    pub(in crate::audit) damaged: u64,
    /// The earliest and the latest time, in microseconds since 1970; none without records.
    pub(in crate::audit) times: Option<(i64, i64)>,
    /// The oldest decision that an outcome in the segment is of.
    pub(super) outcomes_from: Option<u64>,
    salt: [u8; SALT_BYTES],
    bloom: Bloom,
}

impl Index {
    /// Whether the segment may have a record with these.
    pub(super) fn may_hold(&self, keys: &Keys) -> bool {
        keys.iter().all(|group| group.iter().any(|(kind, value)| self.has(*kind, value)))
    }

    pub(super) fn has(&self, kind: Kind, value: &str) -> bool {
        self.bloom.may_contain(key(&self.salt, kind, value))
    }

    fn is_of(&self, segment: &Segment) -> bool {
        let stored = segment.stored_bytes();
        let same = if segment.compressed {
            stored == self.stored_bytes || content_size(&segment.path) == Some(self.content_bytes)
        } else {
            stored == self.content_bytes
        };
        self.first_seq == segment.first_seq && same
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(VERSION.to_le_bytes());
        let (earliest, latest) = self.times.unwrap_or((i64::MAX, i64::MIN));
        for number in [
            self.first_seq,
            self.content_bytes,
            self.stored_bytes,
            self.records,
            self.damaged,
            self.outcomes_from.unwrap_or(u64::MAX),
        ] {
            out.extend(number.to_le_bytes());
        }
        out.extend(earliest.to_le_bytes());
        out.extend(latest.to_le_bytes());
        out.extend(self.salt);
        out.extend(self.bloom.hashes().to_le_bytes());
        out.extend(self.bloom.words().iter().flat_map(|word| word.to_le_bytes()));
        let checksum = digest(&SHA256, &out);
        out.extend_from_slice(checksum.as_ref());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (mut rest, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
        if digest(&SHA256, rest).as_ref() != checksum {
            return None;
        }
        let from = &mut rest;
        if take::<8>(from)? != *MAGIC || u32::from_le_bytes(take(from)?) != VERSION {
            return None;
        }
        let mut number = || take(from).map(u64::from_le_bytes);
        let (first_seq, content_bytes, stored_bytes) = (number()?, number()?, number()?);
        let (records, damaged, outcomes_from) = (number()?, number()?, number()?);
        let times = (i64::from_le_bytes(take(from)?), i64::from_le_bytes(take(from)?));
        let salt = take(from)?;
        let hashes = u32::from_le_bytes(take(from)?);
        let (words, left) = from.as_chunks::<8>();
        let words = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        left.is_empty().then_some(Self {
            first_seq,
            content_bytes,
            stored_bytes,
            records,
            damaged,
            times: (times.0 <= times.1).then_some(times),
            outcomes_from: (outcomes_from != u64::MAX).then_some(outcomes_from),
            salt,
            bloom: Bloom::from_parts(hashes, words)?,
        })
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*taken)
}

/// The uncompressed length, where the first frame of a compressed file says it.
fn content_size(path: &Path) -> Option<u64> {
    let mut head = Vec::new();
    File::open(path).ok()?.take(32).read_to_end(&mut head).ok()?;
    zstd::zstd_safe::get_frame_content_size(&head).ok().flatten()
}

/// The index of a closed segment, if there is a good one.
pub(in crate::audit) fn load(segment: &Segment) -> Option<Index> {
    let bytes = std::fs::read(segment.index_path()).ok()?;
    Index::decode(&bytes).filter(|index| index.is_of(segment))
}

/// Makes the index of a closed segment and puts it beside it; none when the directory
/// cannot be written to, and when the segment cannot be read, of which its reader tells.
pub(super) fn make(log: &LogReader, segment: &Segment) -> Option<Index> {
    let path = segment.index_path();
    // Mode 0600. Should the process die, a file of this name stays and harms nothing.
    let mut file = tempfile::Builder::new().prefix(".index-").tempfile_in(path.parent()?).ok()?;
    let index = build(log, segment).ok().flatten()?;
    // What is not there whole after a power failure has the wrong checksum.
    if let Err(error) = put(&mut file, &index).and_then(|()| Ok(file.persist(&path)?)) {
        tracing::debug!(%error, path = %path.display(), "the index was not kept");
    }
    Some(index)
}

fn put(file: &mut NamedTempFile, index: &Index) -> io::Result<()> {
    file.write_all(&index.encode())
}

/// Reads a segment as a whole; none when it has too many keys.
fn build(log: &LogReader, segment: &Segment) -> Result<Option<Index>, InputError> {
    let stored_bytes = if segment.compressed { segment.stored_bytes() } else { 0 };
    let mut builder = Builder::new(segment.first_seq);
    let mut cursor = log.read(segment)?;
    while let Some(line) = cursor.next()? {
        builder.add(&line);
        if builder.keys.len() > KEYS_MAX {
            return Ok(None);
        }
    }
    let Builder { mut index, keys, .. } = builder;
    index.stored_bytes = stored_bytes;
    index.bloom = Bloom::for_keys(keys.len());
    keys.into_iter().for_each(|key| index.bloom.insert(key));
    Ok(Some(index))
}

/// An index that grows line by line.
struct Builder {
    index: Index,
    keys: HashSet<u128>,
    known: HashMap<Kind, HashSet<String>>,
}

impl Builder {
    fn new(first_seq: u64) -> Self {
        let mut salt = [0; SALT_BYTES];
        // Should that fail, the index is as good as any that nobody fills on purpose.
        let _ = aws_lc_rs::rand::fill(&mut salt);
        let index = Index {
            first_seq,
            content_bytes: 0,
            stored_bytes: 0,
            records: 0,
            damaged: 0,
            times: None,
            outcomes_from: None,
            salt,
            bloom: Bloom::for_keys(0),
        };
        Self { index, keys: HashSet::new(), known: HashMap::new() }
    }

    fn add(&mut self, line: &Line<'_>) {
        self.index.content_bytes = line.offset + line.length();
        let record =
            line.record().and_then(|record| Some((record.time()?.as_microsecond(), record)));
        let Some((time, record)) = record else {
            self.index.damaged += 1;
            return;
        };
        self.index.records += 1;
        let (earliest, latest) = self.index.times.unwrap_or((time, time));
        self.index.times = Some((earliest.min(time), latest.max(time)));
        if let Some(seq) = record.decision_seq {
            self.index.outcomes_from = Some(self.index.outcomes_from.map_or(seq, |s| s.min(seq)));
        }
        self.add_fields(&record);
    }

    fn add_fields(&mut self, record: &Record<'_>) {
        let reason = match record.known_event() {
            Some(Event::Decision) => Kind::DecisionReason,
            Some(Event::Outcome) => Kind::OutcomeReason,
            _ => Kind::OtherReason,
        };
        self.add_known(Kind::Event, record.event());
        for (kind, field) in [
            (Kind::Caller, record.caller()),
            (Kind::Entrance, record.entrance_id()),
            (Kind::Workspace, record.workspace()),
            (Kind::Decision, record.decision()),
            (Kind::Outcome, record.outcome()),
            (reason, record.reason()),
        ] {
            if let Some(value) = field {
                self.add_known(kind, value);
            }
        }
        for counted in record.reasons.iter().flat_map(|reasons| reasons.keys()) {
            self.add_known(Kind::OtherReason, counted);
        }
        for (kind, value) in [
            (Kind::RequestId, record.request_id()),
            (Kind::SeamRequestId, record.seam_request_id()),
            (Kind::Grantee, record.grantee()),
            (Kind::IdempotencyKey, record.idempotency_key().as_deref()),
        ] {
            if let Some(value) = value {
                self.keys.insert(key(&self.index.salt, kind, value));
            }
        }
    }

    /// Of values that come again and again.
    fn add_known(&mut self, kind: Kind, value: &str) {
        let known = self.known.entry(kind).or_default();
        if known.contains(value) {
            return;
        }
        if known.len() < KNOWN_MAX {
            known.insert(value.to_owned());
        }
        self.keys.insert(key(&self.index.salt, kind, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const GOLDEN: &[u8] = include_bytes!("../../../../tests/golden/audit/records-v1.jsonl");

    fn segment(directory: &Path, compressed: bool) -> Segment {
        let name = if compressed { "1.jsonl.zst" } else { "1.jsonl" };
        let path = directory.join(format!("{:019}{name}", 0));
        let content = if compressed { zstd::encode_all(GOLDEN, 3).unwrap() } else { GOLDEN.into() };
        std::fs::write(&path, content).unwrap();
        Segment { first_seq: 1, next_seq: Some(20), path, compressed }
    }

    #[test]
    fn an_index_holds_what_its_segment_holds_and_comes_back_from_its_file() {
        let directory = tempfile::tempdir().unwrap();
        for compressed in [false, true] {
            let segment = segment(directory.path(), compressed);
            let made = make(&LogReader::new(directory.path()), &segment).unwrap();
            assert_eq!(load(&segment), Some(made.clone()));
            let lines = GOLDEN.split(|byte| *byte == b'\n').count() as u64 - 1;
            assert_eq!((made.records, made.damaged, made.outcomes_from), (lines, 0, Some(1)));
            assert_eq!(made.content_bytes, GOLDEN.len() as u64);
            for (kind, value) in [
                (Kind::Caller, "desk"),
                (Kind::SeamRequestId, "r1"),
                (Kind::Grantee, "hmac-sha256:f404473fe9b5ca393be62a67128c7aca"),
                (Kind::DecisionReason, "body-empty"),
                (Kind::OutcomeReason, "gateway-restarted"),
                (Kind::OtherReason, "token-expired"),
                (Kind::Event, "log.stop"),
            ] {
                assert!(made.has(kind, value), "{value}");
            }
            assert!(!made.has(Kind::Caller, "kiosk") || !made.has(Kind::Caller, "lift"));
            let mode = std::fs::metadata(segment.index_path()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            std::fs::remove_file(segment.index_path()).unwrap();
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2, "nothing is left over");
    }

    #[test]
    fn every_bit_of_an_index_counts() {
        let directory = tempfile::tempdir().unwrap();
        let segment = segment(directory.path(), false);
        let made = make(&LogReader::new(directory.path()), &segment).unwrap();
        let bytes = made.encode();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(Index::decode(&damaged), None, "byte {at}");
            assert_eq!(Index::decode(&bytes[..at]), None, "cut at {at}");
        }
        std::fs::write(segment.index_path(), [bytes.as_slice(), b"x"].concat()).unwrap();
        assert_eq!(load(&segment), None);
        std::fs::write(segment.index_path(), &bytes).unwrap();
        assert_eq!(load(&segment), Some(made));
        let longer = [GOLDEN, b"{}\n"].concat();
        std::fs::write(&segment.path, longer).unwrap();
        assert_eq!(load(&segment), None, "stale");
    }

    #[test]
    fn a_segment_that_is_compressed_later_keeps_its_index_where_its_length_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let plain = segment(directory.path(), false);
        let made = make(&LogReader::new(directory.path()), &plain).unwrap();
        let compressed = segment(directory.path(), true);
        let says_length = content_size(&compressed.path) == Some(GOLDEN.len() as u64);
        assert_eq!(load(&compressed), says_length.then_some(made));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let checksum = digest(&SHA256, &bytes);
            let signed = [bytes.as_slice(), checksum.as_ref()].concat();
            let _ = (Index::decode(&bytes), Index::decode(&signed));
        }
    }
}
