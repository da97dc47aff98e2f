//! The command line: one file per command, typed exit codes.
//!
//! Results go to standard output, everything else to standard error (see [`output`]).

mod admin;
mod audit;
mod caller;
mod check;
mod completions;
mod database;
mod demo;
mod desk;
mod entrances;
mod https;
mod init;
mod orders;
mod output;
mod policy;
mod problems;
mod process_limits;
mod progress;
mod ready;
mod sandbox;
mod serve;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::{self, Environment, Settings};
use crate::domain::Problem;
use crate::listener::Stop;
use crate::telemetry::{LogFormat, flush_log};
use output::{fail, note, report, say, say_json};

/// A gateway that decides, records and forwards requests to grant and read entrances to the Seam
/// Connect API.
#[derive(Parser)]
#[command(name = "grantgate", version = LONG_VERSION, propagate_version = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const LONG_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("GRANTGATE_COMMIT"), ")");

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 denied or differences found, \
    3 invalid configuration or policy, 4 audit log damaged, 5 audit log not signed by this key, \
    6 audit log empty, 7 audit log of a newer version, 64 usage.";

#[derive(Subcommand)]
enum Command {
    /// Run the whole gateway on made-up data: the first thing to try
    Demo(demo::Arguments),
    /// Run the gateway
    Serve(serve::Arguments),
    /// Ask a running gateway whether it is ready
    Ready(ready::Arguments),
    /// Validate everything that `serve` would load, without binding a port
    Check(check::Arguments),
    /// Write a commented configuration, a sample policy and a callers file
    Init(init::Arguments),
    /// Make, list, suspend and revoke callers and their tokens
    #[command(subcommand)]
    Caller(caller::Command),
    /// Look at the policy
    #[command(subcommand)]
    Policy(policy::Command),
    /// Stop grants at once: all of them, or those of one caller, zone or entrance
    Freeze(orders::FreezeArguments),
    /// Take a freeze back
    Unfreeze(orders::UnfreezeArguments),
    /// Allow a caller one entrance for some hours, beside the rules
    Allow(orders::AllowArguments),
    /// Take such an exception back before its time
    Withdraw(orders::WithdrawArguments),
    /// Sign an order for all gateways that somebody else made
    Countersign(orders::CountersignArguments),
    /// Give gateways a signed order that is in a file
    Deliver(orders::DeliverArguments),
    /// List freezes and exceptions
    Orders(orders::ListArguments),
    /// Look up and fetch the names of entrances
    #[command(subcommand)]
    Entrances(entrances::Command),
    /// Search, verify and keep the audit log
    #[command(subcommand)]
    Audit(audit::Command),
    /// Set up and look at the database that gateways send their records to
    #[command(subcommand)]
    Database(database::Command),
    /// Run a stand-in for Seam, with known doors and people
    Sandbox(sandbox::Arguments),
    /// Print completions for a shell
    Completions(completions::Arguments),
    /// Print the manual pages, in roff
    Manual,
}

/// How a command ends. The numbers are documented and do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Denied, or differences found.
    Different = 2,
    /// Invalid configuration or policy.
    Invalid = 3,
    /// The audit log is damaged.
    Damaged = 4,
    /// The audit log, or a proof about it, is of others: not signed by the given key.
    Foreign = 5,
    /// The audit log has no records.
    Empty = 6,
    /// A newer version wrote the audit log.
    Newer = 7,
    /// Wrong usage.
    Usage = 64,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Human,
    /// JSON, for programs.
    Json,
}

/// Runs the program with the process's arguments and environment.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(output::parser(&error) as u8),
    };
    let exit = match cli.command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Ready(arguments) => ready::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Caller(command) => caller::run(&command),
        Command::Database(command) => database::run(&command),
        Command::Policy(command) => policy::run(&command),
        Command::Freeze(arguments) => orders::freeze(&arguments),
        Command::Unfreeze(arguments) => orders::unfreeze(&arguments),
        Command::Allow(arguments) => orders::allow(&arguments),
        Command::Withdraw(arguments) => orders::withdraw(&arguments),
        Command::Countersign(arguments) => orders::countersign(&arguments),
        Command::Deliver(arguments) => orders::deliver(&arguments),
        Command::Orders(arguments) => orders::list(&arguments),
        Command::Entrances(command) => entrances::run(&command),
        Command::Audit(command) => audit::run(&command),
        Command::Sandbox(arguments) => sandbox::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Manual => completions::manual(),
    };
    flush_log();
    ExitCode::from(output::exit(exit) as u8)
}

/// Why a configuration cannot be used.
struct Unusable {
    problems: Vec<Problem>,
    /// How log lines were to look, as far as that is known.
    log_format: LogFormat,
}

/// Reads the configuration, or reports every problem in it.
fn settings(file: &Path) -> Result<Settings, Exit> {
    read_settings(file).map_err(|unusable| {
        report("error", &unusable.problems);
        Exit::Invalid
    })
}

/// Reads the configuration.
fn read_settings(file: &Path) -> Result<Settings, Unusable> {
    let (environment, mut problems) = environment();
    let name = file.display().to_string();
    let bytes = std::fs::read(file).map_err(|error| {
        let is_missing = error.kind() == ErrorKind::NotFound;
        let init = if is_missing { "; `grantgate init` writes one" } else { "" };
        Problem::of_file(&*name, format!("cannot be read: {error}{init}"))
    });
    let text = match &bytes {
        Ok(bytes) => Problem::or_text(&name, bytes),
        Err(problem) => Err(problem.clone()),
    };
    let log_format = config::log_format(text.as_deref().ok(), &environment);
    let settings = text.map_err(|problem| vec![problem]);
    match settings.and_then(|text| config::load(file, text, &environment)) {
        Ok(settings) if problems.is_empty() => return Ok(settings),
        Ok(_) => {}
        Err(more) => problems.extend(more),
    }
    Err(Unusable { problems, log_format })
}

/// The environment, and the variables of ours that are not UTF-8.
fn environment() -> (Environment, Vec<Problem>) {
    config::environment_of(std::env::vars_os())
}

/// A runtime for the commands that serve, or ask somebody who does.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// Stops at signals. From this call on none ends the process by itself, so that no
/// signal during the start is lost. SIGTERM leaves, and drains after `delay`; SIGINT
/// drains at once; a second signal ends. Call it in a runtime.
fn stop_at_signals(delay: Duration) -> Stop {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let stop = Stop::default();
    let told = stop.clone();
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate)) = signals else { return };
        tokio::select! {
            _ = interrupt.recv() => told.drain(),
            _ = terminate.recv() => told.leave(),
        }
        let second = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        let mut second = std::pin::pin!(second);
        tokio::select! {
            () = &mut second => return told.end(),
            () = tokio::time::sleep(delay) => told.drain(),
        }
        second.await;
        told.end();
    });
    stop
}

/// The default configuration file.
fn default_config() -> PathBuf {
    PathBuf::from("grantgate.toml")
}
