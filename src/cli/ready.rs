//! `grantgate ready`: asks a running gateway, for probes and scripts.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Exit, default_config, fail, say, settings};

/// Longer than a gateway that is well ever takes.
const PATIENCE: Duration = Duration::from_secs(2);

/// More than an answer has, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

#[derive(Args)]
#[command(after_help = "Example: grantgate ready --config /etc/grantgate/grantgate.toml\n\n\
    Exit codes: 0 ready, 1 not ready or no answer within 2 s, 3 invalid configuration.")]
pub(super) struct Arguments {
    /// The gateway's configuration file, for `admin.address`
    #[arg(long, value_name = "FILE", default_value_os_t = default_config())]
    config: PathBuf,
    /// Ask only whether the process answers
    #[arg(long)]
    live: bool,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let address = match settings(&arguments.config) {
        Ok(settings) => settings.admin.address,
        Err(exit) => return exit,
    };
    let path = if arguments.live { "/livez" } else { "/readyz?verbose" };
    match ask(address, path) {
        Ok((well, text)) => {
            say(text.trim_end());
            if well { Exit::Done } else { Exit::Failed }
        }
        Err(error) => fail(format_args!("no gateway answers at {address}{path}: {error}")),
    }
}

/// Whether the answer is 200, and its body.
fn ask(address: SocketAddr, path: &str) -> io::Result<(bool, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok((head.starts_with("HTTP/1.1 200 "), body.to_owned()))
}
