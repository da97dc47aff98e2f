//! Which logs a command reads: the one in a directory, or those that a database mirrors, which it
//! copies before.

use std::path::PathBuf;

use crate::audit::LogReader;
use crate::cli::database::{At, with};
use crate::cli::{Exit, fail, note};
use crate::database::{self, Copied, CopyError, Part};
use clap::Args;

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
    _copy: Option<Copied>,
}

impl From<Copied> for Log {
    fn from(mut copied: Copied) -> Self {
        Self {
            reader: copied.reader.clone(),
            replica: Some(copied.replica.clone()),
            origin: Some(copied.origin.clone()),
            heads: std::mem::take(&mut copied.heads),
            differing: copied.differing,
            _copy: Some(copied),
        }
    }
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
    pub(super) fn logs(&self, wanted: Part<'_>) -> Result<Vec<Log>, Exit> {
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
            match database::copies(access, self.replica.as_deref(), wanted, None).await {
                Ok(logs) => found = logs.into_iter().map(Log::from).collect(),
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
        let mut logs = self.logs(Part::Whole)?;
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
}
