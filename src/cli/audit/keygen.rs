//! `grantgate audit keygen` and `audit pseudonym`.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::audit::PseudonymKey;
use crate::cli::{Exit, fail, note, say};
use crate::files::{create_new, read_secret};
use crate::note::SigningKey;

#[derive(Args)]
#[command(
    after_help = "Example: grantgate audit keygen example.org/doors --out secrets/audit_signing_key\n\n\
    The private key (mode 0600) belongs to the gateway: `audit.signing_key_file`. The public key, \
    which is printed and written beside it with `.pub`, belongs to whoever verifies; give it to \
    them before the first record.\n\nExit codes: 0 done, 1 failed."
)]
pub(in crate::cli) struct Arguments {
    /// What the log is called: a host name and path of yours, without spaces and `+`
    #[arg(value_name = "NAME")]
    name: String,
    /// The file to write the private key to; it must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let (key, private) = match SigningKey::generate(&arguments.name) {
        Ok(made) => made,
        Err(error) => return fail(format_args!("`{}`: {error}", arguments.name)),
    };
    let public = key.verifier().to_string();
    let mut public_file = arguments.out.clone().into_os_string();
    public_file.push(".pub");
    let (private_file, public_file) = (arguments.out.as_path(), Path::new(&public_file));
    let write = |path: &Path, text: &str, mode| {
        create_new(path, format!("{text}\n").as_bytes(), mode)
            .map_err(|error| fail(format_args!("`{}` cannot be written: {error}", path.display())))
    };
    let written = write(private_file, &private, 0o600).and_then(|()| {
        write(public_file, &public, 0o644).inspect_err(|_| {
            // Half a pair is of no use, and would be in the way of the next try.
            let _ = std::fs::remove_file(private_file);
        })
    });
    if let Err(exit) = written {
        return exit;
    }
    say(public);
    note(format_args!("private key in `{}`", arguments.out.display()));
    Exit::Done
}

#[derive(Args)]
#[command(after_help = "Example: grantgate audit pseudonym c6247b75-f1cb-493a-9915-a85a0b9639ae \
    --key secrets/audit_pseudonym_key\n\nExit codes: 0 done, 1 failed.")]
pub(in crate::cli) struct PseudonymArguments {
    /// An acs user's or a user identity's id
    #[arg(value_name = "ID")]
    id: String,
    /// The file that `audit.pseudonym_key_file` names
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

pub(super) fn pseudonym(arguments: &PseudonymArguments) -> Exit {
    let id = arguments.id.to_ascii_lowercase();
    if crate::domain::AcsUserId::parse(&id).is_err() {
        return fail(format_args!("`{}` is not a uuid", arguments.id));
    }
    let bytes = match read_secret(&arguments.key) {
        Ok(bytes) => bytes,
        Err(problem) => return fail(problem),
    };
    match PseudonymKey::new(std::str::from_utf8(&bytes).unwrap_or_default()) {
        Ok(key) => {
            say(key.pseudonym(&id));
            Exit::Done
        }
        Err(error) => fail(format_args!("`{}`: {error}", arguments.key.display())),
    }
}
