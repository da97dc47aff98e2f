//! `grantgate orders`: which there are.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::for_all;
use crate::cli::{Exit, Format, default_config, note, report, say, say_json, settings};
use crate::config::Settings;
use crate::domain::{Order, printable};
use crate::orders::{OrdersFile, Place};
use crate::view::orders::{ListedOrder, in_words};

#[derive(Args)]
#[command(after_help = "Example: grantgate orders --all --format json\n\n\
    Exit codes: 0 listed, 3 invalid configuration or file of orders.")]
pub(in crate::cli) struct ListArguments {
    /// Also those that hold no more
    #[arg(long)]
    all: bool,
    /// How to print the list
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// The gateway's configuration file
    #[arg(long, value_name = "FILE", default_value_os_t = default_config())]
    config: PathBuf,
    /// Those of all gateways, by this database: a TOML file with `url`, `[bundle]`, and as needed
    /// `password_file` and `ca_file`
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    database: Option<PathBuf>,
}

pub(in crate::cli) fn list(arguments: &ListArguments) -> Exit {
    if let Some(file) = &arguments.database {
        return for_all::list(file, (arguments.all, arguments.format));
    }
    let read = settings(&arguments.config).and_then(|settings| read(&settings));
    let file = match read {
        Ok(file) => file,
        Err(exit) => return exit,
    };
    let now = Timestamp::now();
    let wanted = file.orders().iter().filter(|order| arguments.all || order.holds(now));
    let orders: Vec<&Order> = wanted.collect();
    match arguments.format {
        Format::Json => {
            let shown: Vec<_> = orders.iter().map(|order| ListedOrder::of(order, now)).collect();
            say_json(&json!({ "orders": shown }));
        }
        Format::Human => {
            for order in &orders {
                say(format_args!("{}{}", in_words(order), ended(order, now)));
            }
            if orders.is_empty() {
                note("nothing is frozen, and there is no exception");
            }
        }
    }
    Exit::Done
}

fn ended(order: &Order, now: Timestamp) -> String {
    match &order.lifted {
        Some(lifted) => {
            printable(&format!(" [lifted by {} at {:.0}: {}]", lifted.by, lifted.at, lifted.why))
        }
        None if order.is_over(now) => " [over]".to_owned(),
        None => String::new(),
    }
}

/// Where the orders are.
pub(super) fn place(settings: &Settings) -> Place {
    Place {
        file: settings.orders.file.clone(),
        log: settings.audit.directory.clone(),
        exception_max: settings.orders.exception_max,
    }
}

/// The orders, or what is wrong with their file.
pub(super) fn read(settings: &Settings) -> Result<OrdersFile, Exit> {
    place(settings).read().map_err(|problem| {
        report("error", &[problem]);
        Exit::Invalid
    })
}
