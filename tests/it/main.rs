//! Integration tests: real gateways, real TLS sockets, real processes, a real disk.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    unreachable_pub,
    reason = "a test fails by panicking, tells one story, and this crate has no outside"
)]

#[macro_use]
mod support;

mod acts;
mod admin;
mod audit_first;
mod budgets;
mod callers;
mod canary;
mod candidate;
mod certificates;
mod cli;
mod console;
mod database;
mod demo;
mod disk;
mod docs;
mod duplicates;
mod entrances;
mod export;
mod export_trust;
mod failures;
mod files;
mod frames;
mod hang_up;
mod heads;
mod idempotency;
mod issuers;
mod killed;
mod layers;
mod life;
mod limits;
mod orders;
mod policy_files;
mod reads;
mod recovery;
mod refusals;
mod refused_certificates;
mod reload;
mod resolved;
mod review;
mod schemes;
mod seam;
mod search;
mod settings;
mod sources;
mod spiffe_bundles;
mod start;
mod takeover;
mod tls;
mod tls_files;
mod traces;
mod trust_domains;
mod upstream;
mod verify;
mod whoami;
mod workspace_files;
mod workspace_key;
mod workspaces;
mod write_ahead;
