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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_stops_all_gateways_and_two_let_go() {
    let Some(authors) = Authors::new().await else { return };
    let site = &authors.site;
    authors.allow_office(false);
    authors.publish();
    let other = another(site, &authors.server);
    authors.lead(&[site, &other]);
    let seams = [
        Seam::start(site, Behaviour::confirm()).await,
        Seam::start(&other, Behaviour::confirm()).await,
    ];
    let north = site.start(&seams[0], &[]).await;
    let south = other.start(&seams[1], &[]).await;
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

/// A gateway that cannot hear of freezes stops after the time that somebody has set; one that is
/// only away from the database for a moment does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hears_of_no_orders_for_too_long_refuses_grants() {
    let Some(mut authors) = Authors::new().await else { return };
    authors.publish();
    authors.lead(&[&authors.site]);
    let seam = Seam::start(&authors.site, Behaviour::confirm()).await;
    let most = ("GRANTGATE__POLICY__BUNDLE__ISOLATION_MAX_S", "5");
    let gateway = authors.site.start(&seam, &[most]).await;
    until_said(&gateway, "[+] orders").await;
    assert_eq!(status_of(&authors.site, &gateway, LOBBY).await, 200);
    authors.server.kill();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(status_of(&authors.site, &gateway, LOBBY).await, 200, "not yet");
    until_said(&gateway, "[-] orders: grants are refused: nothing was heard of signed orders")
        .await;
    assert_eq!(status_of(&authors.site, &gateway, LOBBY).await, 503);
    assert_eq!(gateway.admin("/readyz").await.0, 503);
    // Starting it anew gives it no more time.
    gateway.stop().await;
    let gateway = authors.site.start(&seam, &[most]).await;
    assert_eq!(status_of(&authors.site, &gateway, LOBBY).await, 503);
    authors.server.run().await;
    until_said(&gateway, "[+] orders").await;
    assert_eq!(status_of(&authors.site, &gateway, LOBBY).await, 200);
    gateway.stop().await;
    let refused = authors.site.records();
    assert!(
        refused.iter().any(|record| record["reason"] == "isolated" && record["decision"] == "deny")
    );
}
