//! The console over several gateways: who of them needs a look, and the decisions of all.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::authors::{Authors, OFFICE, status_of};
use super::clocks::library;
use super::*;
use crate::support::process::{Process, signal};

/// A page of the console.
async fn page(gateway: &Gateway, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(gateway.admin).await.unwrap();
    let request =
        format!("GET /console/{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// A gateway that looks into the database for its console.
async fn looking(site: &Site, seam: &Seam) -> Gateway {
    let file = site.path("reader.toml");
    let named = ("GRANTGATE__CONSOLE__DATABASE_FILE", file.to_str().unwrap());
    site.start(seam, &[("GRANTGATE__CONSOLE__LOCAL", "on"), named]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_of_all_gateways_are_those_of_the_command_line_and_come_once() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let other = another(&site, &server);
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let north = looking(&site, &seam).await;
    let beyond = Seam::start(&other, Behaviour::confirm()).await;
    let south = other.start(&beyond, &[]).await;
    for _ in 0..3 {
        grants(&site, &north, 2).await;
        grants(&other, &south, 1).await;
    }
    until_all_is_there(&site, &north).await;
    until_all_is_there(&other, &south).await;

    let file = site.path("reader.toml");
    let query = ["audit", "query", "--database", file.to_str().unwrap(), "--format", "csv"];
    let said = grantgate(&query);
    assert_eq!(page(&north, "audit?gateway=all&format=csv").await, said);
    let of_one = grantgate(&[&query[..], &["--replica", "south"]].concat());
    assert_eq!(page(&north, "audit?gateway=south&format=csv").await, of_one);
    let shown = page(&north, "audit?gateway=all").await;
    assert!(shown.contains("<td>south</td>") && shown.contains("<td>north</td>"), "{shown}");

    // Page by page.
    let (mut path, mut seen) = ("audit?gateway=all&limit=2".to_owned(), Vec::new());
    loop {
        let shown = page(&north, &path).await;
        let rows = shown.split("<tr>").filter(|row| row.matches("<td").count() == 9);
        seen.extend(rows.map(|row| row.split("</tr>").next().unwrap().to_owned()));
        assert!(seen.len() < 100, "it never ends");
        let Some((before, _)) = shown.split_once("\" rel=\"next\">older") else { break };
        let (_, link) = before.rsplit_once("href=\"?").unwrap();
        path = format!("audit?{}", link.replace("&amp;", "&"));
    }
    assert_eq!(seen.len(), said.lines().count() - 1, "{seen:?}");
    seen.sort();
    let count = seen.len();
    seen.dedup();
    assert_eq!(seen.len(), count, "a row is there twice");
    north.stop().await;
    south.stop().await;
}

/// A bundle that is proposed: what it changes is what the command line says, and what it takes is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_is_compared_with_what_is_in_force() {
    let Some(authors) = Authors::new().await else { return };
    let site = &authors.site;
    authors.allow_office(false);
    authors.publish();
    authors.lead(&[site]);
    let seam = Seam::start(site, Behaviour::confirm()).await;
    let gateway = looking(site, &seam).await;
    authors.allow_office(true);
    let id = authors.push();
    let shown = page(&gateway, "replicas").await;
    assert!(shown.contains(&format!("/console/diff?proposal=2\">{id}</a>, a test")), "{shown}");
    assert!(shown.contains("signed by alice: 1 of 2"), "{shown}");
    assert!(shown.contains("<td>alice, bob</td>"), "the first one has its signers: {shown}");

    let from = "2026-11-25T00:00:00Z";
    let shown = page(&gateway, "diff?proposal=2").await;
    assert!(shown.contains("More is allowed than before.") && shown.contains("open-plan office"));
    assert!(shown.contains(&format!("grantgate policy approve {id}")), "{shown}");
    let shown = page(&gateway, &format!("diff?proposal=2&from={from}&format=json")).await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let said = authors.done("review", &["2", "--from", from, "--format", "json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(shown, said["compared"][0]["diff"]);
    authors.done("approve", &[&id, "--key", &authors.path("bob.key")]);
    assert!(page(&gateway, "diff?proposal=2").await.contains("grantgate policy promote 2"));
    assert_eq!(status_of(site, &gateway, OFFICE).await, 403, "nothing has changed");
    gateway.stop().await;
}

/// The rows of gateways that need a look.
fn marked(shown: &str) -> Vec<&str> {
    let rows = shown.split("<tr class=\"marked\">").skip(1);
    rows.map(|row| row.split("</tr>").next().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_cut_off_and_a_clock_that_is_wrong_are_marked() {
    let Some(library) = library() else { return };
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let (south, west) = (Site::new(), Site::new());
    connect(&south, "south", (&site, &server));
    connect(&west, "west", (&site, &server));
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let north = looking(&site, &seam).await;
    let beyond = [
        Seam::start(&south, Behaviour::confirm()).await,
        Seam::start(&west, Behaviour::confirm()).await,
    ];
    let cut_off = Process::serve(&south, &beyond[0]);
    let clock = format!(
        "env LD_PRELOAD={library} FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1 FAKETIME=+1h"
    );
    let socket = server.socket_url("gateway");
    let under = [("UNDER", clock.as_str()), ("GRANTGATE__DATABASE__URL", &socket)];
    let ahead = Process::serve_with(&west, &beyond[1], &under);
    let since = Instant::now();
    loop {
        let shown = page(&north, "replicas").await;
        let (found, is_there) = (marked(&shown), shown.contains("3 gateway(s)"));
        if let ([row], true) = (found.as_slice(), is_there) {
            assert!(row.contains("west") && row.contains("its clock is"), "{row}");
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(20), "{shown}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // All three, as the command line has them.
    let shown: Value = serde_json::from_str(&page(&north, "replicas?format=json").await).unwrap();
    let names = |of: &Value| -> Vec<Value> {
        of["replicas"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect()
    };
    assert_eq!(names(&shown), ["north", "south", "west"]);
    assert_eq!(names(&shown), names(&status(&site).1));
    signal(cut_off.id(), "STOP");
    let since = Instant::now();
    loop {
        let shown = page(&north, "replicas").await;
        if let [one, other] = marked(&shown).as_slice() {
            assert!(one.contains("south") && one.contains("silent for"), "{one}");
            assert!(other.contains("west"), "{other}");
            assert!(shown.contains("<strong>2 of them need a look"), "{shown}");
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(6), "{shown}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    signal(cut_off.id(), "CONT");
    cut_off.kill();
    ahead.kill();
    north.stop().await;
}
