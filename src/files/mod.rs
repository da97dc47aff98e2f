//! How files are read and written: one policy for links, modes, devices and pipes.
//!
//! | what | how |
//! |---|---|
//! | input ([`read_plain`], [`read_secret`], [`open_file`]) | a regular file, through any link; never waits for a pipe; a secret only with a safe mode |
//! | configuration ([`lock`], [`replace`], [`copy`]) | by one command at a time, atomically, where the link leads; owner and mode stay |
//! | a file that must not exist yet ([`create_new`]) | made whole and durable, or not at all |
//! | a report ([`write_report`]) | opened and written, whatever it is: a file, a pipe, a device |
//! | a file that grows ([`open_to_append`]) | a regular file, through any link |
//! | a directory of our own ([`install_directory`], [`point`]) | made beside its place, durable, then renamed; a link is moved in one step |
//! | a file of a directory of our own ([`install`]) | written beside its place, durable, then renamed |
//!
//! Nothing outside this module writes files, but the audit log's own appending.

mod directory;
mod durable;
mod read;
mod replace;
mod report;

pub use directory::{install_directory, point, remove};
pub use durable::{
    create_new, install, names_and_length, open_to_append, open_to_overwrite, sync_directory,
};
pub use read::{open_file, read_plain, read_secret};
pub use replace::{LINKS_MAX, Replaced, copy, lock, lock_within, replace};
pub use report::write_report;
