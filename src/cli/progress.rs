//! How far a long command is.

use std::io::{IsTerminal as _, Write as _};

/// Shows on a terminal how far it is, on one line that what follows overwrites.
pub(super) fn progress() -> impl FnMut(u64, u64) {
    let shows = std::io::stderr().is_terminal();
    move |read, all| {
        if shows {
            let percent = read * 100 / all.max(1);
            let line = format!("\r{percent:>3} % of the log\r");
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }
}
