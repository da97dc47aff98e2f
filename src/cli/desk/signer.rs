//! Who signs: a key in a file, or a program that has one.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;

use super::{Ended, failed};
use crate::bundle::Trust;
use crate::files::read_secret;
use crate::note::{self, SigningKey};

/// Who signs.
#[derive(Args)]
pub(in crate::cli) struct SignerArguments {
    #[command(flatten)]
    with: SignWith,
    /// The name of the key with which that program signs
    #[arg(long, value_name = "NAME", requires = "sign_command", conflicts_with = "key")]
    signer: Option<String>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct SignWith {
    /// The file of your private key, as `grantgate audit keygen` writes it
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// A program that signs instead: it gets the text on standard input, and prints one line, the
    /// signature as a signed note has it
    #[arg(long, value_name = "PROGRAM", requires = "signer")]
    sign_command: Option<PathBuf>,
}

/// Signs bundles.
pub(in crate::cli) enum Signer {
    Key(Box<SigningKey>),
    Program { program: PathBuf, name: String },
}

impl Signer {
    pub(in crate::cli) fn new(arguments: &SignerArguments) -> Result<Self, Ended> {
        let SignerArguments { with: SignWith { key, sign_command }, signer } = arguments;
        if let (Some(program), Some(name)) = (sign_command, signer) {
            return Ok(Self::Program { program: program.clone(), name: name.clone() });
        }
        Self::of_key(&key.clone().unwrap_or_default())
    }

    /// With the key in a file.
    pub(in crate::cli) fn of_key(path: &Path) -> Result<Self, Ended> {
        let bytes = read_secret(path).map_err(failed)?;
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        let key = SigningKey::parse(text);
        let key = key.map_err(|error| failed(format_args!("`{}`: {error}", path.display())))?;
        Ok(Self::Key(Box::new(key)))
    }

    /// The name of its key.
    pub(in crate::cli) fn name(&self) -> &str {
        match self {
            Self::Key(key) => key.verifier().name(),
            Self::Program { name, .. } => name,
        }
    }

    /// The line that signs a text, which must be one that counts.
    pub(in crate::cli) fn sign(&self, text: &str, trust: &Trust) -> Result<String, Ended> {
        let line = match self {
            Self::Key(key) => key.signature(text),
            Self::Program { program, .. } => run(program, text)
                .map_err(|error| failed(format_args!("`{}`: {error}", program.display())))?,
        };
        let note = note::join(text, std::slice::from_ref(&line));
        match trust.signers(&note) {
            Ok(signers) if signers.iter().any(|signer| signer == self.name()) => Ok(line),
            Ok(_) => Err(failed(format_args!(
                "the key `{}` is none of those that count: the file of --database names these",
                self.name()
            ))),
            Err(error) => Err(failed(format_args!("the signature is of no use: {error}"))),
        }
    }
}

fn run(program: &PathBuf, text: &str) -> std::io::Result<String> {
    let mut command = Command::new(program);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(std::io::Error::other(format!("it ended with {}", output.status)));
    }
    let line = String::from_utf8_lossy(&output.stdout);
    Ok(format!("{}\n", line.trim_end_matches('\n')))
}
