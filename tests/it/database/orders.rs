//! Orders for all gateways: one signature stops, and it takes two to let go.

use super::authors::{Authors, OFFICE, status_of};
use super::*;
use crate::support::until;

/// What stands behind `id ` in the text that was printed.
fn id_of(printed: &str) -> String {
    let line = printed.lines().find_map(|line| line.strip_prefix("id "));
    line.unwrap_or_else(|| panic!("{printed}")).to_owned()
}

/// What is to be countersigned.
fn next_of(printed: &str) -> String {
    let command = printed.split("countersign ").nth(1).unwrap_or_else(|| panic!("{printed}"));
    command.split('`').next().unwrap().to_owned()
}

/// A second gateway like the site's own.
fn another(authors: &Authors) -> (Site, [(&'static str, String); 4]) {
    let other = Site::new();
    let config = other.path("grantgate.toml");
    let known = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, known.replace("signing_key_file", "# signing_key_file")).unwrap();
    let settings = [
        ("GRANTGATE__REPLICA__NAME", "south".to_owned()),
        ("GRANTGATE__DATABASE__URL", authors.server.url("gateway")),
        ("GRANTGATE__DATABASE__PASSWORD_FILE", authors.path("secrets/database")),
        ("GRANTGATE__DATABASE__CA_FILE", authors.path("certs/servers-ca.pem")),
    ];
    (other, settings)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_stops_all_gateways_and_two_let_go() {
    let Some(authors) = Authors::new().await else { return };
    let site = &authors.site;
    authors.allow_office(false);
    authors.publish();
    let (other, settings) = another(&authors);
    for one in [site, &other] {
        authors.follow(one);
        authors.seed(one);
    }
    let seams = [
        Seam::start(site, Behaviour::confirm()).await,
        Seam::start(&other, Behaviour::confirm()).await,
    ];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let north = site.start(&seams[0], &[]).await;
    let south = other.start(&seams[1], &settings).await;
    for _ in 0..500 {
        if status(site).1["replicas"].as_array().unwrap().len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(status_of(site, &north, LOBBY).await, 200);
    let [alice, bob] = ["alice.key", "bob.key"].map(|name| authors.path(name));
    let freeze =
        ["freeze", "--caller", "visitor-desk", "--reason", "token stolen", "--key", &alice];
    let (code, out, error) = authors.order(&freeze);
    assert_eq!(code, 0, "{out}{error}");
    assert!(error.contains("2 gateway(s) follow it"), "{error}");
    let frozen = id_of(&out);
    // It is in force when the command says so; the tokens of both sites are their own.
    assert_eq!(status_of(site, &north, LOBBY).await, 403);
    let shown = south.admin("/readyz?verbose").await.1;
    assert!(shown.contains(&format!("(of all gateways: {frozen})")), "{shown}");

    // Recorded, and kept without the database.
    until("it is recorded", || {
        site.records().iter().any(|record| record["directive"] == frozen.as_str())
    })
    .await;
    north.stop().await;
    let north = site.start(&seams[0], &[]).await;
    assert_eq!(status_of(site, &north, LOBBY).await, 403);

    // Letting go: alone it is a proposal.
    let lift = ["unfreeze", &frozen[..8], "--reason", "it was replaced", "--key", &alice];
    let (code, _, error) = authors.order(&lift);
    assert!(code == 2 && error.contains("signed by alice (1 of 2): it is not in force"), "{error}");
    let lifting = next_of(&error);
    assert_eq!(status_of(site, &north, LOBBY).await, 403);
    let (code, _, error) = authors.order(&["countersign", &lifting, "--key", &alice]);
    assert!(code == 1 && error.contains("has signed it already"), "{error}");
    let (code, _, error) = authors.order(&["countersign", &lifting[..32], "--key", &bob]);
    assert!(code == 1 && error.contains("with the digits of its text"), "{error}");
    let other = format!("{}@{}", &lifting[..32], "0".repeat(32));
    assert_eq!(authors.order(&["countersign", &other, "--key", &bob]).0, 1);
    let (code, out, error) = authors.order(&["countersign", &lifting, "--key", &bob]);
    assert!(code == 0 && out.contains(&format!("lift {frozen}")), "{code} {out}{error}");
    assert!(
        out.contains("which takes back:") && out.contains("freeze caller visitor-desk"),
        "{out}"
    );
    until_ready(&north).await;
    assert_eq!(status_of(site, &north, LOBBY).await, 200);
    let (code, _, error) = authors.order(&lift);
    assert!(code == 1 && error.contains("was taken back by `alice` before"), "{error}");

    // An exception as well.
    assert_eq!(status_of(site, &north, OFFICE).await, 403);
    let allow = ["allow", "visitor-desk", OFFICE, "--for", "2h", "--reason", "fire", "--key", &bob];
    let (code, _, error) = authors.order(&allow);
    assert_eq!(code, 2);
    assert_eq!(status_of(site, &north, OFFICE).await, 403);
    let (code, out, error) = authors.order(&["countersign", &next_of(&error), "--key", &alice]);
    assert_eq!(code, 0, "{out}{error}");
    for _ in 0..500 {
        if status_of(site, &north, OFFICE).await == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(status_of(site, &north, OFFICE).await, 200);
    let (code, out, _) = authors.order(&["orders", "--all"]);
    assert!(code == 0 && out.contains("[taken back by alice: it was replaced]"), "{out}");
    assert!(out.contains("[in force]"), "{out}");
    // A start looks at all of them again, and does nothing twice.
    north.stop().await;
    let before = std::fs::read_to_string(site.path("orders.json")).unwrap();
    let north = site.start(&seams[0], &[]).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(std::fs::read_to_string(site.path("orders.json")).unwrap(), before);
    north.stop().await;
    south.stop().await;
}

async fn until_ready(gateway: &Gateway) {
    for _ in 0..500 {
        if gateway.admin("/readyz?verbose").await.1.contains("[+] orders: none") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{}", gateway.admin("/readyz?verbose").await.1);
}

/// Whoever has the database can keep an order away, and neither make one nor take one back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_lies_gives_no_order() {
    let Some(authors) = Authors::new().await else { return };
    let site = &authors.site;
    authors.allow_office(false);
    authors.publish();
    authors.follow(site);
    authors.seed(site);
    let seam = Seam::start(site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let admin = authors.server.admin("grantgate").await;
    let forge = async |note: &str| {
        let put = "INSERT INTO grantgate.directive (place, digest, note) SELECT coalesce(max(place), 0) + 1, \
                   sha256(convert_to($1, 'UTF8')), $1 FROM grantgate.directive";
        admin.execute(put, &[&note]).await.unwrap();
    };
    let unsigned = format!(
        "grantgate order 1\nexample.org/doors\nid {}\nmade 2026-11-28T09:00:00Z by alice\nallow \
         visitor-desk {OFFICE}\nuntil 2099-01-01T00:00:00Z\nwhy nothing\n",
        "0".repeat(32)
    );
    forge(&format!("{unsigned}\n\u{2014} alice AAAAAAAA\n")).await;
    until_said(&gateway, "the signed order at 1: ").await;
    // What one has signed, and takes two.
    let alice = authors.path("alice.key");
    let allow =
        ["allow", "visitor-desk", OFFICE, "--for", "2h", "--reason", "fire", "--key", &alice];
    assert_eq!(authors.order(&allow).0, 2);
    let row = "SELECT p.text, a.line FROM grantgate.directive_proposal p JOIN grantgate.directive_approval a \
               USING (digest)";
    let row = admin.query_one(row, &[]).await.unwrap();
    let (text, line): (String, String) = (row.get(0), row.get(1));
    forge(&format!("{text}\n{line}")).await;
    until_said(&gateway, "the signed order at 2: it is signed by 1 of the keys").await;
    assert_eq!(status_of(site, &gateway, OFFICE).await, 403);
    // One that is not good keeps none back.
    let freeze = ["freeze", "--reason", "all of it", "--key", &alice];
    let (code, out, error) = authors.order(&freeze);
    assert_eq!(code, 0, "{out}{error}");
    assert_eq!(status_of(site, &gateway, LOBBY).await, 403);
    // It is taken away, and another freeze takes its place: both hold.
    let away = "DELETE FROM grantgate.directive WHERE place > 2";
    admin.batch_execute(away).await.unwrap();
    let other = ["freeze", "--caller", "facilities", "--reason", "one more", "--key", &alice];
    let (code, out, error) = authors.order(&other);
    assert_eq!(code, 0, "{out}{error}");
    let text = gateway.admin("/readyz?verbose").await.1;
    assert!(text.contains("all of it") && text.contains("one more"), "{text}");
    // One that is missing keeps those behind it from nobody.
    admin
        .batch_execute("UPDATE grantgate.directive SET place = place + 5 WHERE place > 2")
        .await
        .unwrap();
    let (code, _, error) = authors.order(&[
        "freeze",
        "--caller",
        "cleaning-rota",
        "--reason",
        "behind",
        "--key",
        &alice,
        "--wait",
        "3s",
    ]);
    assert_eq!(code, 0, "{error}");
    let text = gateway.admin("/readyz?verbose").await.1;
    assert!(
        text.contains("behind") && text.contains("the database has no signed order at 4"),
        "{text}"
    );
    // The file cannot be written: it holds all the same, and comes into it.
    let orders = site.path("orders.json");
    let kept = std::fs::read(&orders).unwrap();
    std::fs::write(&orders, "damaged").unwrap();
    let (code, _, _) = authors.order(&[
        "freeze",
        "--zone",
        "lobby",
        "--reason",
        "on a bad day",
        "--key",
        &alice,
        "--wait",
        "3s",
    ]);
    assert_eq!(code, 2);
    until_said(&gateway, "on a bad day").await;
    std::fs::write(&orders, kept).unwrap();
    until("it is in the file", || {
        std::fs::read_to_string(&orders).unwrap().contains("on a bad day")
    })
    .await;
    gateway.stop().await;
}
