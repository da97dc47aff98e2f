//! Integration tests: real gateways, real TLS sockets, real processes, a real disk.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test fails by panicking, and this crate has no outside"
)]

mod admin;
mod audit_first;
mod canary;
mod candidate;
mod cli;
mod demo;
mod disk;
mod docs;
mod entrances;
mod export;
mod export_trust;
mod files;
mod frames;
mod hang_up;
mod heads;
mod killed;
mod layers;
mod life;
mod limits;
mod recovery;
mod refusals;
mod reload;
mod review;
mod seam;
mod search;
mod settings;
mod start;
mod support;
mod takeover;
mod tls;
mod traces;
mod upstream;
mod verify;
mod workspace_key;
