//! `grantgate serve`: the production path.

use std::net::TcpListener;
use std::path::PathBuf;

use std::time::Duration;

use clap::Args;

use super::{
    Exit, default_config, environment, fail, process_limits, read_settings, report, runtime,
    stop_at_signals,
};
use crate::audit::OpenError;
use crate::config::{Environment, Settings};
use crate::domain::Problem;
use crate::fleet::{NoBundle, first_bundle};
use crate::listener::Stop;
use crate::server::{Prepared, Server, StartError, service_manager};
use crate::snapshot::ReloadHandle;
use crate::telemetry::{LogFormat, start_logging};

/// For questions of people who look, which end by themselves.
const LAST_QUESTIONS: Duration = Duration::from_secs(1);

#[derive(Args)]
#[command(after_help = "Example: grantgate serve --config /etc/grantgate/grantgate.toml")]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value_os_t = default_config())]
    config: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let settings = match read_settings(&arguments.config) {
        Ok(settings) => settings,
        Err(unusable) => {
            start_logging(unusable.log_format, tracing::Level::INFO);
            return invalid(unusable.log_format, &unusable.problems);
        }
    };
    let log_format = settings.log_format;
    // Before there are other threads: it changes the environment.
    let inherited = service_manager::inherited_socket();
    start_logging(log_format, settings.log_level);
    let inherited = match inherited {
        Ok(inherited) => inherited,
        Err(error) => {
            return failed(log_format, format_args!("the service manager's socket: {error}"));
        }
    };
    process_limits::no_core_dumps();
    let settings = process_limits::within_descriptors(settings);
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(log_format, error),
    };
    let (exit, traces) = runtime.block_on(async {
        let stop = stop_at_signals(settings.stop_delay);
        let watchdog = service_manager::feed_watchdog();
        let first = tokio::select! {
            first = first_bundle(&settings) => first,
            () = stop.left() => return (Exit::Done, None),
        };
        let prepared = tokio::task::spawn_blocking(move || match first {
            Ok(()) => prepare(settings, &environment().0),
            Err(NoBundle::Invalid(problems)) => Err(invalid(log_format, &problems)),
            Err(NoBundle::NotYet(text)) => Err(failed(log_format, text)),
        });
        let ended = match prepared.await {
            Ok(Ok(prepared)) => {
                let traces = prepared.traces();
                (serve(prepared, inherited, |_| {}, stop).await, Some(traces))
            }
            Ok(Err(exit)) => (exit, None),
            Err(error) => (failed(log_format, error), None),
        };
        if let Some(watchdog) = watchdog {
            watchdog.abort();
        }
        ended
    });
    // Nothing ends a span after this.
    runtime.shutdown_timeout(LAST_QUESTIONS);
    if let Some(traces) = traces {
        traces.shutdown();
    }
    exit
}

/// Loads everything, or says what is wrong with it.
pub(super) fn prepare(settings: Settings, environment: &Environment) -> Result<Prepared, Exit> {
    let log_format = settings.log_format;
    Prepared::load(settings, environment).map_err(|found| invalid(log_format, &found.problems()))
}

/// Starts and serves until it is told to stop. `ready` is called once both ports are bound.
pub(super) async fn serve(
    prepared: Prepared,
    inherited: Option<TcpListener>,
    ready: impl FnOnce(&Server),
    stop: Stop,
) -> Exit {
    let log_format = prepared.settings().log_format;
    prepared.warn();
    let server = match Server::start(prepared, inherited).await {
        Ok(server) => server,
        Err(error) => return start_failed(log_format, &error),
    };
    let address = match (server.address(), server.admin_address()) {
        (Ok(address), Ok(admin)) => {
            let remote = server.remote_admin_address().ok().flatten();
            let remote_admin = remote.map(tracing::field::display);
            tracing::info!(%address, %admin, remote_admin, "serving");
            address
        }
        (Err(error), _) | (_, Err(error)) => return failed(log_format, error),
    };
    let recovery = server.recovery();
    if recovery.needs_attention() {
        tracing::warn!("the audit log was recovered: {recovery}");
    }
    ready(&server);
    let status = format!("serving on {address}");
    // A hang-up before this would end the process.
    let reloading = reload_at_hangup(server.reload_handle(), status.clone());
    service_manager::tell_ready(&status);
    let told = tokio::spawn({
        let stop = stop.clone();
        async move {
            stop.left().await;
            service_manager::tell_stopping();
        }
    });
    server.serve(stop).await;
    reloading.abort();
    told.abort();
    tracing::info!("stopped");
    Exit::Done
}

/// SIGHUP asks for a reload. From the call on it ends the process no more.
fn reload_at_hangup(handle: ReloadHandle, status: String) -> tokio::task::JoinHandle<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let hangups = signal(SignalKind::hangup());
    tokio::spawn(async move {
        let Ok(mut hangups) = hangups else { return };
        while hangups.recv().await.is_some() {
            tracing::info!("reload requested by SIGHUP");
            service_manager::tell_reloading();
            handle.reload().await;
            service_manager::tell_ready(&status);
        }
    })
}

fn start_failed(format: LogFormat, error: &StartError) -> Exit {
    let exit = failed(format, error);
    match error {
        StartError::Audit(
            _,
            OpenError::Damaged { .. } | OpenError::DamagedWal { .. } | OpenError::OtherWal { .. },
        ) => Exit::Damaged,
        StartError::Audit(..)
        | StartError::Bind(..)
        | StartError::Orders(_)
        | StartError::Recent(_)
        | StartError::Identity(_)
        | StartError::Bundle(_)
        | StartError::Workers(_)
        | StartError::Console(_)
        | StartError::Metrics(_) => exit,
    }
}

/// Says why it does not start: to people as other commands do, to programs as a line of the
/// log, which must have been started.
fn failed(format: LogFormat, error: impl std::fmt::Display) -> Exit {
    match format {
        LogFormat::Human => fail(error),
        LogFormat::Json => {
            tracing::error!("{error}");
            Exit::Failed
        }
    }
}

/// The same for mistakes in files.
fn invalid(format: LogFormat, problems: &[Problem]) -> Exit {
    match format {
        LogFormat::Human => report("error", problems),
        LogFormat::Json => problems.iter().for_each(|problem| tracing::error!("{problem}")),
    }
    Exit::Invalid
}
