//! `grantgate ready`: asks a running gateway, for probes and scripts.

use std::path::PathBuf;

use clap::Args;

use super::admin::ask;
use super::{Exit, default_config, fail, say, settings};

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
