//! Keeping a copy of a log as ordinary segments, compressed, which grows week by week.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::retain::{RetainError, lock, write_compressed};
use crate::audit::log::directory::LogReader;
use crate::audit::log::segment::Segment;
use crate::audit::proof::pruned;
use crate::files::{install, sync_directory};

/// Adds the files of a log but the last to a directory that has what was before them, or nothing: the last
/// begins with a checkpoint and goes on. What is there already must be the same, or the beginning of it.
///
/// # Errors
/// [`RetainError`]; what was added is whole, and adding the same again goes on from there.
pub fn archive(log: &Path, to: &Path) -> Result<(), RetainError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| RetainError::Io(path, error)
    };
    let is_new = !to.exists();
    std::fs::create_dir_all(to).map_err(failed(to))?;
    if is_new {
        to.parent().map_or(Ok(()), sync_directory).map_err(failed(to))?;
    }
    let _lock = lock(to)?;
    let beginning = to.join(pruned::FILE);
    let vouches = log.join(pruned::FILE);
    let is_first = LogReader::new(to).segments_only().list()?.is_empty();
    if is_first && vouches.exists() {
        let copy = |out: &mut File| io::copy(&mut File::open(&vouches)?, out);
        install(&beginning.with_extension("making"), &beginning, copy)
            .map_err(failed(&beginning))?;
    }
    let mut segments = LogReader::new(log).segments_only().list()?;
    segments.pop();
    for segment in segments {
        let name = segment.compressed_path();
        let Some(place) = name.file_name().map(|name| to.join(name)) else { continue };
        if place.exists() {
            match compared(&place, &segment).map_err(failed(&place))? {
                Kept::Whole => continue,
                Kept::Beginning => {}
                Kept::Other => return Err(RetainError::Archived(place)),
            }
        }
        write_compressed(&segment, &place)?;
    }
    Ok(())
}

/// What is in the archive of a segment.
enum Kept {
    Whole,
    Beginning,
    Other,
}

fn compared(kept: &Path, segment: &Segment) -> io::Result<Kept> {
    let mut kept = zstd::Decoder::new(File::open(kept)?)?;
    let mut whole = io::BufReader::new(File::open(&segment.path)?);
    let (mut some, mut same) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let read = kept.read(&mut some)?;
        if read == 0 {
            let has_more = whole.read(&mut same)? > 0;
            return Ok(if has_more { Kept::Beginning } else { Kept::Whole });
        }
        let same = same.get_mut(..read).unwrap_or_default();
        match whole.read_exact(same) {
            Ok(()) if some.get(..read) == Some(&*same) => {}
            Ok(()) => return Ok(Kept::Other),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Kept::Other),
            Err(error) => return Err(error),
        }
    }
}
