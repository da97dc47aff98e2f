//! What it takes to load the largest policy, in a process that does nothing else.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use grantgate::authn::Callers;
use grantgate::policy::Policy;

use crate::generated::Generated;
use crate::{callers_file, median, source};

/// Makes of this program the process that loads.
pub(crate) const ARGUMENT: &str = "load";
const RULES: u32 = 1_000_000;
const RUNS: usize = 5;

pub(crate) fn run() {
    let directory = tempfile::tempdir().unwrap();
    let generated = Generated::new(RULES, true);
    let write = |name: &str, text: String| std::fs::write(directory.path().join(name), text);
    write("policy.csv", generated.text("")).unwrap();
    write("callers.toml", callers_file(generated.callers())).unwrap();

    let program = std::env::current_exe().unwrap();
    let (mut millis, mut kibibytes) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let output = Command::new(&program).arg(ARGUMENT).arg(directory.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let (time, memory) = text.trim().split_once(' ').unwrap();
        millis.push(time.parse::<u32>().unwrap());
        kibibytes.push(memory.parse::<u32>().unwrap());
    }
    println!("\nLoading 1,000,000 rules (parse, check, index, self-test):\n");
    println!("| | median | aim |");
    println!("|---|---:|---:|");
    println!("| time, s | {:.2} | 5 |", f64::from(median(&mut millis)) / 1e3);
    let memory = f64::from(median(&mut kibibytes)) / 1024.0;
    println!("| peak resident memory of the process, MiB | {memory:.0} | 1024 |");
}

/// Prints the milliseconds that a load took, and this process's peak in KiB.
pub(crate) fn child(directory: &Path) {
    let read = |name: &str| std::fs::read(directory.join(name)).unwrap();
    let callers = Callers::parse("callers.toml", &read("callers.toml")).unwrap();
    let mut source = source("");
    source.rules.bytes = read("policy.csv");
    let started = Instant::now();
    let loaded = Policy::load(&source, &callers, jiff::Timestamp::now()).unwrap();
    let took = started.elapsed().as_millis();
    assert_eq!(loaded.policy.rule_count(), RULES as usize);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("{took} {}", peak.trim().trim_end_matches(" kB"));
}
