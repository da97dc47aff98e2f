//! Gateways with a real PostgreSQL, which fails and lies.

mod authors;
mod bundles;
mod chaos;
mod clocks;
mod console;
mod demo;
mod direct;
mod full;
mod keys;
mod lies;
mod limits;
mod orders;
mod retention;
mod roster;
mod search;
mod shipping;
mod trust;
mod versions;
mod witness;

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::seam::{Behaviour, Seam};
use crate::support::postgres::Postgres;
use crate::support::{Gateway, LOBBY, Site, fresh_grant, grantgate, of_event, post};

/// The schema is there, and the site is to send its records.
async fn database(site: &Site) -> Option<Postgres> {
    let server = Postgres::start(site).await?;
    let owner = site.path("owner.toml");
    let migrate = ["database", "migrate", "--database", owner.to_str().unwrap()];
    let made = grantgate(&migrate);
    assert!(made.starts_with("made: V1"), "{made}");
    assert_eq!(grantgate(&migrate), "the schema is what this version needs\n");
    connect(site, "north", (site, &server));
    Some(server)
}

/// A gateway of this name sends its records, with the files of the site that has the server.
fn connect(site: &Site, name: &str, (of, server): (&Site, &Postgres)) {
    let config = site.path("grantgate.toml");
    let known = std::fs::read_to_string(&config).unwrap();
    let known = known.replace("signing_key_file", "# signing_key_file");
    let named = known.replace("[replica]\n", &format!("[replica]\nname = \"{name}\"\n"));
    let more = format!(
        "[database]\nurl = \"{}\"\npassword_file = {:?}\nca_file = {:?}\n",
        server.url("gateway"),
        of.path("secrets/database"),
        of.path("certs/servers-ca.pem")
    );
    std::fs::write(config, named.replace("[database]\n", &more)).unwrap();
}

/// A second gateway like the first, with the same database.
fn another(first: &Site, server: &Postgres) -> Site {
    let other = Site::new();
    connect(&other, "south", (first, server));
    other
}

/// The lines of the log, as they are stored.
fn lines(site: &Site) -> Vec<String> {
    let log = site.path("audit");
    let text = grantgate(&["audit", "show", "--format", "json", log.to_str().unwrap()]);
    text.lines().map(str::to_owned).collect()
}

/// And as the database has them.
async fn mirrored(server: &Postgres) -> Vec<String> {
    let client = server.admin("grantgate").await;
    let rows = client.query("SELECT line FROM grantgate.audit_record ORDER BY seq", &[]).await;
    rows.unwrap().iter().map(|row| row.get(0)).collect()
}

async fn grants(site: &Site, gateway: &Gateway, count: usize) {
    let client = site.client();
    for _ in 0..count {
        let answer = post(&client, gateway, &site.token, fresh_grant(LOBBY)).await;
        assert_eq!(answer.status(), 200);
    }
}

/// Until the database has every record that is in the log by now.
async fn until_all_is_there(site: &Site, gateway: &Gateway) {
    let last = lines(site).len() as u64;
    for _ in 0..2_000 {
        let status: Value = serde_json::from_str(&gateway.admin("/status").await.1).unwrap();
        let database = &status["database"];
        if database["next_seq"].as_u64() > Some(last) && database["failure"].is_null() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("records still wait: {}", gateway.admin("/readyz?verbose").await.1);
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_grantgate")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn status(site: &Site) -> (i32, Value) {
    let file = site.path("reader.toml");
    let (code, out, error) =
        run(&["database", "status", "--format", "json", "--database", file.to_str().unwrap()]);
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{error}")))
}

async fn until_beating(site: &Site) -> (i32, Value) {
    for _ in 0..100 {
        let (code, state) = status(site);
        let replica = &state["replicas"][0];
        if replica["confirmed_seq"] == replica["durable_seq"] && replica["state"] == "ready" {
            return (code, state);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never heard of: {}", status(site).1);
}

async fn until_said(gateway: &Gateway, said: &str) {
    for _ in 0..3_000 {
        if gateway.admin("/readyz?verbose").await.1.contains(said) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never said: {said}\n{}", gateway.admin("/readyz?verbose").await.1);
}
