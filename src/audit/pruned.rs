//! What is left of segments that were removed: their checkpoints, each with the proof that
//! the next one continues it, up to the first segment that is still there.
//!
//! So an old checkpoint, kept elsewhere, still proves that the log of today is the one that
//! it was of. `pruned.jsonl` grows by one line for each checkpoint.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::tree::{Hash, proves_consistency};

/// The file beside the segments.
pub(super) const FILE: &str = "pruned.jsonl";

/// One checkpoint of a removed segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link {
    pub(super) size: u64,
    pub(super) root: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) checkpoint: Option<String>,
    /// The size of the next checkpoint.
    pub(super) next: u64,
    /// That its tree begins with this one (RFC 6962, section 2.1.2).
    pub(super) proof: Vec<String>,
}

/// All of them, in order.
pub(super) struct Pruned {
    pub(super) file: String,
    links: Vec<Link>,
    /// The first line that is none.
    damaged: Option<usize>,
}

impl Pruned {
    /// What is left; none when nothing was removed.
    pub(super) fn read(directory: &Path) -> io::Result<Option<Self>> {
        let path = directory.join(FILE);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut pruned =
            Self { file: path.display().to_string(), links: Vec::new(), damaged: None };
        for (line, number) in BufReader::new(file).split(b'\n').zip(1..) {
            match serde_json::from_slice(&line?) {
                Ok(link) => pruned.links.push(link),
                Err(_) => {
                    pruned.damaged.get_or_insert(number);
                }
            }
        }
        Ok(Some(pruned))
    }

    /// The newest size that is kept.
    pub(super) fn last_size(&self) -> u64 {
        self.links.last().map_or(0, |link| link.size)
    }

    /// Whether a checkpoint was one of the log's.
    pub(super) fn has(&self, size: u64, root: Hash) -> bool {
        let root = root.to_base64();
        self.links.iter().any(|link| link.size == size && link.root == root)
    }

    /// Whether they lead to the tree with which the rest begins; how many they are.
    pub(super) fn verify(
        &self,
        (gone, root): (u64, Hash),
        is_true: impl Fn(Option<&str>, u64, Hash) -> bool,
    ) -> Result<u64, String> {
        if let Some(line) = self.damaged {
            return Err(format!("line {line} is not a checkpoint"));
        }
        let followers = self.links.iter().skip(1).map(|link| (link.size, link.root.clone()));
        let followers = followers.chain([(gone, root.to_base64())]);
        for (link, (next, next_root)) in self.links.iter().zip(followers) {
            let size = link.size;
            let hash = |text: &str| {
                Hash::from_base64(text).ok_or_else(|| format!("checkpoint {size} has a false hash"))
            };
            let proof: Result<Vec<Hash>, String> = link.proof.iter().map(|h| hash(h)).collect();
            let (old, new) = ((size, hash(&link.root)?), (next, hash(&next_root)?));
            if link.next != next || !proves_consistency(old, new, &proof?) {
                return Err(format!("checkpoint {size} does not lead to {next}"));
            }
            if !is_true(link.checkpoint.as_deref(), size, old.1) {
                return Err(format!("the signature of checkpoint {size} is false"));
            }
        }
        Ok(self.links.len() as u64)
    }
}

/// Adds links, durably.
pub(super) fn append(directory: &Path, links: &[Link]) -> io::Result<()> {
    let mut text = Vec::new();
    for link in links {
        serde_json::to_writer(&mut text, link)?;
        text.push(b'\n');
    }
    let mut options = OpenOptions::new();
    let path = directory.join(FILE);
    let mut file = options.create(true).append(true).mode(0o600).open(path)?;
    file.write_all(&text)?;
    file.sync_all()?;
    super::store::sync_directory(directory)
}
