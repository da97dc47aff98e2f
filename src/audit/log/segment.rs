//! Segment files and their names.

use std::path::{Path, PathBuf};

use crate::audit::record::limits::SEQ_MAX;

/// A file of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::audit) struct Segment {
    /// The sequence number in its name: that of its first record.
    pub(in crate::audit) first_seq: u64,
    /// That of the segment after it; none for the newest, which may grow.
    pub(in crate::audit) next_seq: Option<u64>,
    pub(in crate::audit) path: PathBuf,
    pub(in crate::audit) compressed: bool,
}

/// The file name of a segment that can be written to.
pub(in crate::audit) fn segment_name(first_seq: u64) -> String {
    format!("{first_seq:020}.jsonl")
}

impl Segment {
    /// The one that a writer begins with this record.
    pub(in crate::audit) fn plain(directory: &Path, first_seq: u64) -> Self {
        let path = directory.join(segment_name(first_seq));
        Self { first_seq, next_seq: None, path, compressed: false }
    }

    /// The segment whose file has this name; none for another file.
    pub(super) fn named(directory: &Path, name: &str) -> Option<Self> {
        let (plain, compressed) =
            name.strip_suffix(".zst").map_or((name, false), |plain| (plain, true));
        let digits = plain.strip_suffix(".jsonl")?;
        match (digits.len(), digits.parse()) {
            (20, Ok(first_seq @ 1..=SEQ_MAX)) => {
                let path = directory.join(name);
                Some(Self { first_seq, next_seq: None, path, compressed })
            }
            _ => None,
        }
    }

    /// Whether nothing is appended to it any more.
    pub(in crate::audit) fn is_closed(&self) -> bool {
        self.next_seq.is_some()
    }

    /// Whether a record with this number has its place in it.
    pub(in crate::audit) fn is_home_of(&self, seq: u64) -> bool {
        seq >= self.first_seq && self.next_seq.is_none_or(|next| seq < next)
    }

    /// How many bytes it takes on disk.
    pub(in crate::audit) fn stored_bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    /// The same and whether it has any bytes: compressed, where it is not plain any more.
    pub(super) fn looked_at_again(self) -> (Self, bool) {
        let bytes = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.len()).ok();
        let to = self.compressed_path();
        match bytes(&self.path) {
            Some(bytes) => (self, bytes > 0),
            None if !self.compressed && bytes(&to).is_some_and(|bytes| bytes > 0) => {
                (Self { path: to, compressed: true, ..self }, true)
            }
            None => (self, false),
        }
    }

    /// The file that compressing a plain segment makes.
    pub(in crate::audit) fn compressed_path(&self) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(".zst");
        path.into()
    }

    /// The file beside it that tells what it may hold.
    pub(in crate::audit) fn index_path(&self) -> PathBuf {
        self.path.with_file_name(format!("{:020}.index", self.first_seq))
    }

    /// How messages name it.
    pub(in crate::audit) fn name(&self) -> String {
        self.path.display().to_string()
    }
}
