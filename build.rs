//! Tells the program which commit it was built from, and cargo of files that no code names.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=GRANTGATE_COMMIT");
    // A migration that is new has no line of code that names it.
    println!("cargo:rerun-if-changed=src/database/migrations");
    println!("cargo:rerun-if-changed=.git/HEAD");
    println!("cargo:rerun-if-changed=.git/logs/HEAD");
    // Packages are built without the repository: they give the commit.
    let given = std::env::var("GRANTGATE_COMMIT").ok();
    let commit = given.filter(|text| !text.is_empty()).or_else(from_git);
    println!("cargo:rustc-env=GRANTGATE_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
}

fn from_git() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
