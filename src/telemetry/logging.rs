//! Log lines on standard error.

mod request;
mod stream;

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use prometheus::IntCounter;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use request::RequestLine;
use stream::Stream;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// What lines of requests are collected in; none until logging is started, and none on a
/// terminal, which shows colours.
static COLLECTED: OnceLock<(LogFormat, Arc<Stream>)> = OnceLock::new();

static LOST: OnceLock<IntCounter> = OnceLock::new();

/// Starts logging for the whole process; a second call does nothing.
pub fn start_logging(format: LogFormat, level: Level) {
    let colour = io::IsTerminal::is_terminal(&io::stderr());
    let stream = Arc::new(Stream::new(io::stderr()));
    let started = subscriber(format, colour, level, Lines(stream.clone())).try_init().is_ok();
    if !started || colour {
        return;
    }
    let thread = std::thread::Builder::new().name("log".into()).spawn({
        let stream = stream.clone();
        move || loop {
            stream.tick();
        }
    });
    // Without the thread each line is written where it is logged.
    if thread.is_ok() && COLLECTED.set((format, stream.clone())).is_ok() {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            stream.try_flush();
            before(panic);
        }));
    }
}

/// Writes what is collected: to be called before the process ends.
pub fn flush_log() {
    if let Some((_, stream)) = COLLECTED.get() {
        stream.flush();
    }
}

/// Logs the line of a request: at the level `info` it is collected, and written a moment later.
pub fn log_request(line: &RequestLine<'_>) {
    match COLLECTED.get() {
        Some((format, stream)) if tracing::enabled!(target: request::TARGET, Level::INFO) => {
            stream.collect(|out| line.write(*format, Timestamp::now(), out));
        }
        Some(_) => {}
        None => line.info(),
    }
}

/// Lines that were not written, because nobody took them.
pub(super) fn lost_lines() -> prometheus::Result<IntCounter> {
    if let Some(lost) = LOST.get() {
        return Ok(lost.clone());
    }
    let made = IntCounter::new("log_lost_lines_total", "Log lines that could not be written.")?;
    Ok(LOST.get_or_init(|| made).clone())
}

fn subscriber<W>(
    format: LogFormat,
    colour: bool,
    level: Level,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_max_level(level)
        .with_span_events(FmtSpan::NONE);
    // The database's client tells the values of every statement, and a token is among them.
    let quiet = filter_fn(|line| !line.target().starts_with("tokio_postgres"));
    match format {
        LogFormat::Human => {
            Box::new(builder.with_ansi(colour).with_target(false).finish().with(quiet))
        }
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish().with(quiet)),
    }
}

/// Writes each line at once, after those that are collected.
struct Lines(Arc<Stream>);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}

/// What one line is written to, in one piece.
struct Line<'a>(&'a Stream);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
