//! `grantgate database`: the schema of the database, and what is in it.

use std::fmt::Display;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::problems::printable;
use super::{Exit, Format, fail, note, report, runtime, say, say_json};
use crate::bundle::Trust;
use crate::config::{Desk, DirectFiles, read_desk};
use crate::database::{
    self, Access, CopyError, DatabaseError, Dropped, Old, RETIRED, ReplicaState, RetentionError,
    Schema,
};
use crate::domain::Problem;
use crate::view::database::{ShownReplica, Status};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Print the SQL that an administrator of the server runs once
    Roles(RolesArguments),
    /// Bring the schema to what this version needs
    Migrate(MigrateArguments),
    /// Show the schema, the gateways and how far their logs have come
    Status(StatusArguments),
    /// Make the partitions of the next weeks; to be run each day
    Maintain(MaintainArguments),
    /// Take a gateway off the register that will not come back; its log stays
    Retire(RetireArguments),
}

#[derive(Args)]
#[command(after_help = "Example: grantgate database roles | psql -h db.example -U postgres\n\n\
    Exit codes: 0 printed.")]
pub(super) struct RolesArguments {}

/// Where the database is.
#[derive(Args)]
pub(super) struct At {
    /// A TOML file with `url`, and as needed `password_file` and `ca_file`
    #[arg(long, value_name = "FILE")]
    pub(super) database: PathBuf,
}

#[derive(Args)]
#[command(after_help = "Example: grantgate database migrate --database owner.toml\n\n\
    As the schema's owner, before gateways of a new version start. It can be repeated.\n\n\
    Exit codes: 0 done, 1 failed, 3 invalid file.")]
pub(super) struct MigrateArguments {
    #[command(flatten)]
    at: At,
}

#[derive(Args)]
#[command(after_help = "Example: grantgate database status --database reader.toml\n\n\
    Exit codes: 0 all gateways speak and their logs come, 2 one is silent or behind, none has spoken \
    yet or the schema is older, 1 failed, 3 invalid file.")]
pub(super) struct StatusArguments {
    #[command(flatten)]
    at: At,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Args)]
#[command(after_help = "Example: grantgate database maintain --database owner.toml\n\n\
    Without it records of more than six weeks after the last time have no place, and wait in the \
    gateways' own logs. With --keep-weeks old weeks are dropped, each whole, after what proves the \
    rest was kept.\n\n\
    Exit codes: 0 done, 1 failed, 3 invalid file, 4 a log does not agree with its checkpoints: nothing \
    is dropped.")]
pub(super) struct MaintainArguments {
    #[command(flatten)]
    at: At,
    /// For so many weeks from now on
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(i32).range(1..=52))]
    weeks: i32,
    /// Drop records of weeks that ended so many weeks ago, 1 to 5200 [default: none are dropped]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=5200))]
    keep_weeks: Option<i32>,
    /// Also where a log does not agree with its checkpoints, and nothing will prove its rest
    #[arg(long, requires = "keep_weeks")]
    unproven: bool,
    /// Keep what is dropped in this directory, as compressed segments, one directory for each log
    #[arg(long, value_name = "DIR", requires = "keep_weeks")]
    archive: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = "Example: grantgate database retire north-1 --database owner.toml\n\n\
    Nobody speaks for it any more, nor adds to its log. A gateway that is started anew on an empty disk gets \
    an identity of its own, also under the same name.\n\n\
    Exit codes: 0 taken off, 1 failed, 2 it still speaks, or has records that never came, 3 invalid file.")]
pub(super) struct RetireArguments {
    /// The gateway's name, or its id where several have that name
    #[arg(value_name = "NAME")]
    replica: String,
    #[command(flatten)]
    at: At,
    /// Also where records that it had never came: its disk is lost
    #[arg(long)]
    disk_lost: bool,
}

pub(super) fn run(command: &Command) -> Exit {
    match command {
        Command::Roles(_) => {
            say(database::ROLES.trim_end());
            Exit::Done
        }
        Command::Migrate(arguments) => with(&arguments.at, migrate),
        Command::Status(arguments) => {
            let format = arguments.format;
            with(&arguments.at, async |access| status(access, format).await)
        }
        Command::Maintain(arguments) => {
            let MaintainArguments { weeks, keep_weeks, unproven, archive, .. } = arguments;
            let (weeks, unproven, archive) = (*weeks, *unproven, archive.clone());
            let old = keep_weeks.map(|weeks| Old { weeks, unproven, archive });
            with(&arguments.at, async |access| maintain(access, weeks, old).await)
        }
        Command::Retire(arguments) => {
            let RetireArguments { replica, disk_lost, .. } = arguments;
            with(&arguments.at, async |access| retire(access, replica, *disk_lost).await)
        }
    }
}

async fn migrate(access: &Access) -> Result<Exit, DatabaseError> {
    let made = database::migrate(access).await?;
    match made.as_slice() {
        [] => say("the schema is what this version needs"),
        made => say(format_args!("made: {}", made.join(", "))),
    }
    Ok(Exit::Done)
}

async fn maintain(access: &Access, weeks: i32, old: Option<Old>) -> Result<Exit, DatabaseError> {
    let made = database::maintain(access, weeks).await?;
    say(format_args!("{made} partition(s) made; there are partitions for {weeks} weeks"));
    let Some(old) = old else { return Ok(Exit::Done) };
    let scratch = match tempfile::tempdir() {
        Ok(scratch) => scratch,
        Err(error) => return Ok(fail(format_args!("the temporary directory: {error}"))),
    };
    loop {
        match database::drop_oldest(access, &old, scratch.path()).await {
            Ok(Some(Dropped { name, records })) => {
                say(format_args!("dropped {name} with {records} record(s)"));
            }
            Ok(None) => return Ok(Exit::Done),
            Err(RetentionError::Copy(CopyError::Database(error))) => return Err(error),
            Err(error @ RetentionError::Copy(_)) => return Ok(fail(error)),
            Err(error @ RetentionError::Archive { .. }) => {
                return Ok(fail(format_args!("nothing is dropped: {error}")));
            }
            Err(error @ RetentionError::Unproven { .. }) => {
                fail(format_args!("nothing is dropped: {error}"));
                note(
                    "`grantgate audit verify --database` says more; --unproven drops it all the same",
                );
                return Ok(Exit::Damaged);
            }
        }
    }
}

async fn retire(access: &Access, name: &str, disk_lost: bool) -> Result<Exit, DatabaseError> {
    let all = database::replicas(access).await?;
    let is_it = |one: &&ReplicaState| one.name == name || one.replica.to_string() == name;
    let is_left = |one: &&ReplicaState| one.state != RETIRED;
    let found: Vec<&ReplicaState> = all.iter().filter(is_it).filter(is_left).collect();
    let [replica] = found.as_slice() else {
        let ids: Vec<String> = found.iter().map(|one| one.replica.to_string()).collect();
        return Ok(match ids.is_empty() {
            true => fail(format_args!(
                "no gateway is called `{name}`; `grantgate database status` lists them"
            )),
            false => {
                fail(format_args!("several are called `{name}`: name one, {}", ids.join(", ")))
            }
        });
    };
    if replica.speaks() {
        note(format_args!("`{name}` spoke {:.0} s ago: stop it first", replica.silent_s));
        return Ok(Exit::Different);
    }
    let lost = replica.to_come();
    if lost > 0 && !disk_lost {
        note(format_args!(
            "`{name}` had {} records, and the last {lost} are not known to be here: start it once more, so \
             that they come; --disk-lost takes it off without them",
            replica.durable
        ));
        return Ok(Exit::Different);
    }
    database::retire(access, replica.replica).await?;
    say(format_args!("`{}` is taken off; {lost} of its records never came", printable(name)));
    Ok(Exit::Done)
}

async fn status(access: &Access, format: Format) -> Result<Exit, DatabaseError> {
    let Schema { made, newest } = database::schema(access).await?;
    let (logs, replicas) = (database::logs(access).await?, database::replicas(access).await?);
    let spoken = !replicas.is_empty() && made == Some(newest);
    let is_well = |one: &ReplicaState| one.is_gone() || !(one.is_silent() || one.is_behind());
    let well = spoken && replicas.iter().all(is_well);
    let status = Status::of((made, newest), &replicas, &logs);
    match format {
        Format::Json => say_json(&status),
        Format::Human => print(&status),
    }
    Ok(if well { Exit::Done } else { Exit::Different })
}

fn print(status: &Status) {
    let schema = status.schema.map_or_else(|| "none".to_owned(), |made| made.to_string());
    say(format_args!("schema {schema} of {}", status.schema_newest));
    if status.replicas.is_empty() {
        say("no gateway has said how it is");
    }
    for replica in &status.replicas {
        let ShownReplica { name, state, silent_s, version, .. } = replica;
        let (name, state, version) = (printable(name), printable(state), printable(version));
        say(format_args!(
            "{name}: {state} {silent_s:.0} s ago, version {version}, {} record(s) to come, clock {} ms \
             ahead",
            replica.to_come(),
            replica.clock_ahead_ms
        ));
    }
    for log in &status.logs {
        let shipped = log.shipped.as_deref().unwrap_or("never");
        say(format_args!(
            "log {} of {}: {} record(s), the last at {shipped}",
            printable(&log.origin),
            printable(&log.name),
            log.next_seq.saturating_sub(1)
        ));
    }
}

/// Does something with a database.
pub(super) fn with(
    at: &At,
    work: impl AsyncFnOnce(&Access) -> Result<Exit, DatabaseError>,
) -> Exit {
    let access = match access(at) {
        Ok(access) => access,
        Err(problems) => {
            report("error", &problems);
            return Exit::Invalid;
        }
    };
    match block_on(work(&access)) {
        Ok(Ok(exit)) => exit,
        Ok(Err(error)) => failed(&access, error),
        Err(exit) => exit,
    }
}

/// Waits for what a database answers; where that cannot be done, it was printed why.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Exit> {
    Ok(runtime().map_err(fail)?.block_on(work))
}

pub(super) fn failed(access: &Access, error: impl Display) -> Exit {
    let error = printable(&error.to_string());
    fail(format_args!("the database at `{}`, asked as `{}`: {error}", access.host(), access.user()))
}

fn access(at: &At) -> Result<Access, Vec<Problem>> {
    Access::load(&read(at)?.files)
}

/// The same, whose signatures count there, and which gateways are told directly; what is wrong was
/// printed.
pub(super) fn desk(at: &At) -> Result<(Access, Trust, Option<DirectFiles>), Exit> {
    told(read(at).and_then(|Desk { files, trust, direct }| {
        let trust = named(at, trust)?;
        Ok((Access::load(&files)?, trust, direct))
    }))
}

/// Whose signatures count, by the file alone; what is wrong was printed.
pub(super) fn trust(at: &At) -> Result<Trust, Exit> {
    told(read(at).and_then(|desk| named(at, desk.trust)))
}

fn named(at: &At, trust: Option<Trust>) -> Result<Trust, Vec<Problem>> {
    let name = at.database.display().to_string();
    let text = "names no `[bundle]`: `name`, `keys` and `signatures_min` as gateways have them";
    trust.ok_or_else(|| vec![Problem::of_file(name, text)])
}

fn told<T>(found: Result<T, Vec<Problem>>) -> Result<T, Exit> {
    found.map_err(|problems| {
        report("error", &problems);
        Exit::Invalid
    })
}

fn read(at: &At) -> Result<Desk, Vec<Problem>> {
    read_desk(&at.database)
}
