//! `grantgate policy pull` and `restore`: a bundle as a directory, from the database and back.

use std::path::PathBuf;

use clap::Args;

use crate::cli::database::At;
use crate::cli::desk::{failed, with};
use crate::cli::{Exit, note, say};
use crate::snapshot::{read_bundle, write_bundle};

#[derive(Args)]
#[command(after_help = "Example: grantgate policy pull --out seed --database reader.toml\n\n\
    The directory holds the files and `bundle`, the signed text. `policy.bundle.seed_directory` of a \
    gateway takes it, and `grantgate policy diff` compares the files.\n\n\
    Exit codes: 0 written, 1 failed, 3 invalid file.")]
pub(in crate::cli) struct PullArguments {
    /// The number of the bundle [default: the newest that is for all gateways]
    #[arg(value_name = "NUMBER")]
    number: Option<u64>,
    /// The directory to write, which must not exist
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    at: At,
}

#[derive(Args)]
#[command(
    after_help = "Example: grantgate policy restore bundles/43 --database publisher.toml\n\n\
    For a database that was put back from before, or failed over to a copy that was behind: gateways \
    keep the newer bundle and say so. The directory is one of theirs, or written by `pull`. Name the \
    gateways of one that was for some only.\n\n\
    Exit codes: 0 restored, 1 failed, 3 invalid file."
)]
pub(in crate::cli) struct RestoreArguments {
    /// The directory of the bundle
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Only to gateways of these names
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    replicas: Vec<String>,
    #[command(flatten)]
    at: At,
}

pub(in crate::cli::policy) fn pull(arguments: &PullArguments) -> Exit {
    with(&arguments.at, async |open| {
        let out = &arguments.out;
        if out.symlink_metadata().is_ok() {
            return Err(failed(format_args!("`{}` exists already", out.display())));
        }
        let signed = match arguments.number {
            Some(number) => match open.desk.bundle(number).await? {
                Some(found) => open.accepted(found)?.0,
                None => return Err(failed(format_args!("there is no bundle {number}"))),
            },
            None => match open.heads().await?.newest_for_all() {
                Some(signed) => signed.clone(),
                None => return Err(failed("no bundle was given to all gateways yet")),
            },
        };
        let contents = open.contents(&signed).await?;
        write_bundle(out, &signed, &contents).map_err(failed)?;
        say(signed.id());
        Ok(Exit::Done)
    })
}

pub(in crate::cli::policy) fn restore(arguments: &RestoreArguments) -> Exit {
    with(&arguments.at, async |open| {
        let (signed, contents) = read_bundle(&arguments.directory, &open.trust).map_err(failed)?;
        for bytes in contents.values() {
            open.desk.put_file(bytes).await?;
        }
        let only_for = Some(arguments.replicas.as_slice()).filter(|names| !names.is_empty());
        open.desk.restore(&signed, only_for).await?;
        say(signed.id());
        note("the database has it again");
        Ok(Exit::Done)
    })
}
