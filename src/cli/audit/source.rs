//! Which logs a command reads: the one in a directory, or those that a database mirrors, which it
//! copies before.

use std::path::PathBuf;

use clap::Args;
use tempfile::TempDir;

use crate::audit::LogReader;
use crate::audit::search::{Filter, Take};
use crate::cli::database::{At, with};
use crate::cli::{Exit, fail, note};
use crate::database::{self, Access, CopyError, LogState, Reader};

#[derive(Args)]
pub(super) struct Source {
    /// The audit directory
    #[arg(value_name = "DIR", default_value = "audit")]
    pub(super) directory: PathBuf,
    /// The logs that a database mirrors instead: a TOML file with `url`, and as needed
    /// `password_file` and `ca_file`
    #[arg(long, value_name = "FILE", conflicts_with = "directory")]
    database: Option<PathBuf>,
    /// Of these only the log of this gateway, by its name or its log's
    #[arg(long, value_name = "NAME", requires = "database")]
    replica: Option<String>,
}

/// One log, ready to be read.
pub(super) struct Log {
    pub(super) reader: LogReader,
    /// Of which gateway, where it is of several.
    pub(super) replica: Option<String>,
    /// Its name, as its key and its checkpoints have it, where it is of several.
    pub(super) origin: Option<String>,
    /// Checkpoints that were handed over to the database.
    pub(super) heads: Vec<String>,
    /// Records that are kept there with something else to search for than their line has: how many,
    /// and the first.
    pub(super) differing: (u64, Option<u64>),
    _copy: Option<TempDir>,
}

/// What of a log is needed.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'f> {
    /// All of it.
    Whole,
    /// What a search may find.
    Found(&'f Filter, Take),
}

impl Source {
    /// The file about the database, and which gateway's log is meant of several.
    pub(super) fn mirror(&self) -> Option<(At, Option<String>)> {
        Some((At { database: self.database.clone()? }, self.replica.clone()))
    }

    pub(super) const fn is_database(&self) -> bool {
        self.database.is_some()
    }

    /// Whether one log of several is meant.
    pub(super) const fn is_narrowed(&self) -> bool {
        self.replica.is_some()
    }

    /// Every log that is meant; what is wrong was printed.
    pub(super) fn logs(&self, wanted: Wanted<'_>) -> Result<Vec<Log>, Exit> {
        let Some(file) = &self.database else {
            return Ok(vec![Log {
                reader: LogReader::new(&self.directory),
                replica: None,
                origin: None,
                heads: Vec::new(),
                differing: (0, None),
                _copy: None,
            }]);
        };
        let mut found = Vec::new();
        let mut failed = None;
        let exit = with(&At { database: file.clone() }, async |access| {
            match self.copies(access, wanted).await {
                Ok(logs) => found = logs,
                Err(CopyError::Database(error)) => return Err(error),
                Err(error @ CopyError::Write(_)) => failed = Some(fail(error)),
            }
            Ok(Exit::Done)
        });
        match (exit, failed) {
            (Exit::Done, None) if found.is_empty() => Err(self.nobody()),
            (Exit::Done, None) => Ok(found),
            (Exit::Done, Some(exit)) | (exit, _) => Err(exit),
        }
    }

    /// The one log that is meant.
    pub(super) fn log(&self) -> Result<Log, Exit> {
        let mut logs = self.logs(Wanted::Whole)?;
        if logs.len() > 1 {
            let names: Vec<&str> = logs.iter().filter_map(|log| log.origin.as_deref()).collect();
            let names = names.join("`, `");
            note(format_args!("error: there are logs of `{names}`; name one with --replica"));
            return Err(Exit::Usage);
        }
        logs.pop().ok_or(Exit::Failed)
    }

    pub(super) fn nobody(&self) -> Exit {
        match &self.replica {
            Some(name) => fail(format_args!(
                "the database has no log of a gateway `{name}`; `grantgate database status` lists them"
            )),
            None => fail("the database has no log yet"),
        }
    }

    async fn copies(&self, access: &Access, wanted: Wanted<'_>) -> Result<Vec<Log>, CopyError> {
        let mut all = database::logs(access).await?;
        if let Some(name) = &self.replica {
            all.retain(|log| log.name == *name || log.origin == *name);
        }
        let reader = Reader::connect(access).await?;
        if let Wanted::Found(Filter { request_id: Some(id), .. }, _) = wanted {
            // Of the others nothing can be found; where it is of none, one says so.
            let having = reader.having_request(id).await?;
            match having.is_empty() {
                true => all.truncate(1),
                false => all.retain(|log| having.contains(&log.number)),
            }
        }
        let mut copied = Vec::new();
        for log in all {
            copied.push(copy(&reader, log, wanted).await?);
        }
        Ok(copied)
    }
}

async fn copy(from: &Reader, log: LogState, wanted: Wanted<'_>) -> Result<Log, CopyError> {
    let directory = TempDir::with_prefix("grantgate-")?;
    let (mut heads, mut differing) = (Vec::new(), (0, None));
    match wanted {
        Wanted::Whole => {
            differing = from.log(log.number, directory.path()).await?;
            heads = from.heads(log.number).await?;
        }
        Wanted::Found(filter, take) => {
            from.found(log.number, (filter, take), directory.path()).await?;
        }
    }
    let reader = LogReader::new(directory.path());
    Ok(Log {
        reader,
        replica: Some(log.name),
        origin: Some(log.origin),
        heads,
        differing,
        _copy: Some(directory),
    })
}
