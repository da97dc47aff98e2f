//! `grantgate completions` and `grantgate manual`: what packages ship beside the binary.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::output::print;
use super::{Cli, Exit, fail};

#[derive(Args)]
#[command(after_help = "Example: grantgate completions bash > \
    /usr/share/bash-completion/completions/grantgate")]
pub(super) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "grantgate", &mut text);
    print(&text);
    Exit::Done
}

/// A manual page for each command, one after the other.
pub(super) fn manual() -> Exit {
    let mut command = Cli::command();
    command.build();
    let mut text = Vec::new();
    if let Err(error) = pages(&command, &mut text) {
        return fail(error);
    }
    print(&text);
    Exit::Done
}

fn pages(command: &clap::Command, out: &mut Vec<u8>) -> std::io::Result<()> {
    clap_mangen::Man::new(command.clone()).render(out)?;
    let mut inner = command.get_subcommands().filter(|inner| inner.get_name() != "help");
    inner.try_for_each(|inner| pages(inner, out))
}
