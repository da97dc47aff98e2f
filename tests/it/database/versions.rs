//! A gateway of today beside a database of every schema that there was: records go on, what is missing is
//! told, and an upgrade needs no restart.

use super::authors::{Authors, status_of};
use super::*;
use crate::support::process::{self, Process, signal};

/// The migrations, each with its number, as they are made.
fn migrations() -> Vec<(u32, String)> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/database/migrations");
    let files = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    let number = |path: &std::path::Path| -> u32 {
        let name = path.file_name().unwrap().to_str().unwrap();
        name[1..].split("__").next().unwrap().parse().unwrap()
    };
    let mut all: Vec<_> =
        files.map(|path| (number(&path), std::fs::read_to_string(&path).unwrap())).collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_older_schema_takes_records_and_is_upgraded_under_a_running_gateway() {
    let first = Site::new();
    let Some(server) = database(&first).await else { return };
    let all = migrations();
    assert!(
        all.len() >= 6
            && all.iter().map(|(number, _)| *number).eq(1..=u32::try_from(all.len()).unwrap())
    );
    for made in 1..all.len() {
        let admin = server.admin("grantgate").await;
        let anew = "DROP SCHEMA grantgate CASCADE; SET ROLE grantgate_owner; CREATE SCHEMA grantgate; \
                    SET search_path = grantgate; \
                    CREATE TABLE refinery_schema_history (version integer)";
        admin.batch_execute(anew).await.unwrap();
        for (_, text) in &all[..made] {
            admin.batch_execute(text).await.unwrap();
        }
        let site = Site::new();
        connect(&site, "north", (&first, &server));
        let seam = Seam::start(&site, Behaviour::confirm()).await;
        let shared = [
            ("GRANTGATE__LIMITS__SHARED", "on"),
            ("GRANTGATE__LIMITS__BUDGET_WITHOUT_DATABASE", "share"),
            ("GRANTGATE__LIMITS__CALLER_GRANTS_PER_DAY", "1000"),
            ("GRANTGATE__IDEMPOTENCY__SHARED", "on"),
        ];
        let gateway = site.start(&seam, &shared).await;
        grants(&site, &gateway, 5).await;
        until_all_is_there(&site, &gateway).await;
        for (_, text) in &all[made..] {
            admin.batch_execute(text).await.unwrap();
        }
        grants(&site, &gateway, 5).await;
        until_all_is_there(&site, &gateway).await;
        // What it could not ask for before.
        let taken = "SELECT count(*) FROM grantgate.budget_day";
        for round in 0.. {
            let count: i64 = admin.query_one(taken, &[]).await.unwrap().get(0);
            if count == 1 {
                break;
            }
            assert!(round < 100, "schema {made}: no part of a budget was ever taken");
            grants(&site, &gateway, 1).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        until_all_is_there(&site, &gateway).await;
        gateway.stop().await;
        let (key, reader) = (site.path("audit/signing.pub"), first.path("reader.toml"));
        let (key, reader) = (key.to_str().unwrap(), reader.to_str().unwrap());
        let (code, out, error) = run(&["audit", "verify", "--key", key, "--database", reader]);
        assert_eq!(code, 0, "schema {made}: {out}{error}");
    }
}

/// The program of an older version, named by `GRANTGATE_OLD_BINARY`, beside this one: both send their
/// records, both count one budget, and each follows what the other one's people sign. Without that
/// variable there is none to try, and what it would ask for is in `trust.rs`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_program_goes_on_beside_this_one() {
    let Some(old) = std::env::var_os("GRANTGATE_OLD_BINARY") else { return };
    let Some(authors) = Authors::new().await else { return };
    authors.publish();
    let site = &authors.site;
    let other = another(site, &authors.server);
    authors.lead(&[site, &other]);
    let seams = [
        Seam::start(site, Behaviour::confirm()).await,
        Seam::start(&other, Behaviour::confirm()).await,
    ];
    let shared = [
        ("GRANTGATE__LIMITS__SHARED", "on"),
        ("GRANTGATE__LIMITS__CALLER_GRANTS_PER_DAY", "30"),
        ("GRANTGATE__IDEMPOTENCY__SHARED", "on"),
    ];
    let new = site.start(&seams[0], &shared).await;
    let command = process::serve_by(&old, &other, &seams[1], &shared);
    let older = Process::start(command);
    for _ in 0..1_000 {
        if status(site).1["replicas"].as_array().unwrap().len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // One budget of 30, of whichever ask.
    let mut granted = [0, 0];
    for _ in 0..40 {
        granted[0] += usize::from(status_of(site, &new, LOBBY).await == 200);
        let body = fresh_grant(LOBBY);
        let asked = other.client().post(older.url()).bearer_auth(&site.token);
        let asked = asked.header("content-type", "application/json").body(body).send().await;
        granted[1] += usize::from(asked.unwrap().status() == 200);
    }
    assert!(granted[0] + granted[1] <= 30 && granted.iter().all(|one| *one > 5), "{granted:?}");
    authors.allow_office(true);
    let id = authors.signed();
    let (code, _, error) = authors.run("promote", &[&id, "--wait", "20s"]);
    assert_eq!(code, 0, "{error}");
    let alice = authors.path("alice.key");
    let (code, out, error) = authors.order(&["freeze", "--reason", "x", "--key", &alice]);
    assert!(code == 0 && error.contains("2 gateway(s) follow it"), "{out}{error}");
    new.stop().await;
    signal(older.id(), "TERM");
    assert_eq!(tokio::task::spawn_blocking(|| older.wait()).await.unwrap(), Some(0));
    let keys = [site, &other].map(|one| one.path("audit/signing.pub").display().to_string());
    let reader = authors.path("reader.toml");
    let verify = ["audit", "verify", "--database", &reader, "--key", &keys[0], "--key", &keys[1]];
    let (code, out, error) = run(&verify);
    assert_eq!((code, out.matches("verified: ").count()), (0, 2), "{out}{error}");
}
