//! Time of a policy decision: with the sample policy, with 100 to 1,000,000 rules, and
//! beside casbin without the index; what it takes to load 1,000,000 rules, and to find callers
//! by doors. Prints Markdown tables.
//!
//! `cargo bench --profile dist --bench decision`; with ` -- matrix`, the last of these only.
//!
//! Rounds of the cases are interleaved, so that a slow moment of the machine falls on
//! all of them; each figure is the median of its rounds. Every decision is compared with
//! the one that was to come.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod generated;
mod load;
mod matrix;
mod plain;
mod sample;
mod sizes;

use std::time::Duration;

use grantgate::authn::{Callers, TokenDigest};
use grantgate::policy::{PolicySource, SourceFile};

const MODEL: &str = include_str!("../../policies/model.conf");

fn main() {
    let mut arguments = std::env::args().skip(1);
    let only = arguments.next();
    if only.as_deref() == Some(load::ARGUMENT) {
        load::child(arguments.next().unwrap().as_ref());
        return;
    }
    if only.as_deref() == Some("matrix") {
        matrix::run();
        return;
    }
    sample::run();
    sizes::run();
    load::run();
    plain::run();
    matrix::run();
}

fn source(rules: &str) -> PolicySource {
    let file = |name: &str, text: &str| SourceFile { name: name.into(), bytes: text.into() };
    PolicySource { model: file("model.conf", MODEL), rules: file("policy.csv", rules) }
}

/// A callers file; each caller's token is its id.
fn callers_file(ids: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let entry = |id: &str| {
        let digest = TokenDigest::of(id);
        format!("[[caller]]\nid = \"{id}\"\ntokens = [{{ name = \"t\", sha256 = \"{digest}\" }}]\n")
    };
    ids.into_iter().map(|id| entry(id.as_ref())).collect()
}

fn callers(ids: impl IntoIterator<Item = impl AsRef<str>>) -> Callers {
    Callers::parse("callers.toml", callers_file(ids).as_bytes()).unwrap()
}

fn median<T: Ord + Copy>(values: &mut [T]) -> T {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
