//! `grantgate audit tail`: the newest records, and those that come.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::time::Duration;

use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::rows::stored;
use super::search::{Common, printable};
use super::source::Source;
use crate::audit::search::{Tail, TailFilter, Tailed};
use crate::audit::{LogReader, ReadError, for_people};
use crate::catalogue::Catalogue;
use crate::cli::database::with;
use crate::cli::{Exit, Format, fail, note};
use crate::database::{TailedLine, Tails};

/// How often a log that is followed is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Args)]
#[command(after_help = "Example: grantgate audit tail --follow --decision deny \
    /var/lib/grantgate/audit\n\n\
    With filters, decisions that fit are shown, and their outcomes. --follow goes on into new\n\
    segments and ends with Ctrl-C, or when nobody reads any more. Of a database the records of all\n\
    gateways are shown, by time, each with the name of its own.\n\n\
    Exit codes: 0 done, 1 cannot be read, 4 damaged lines were met.")]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    source: Source,
    /// So many of the newest records
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: usize,
    /// Go on with records as they are written
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    common: Common,
    /// `json` prints the records as they are stored
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let catalogue = arguments.common.names();
    let entrance = match arguments.common.entrance(&catalogue) {
        Ok(entrance) => entrance,
        Err(exit) => return exit,
    };
    let filter = TailFilter {
        caller: arguments.common.caller.clone(),
        workspace: arguments.common.workspace.clone(),
        entrance,
        allowed: arguments.common.allowed(),
    };
    let mut printer = Printer {
        terminal: io::stdout().is_terminal(),
        out: BufWriter::new(io::stdout().lock()),
        format: arguments.format,
        catalogue: &catalogue,
        damaged: false,
    };
    if let Some((at, replica)) = arguments.source.mirror() {
        return with(&at, async |access| {
            let open = Tails::open(access, replica.clone(), filter.clone(), arguments.lines);
            let (mut tails, last) = open.await?;
            if tails.is_empty() && !arguments.follow {
                return Ok(arguments.source.nobody());
            }
            let mut printed = printer.all(&last);
            while printed.is_ok() && arguments.follow && !reader_is_gone() {
                printed = printer.all(&tails.more().await?);
            }
            Ok(ended(printed.map_err(ReadError::Output), printer.damaged))
        });
    }
    let read = tail(arguments, filter, &mut printer);
    ended(read, printer.damaged)
}

fn ended(read: Result<(), ReadError>, damaged: bool) -> Exit {
    match read {
        // The reader has seen enough: `audit tail | head`.
        Err(ReadError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => fail(error),
        Ok(()) if damaged => Exit::Damaged,
        Ok(()) => Exit::Done,
    }
}

fn tail(
    arguments: &Arguments,
    filter: TailFilter,
    printer: &mut Printer<'_, impl Write>,
) -> Result<(), ReadError> {
    let (mut tail, last) =
        Tail::open(&LogReader::new(&arguments.source.directory), filter, arguments.lines)?;
    last.into_iter().try_for_each(|tailed| printer.print(&tailed)).map_err(ReadError::Output)?;
    printer.out.flush().map_err(ReadError::Output)?;
    while arguments.follow && !reader_is_gone() {
        let mut printed = Ok(());
        tail.more(&mut |tailed| {
            if printed.is_ok() {
                printed = printer.print(&tailed);
            }
        })?;
        printed.and_then(|()| printer.out.flush()).map_err(ReadError::Output)?;
    }
    Ok(())
}

struct Printer<'c, W: Write> {
    out: W,
    terminal: bool,
    format: Format,
    catalogue: &'c Catalogue,
    damaged: bool,
}

impl<W: Write> Printer<'_, W> {
    /// Records of several logs.
    fn all(&mut self, lines: &[TailedLine]) -> io::Result<()> {
        for TailedLine { replica, line } in lines {
            if self.format == Format::Human {
                write!(self.out, "{}  ", printable(replica))?;
            }
            self.record(line.as_bytes())?;
        }
        self.out.flush()
    }

    fn record(&mut self, line: &[u8]) -> io::Result<()> {
        match self.format {
            Format::Json => stored(&mut self.out, line, self.terminal),
            Format::Human => {
                let name_of = |id| self.catalogue.name_of(id).map(str::to_owned);
                let text = for_people(line, &name_of).unwrap_or_default();
                writeln!(self.out, "{}", printable(&text))
            }
        }
    }

    fn print(&mut self, tailed: &Tailed) -> io::Result<()> {
        match tailed {
            Tailed::Damaged { file, line } => {
                self.damaged = true;
                note(format_args!("damaged: {}:{line}: not a whole record", printable(file)));
                Ok(())
            }
            Tailed::Record(line) => self.record(line),
        }
    }
}

/// Waits until it is time to look again; whether nobody reads the output any more. That a
/// reader has gone shows only in a write, or here.
fn reader_is_gone() -> bool {
    let stdout = io::stdout();
    let mut output = [PollFd::new(&stdout, PollFlags::empty())];
    let wait = Timespec::try_from(LOOK_EVERY).ok();
    // A signal that ends nothing makes the next look come early.
    let _ = poll(&mut output, wait.as_ref());
    output.iter().any(|fd| fd.revents().intersects(PollFlags::ERR | PollFlags::HUP))
}
