//! Whoever has the database can keep a bundle or an order away. They can make none.

use super::authors::{Authors, OFFICE, status_of, until_bundle};
use super::*;
use crate::support::until;

/// Whoever has the database can keep a bundle away. They cannot make one, change one, or bring one
/// back; and what they try is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_lies_changes_no_policy() {
    let Some(authors) = Authors::new().await else { return };
    let site = &authors.site;
    authors.allow_office(false);
    authors.publish();
    authors.lead(&[site]);
    let seam = Seam::start(site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    authors.allow_office(true);
    authors.publish();
    until_bundle(&gateway, 2, None).await;
    let admin = authors.server.admin("grantgate").await;
    let sql = async |text: &str| {
        admin.batch_execute(text).await.unwrap();
        admin.batch_execute("NOTIFY grantgate_heads").await.unwrap();
    };
    let note = "SELECT note FROM grantgate.bundle WHERE number = 2";
    let note: String = admin.query_one(note, &[]).await.unwrap().get(0);

    // The newest is hidden, and put back from a gateway's own copy.
    sql("DELETE FROM grantgate.bundle WHERE number = 2").await;
    until_bundle(&gateway, 2, Some("which is older than 2")).await;
    assert!(gateway.admin("/readyz?verbose").await.1.contains("[!] bundle: 2 stays in force"));
    let (code, out, _) = authors.run("status", &[]);
    assert!(code == 2 && out.contains("which the database has lost"), "{out}");
    authors.done("restore", &[&authors.path("bundles/2")]);
    until_bundle(&gateway, 2, None).await;
    // Another one of the same number.
    let digest =
        "UPDATE grantgate.bundle SET digest = decode(repeat('00', 32), 'hex') WHERE number = 2";
    sql(digest).await;
    until_bundle(&gateway, 2, Some("another bundle 2")).await;
    let back = "UPDATE grantgate.bundle SET digest = sha256(convert_to((SELECT text FROM \
                grantgate.proposal WHERE number = 2), 'UTF8')) WHERE number = 2";
    sql(back).await;
    until_bundle(&gateway, 2, None).await;

    // One with a higher number: unsigned, with a signature too few, or another's text.
    let three = note.replace("number 2\n", "number 3\n");
    let forged = async |note: &str| {
        let text = note.rsplit_once("\n\n").unwrap().0.to_owned() + "\n";
        let put = "INSERT INTO grantgate.bundle (number, digest, note) VALUES (3, \
                   sha256(convert_to($1, 'UTF8')), $2)";
        admin.execute(put, &[&text, &note]).await.unwrap();
        admin.batch_execute("NOTIFY grantgate_heads").await.unwrap();
    };
    forged(&three).await;
    until_bundle(&gateway, 2, Some("its signature by the key `alice` is false")).await;
    sql("DELETE FROM grantgate.bundle WHERE number = 3").await;
    until_bundle(&gateway, 2, None).await;
    authors.allow_office(false);
    let half = authors.push();
    let proposed = "SELECT p.text, a.line FROM grantgate.proposal p JOIN grantgate.approval a USING (digest) \
                    WHERE number = 3";
    let row = admin.query_one(proposed, &[]).await.unwrap();
    let (text, line): (String, String) = (row.get(0), row.get(1));
    forged(&format!("{text}\n{line}")).await;
    until_bundle(&gateway, 2, Some("signed by 1 of the keys")).await;
    // Another one in its place.
    let swap = "UPDATE grantgate.bundle SET note = (SELECT note FROM grantgate.bundle WHERE number = 2) \
                WHERE number = 3";
    sql("DELETE FROM grantgate.bundle WHERE number = 3").await;
    until_bundle(&gateway, 2, None).await;
    forged(&format!("{text}\n{line}")).await;
    sql(swap).await;
    until_bundle(&gateway, 2, Some("what comes for it is bundle 2@")).await;
    sql("DELETE FROM grantgate.bundle WHERE number = 3").await;

    // Who looks at a bundle is not shown another one in the place of the one that it changes.
    let newest = "SELECT number, digest, note FROM grantgate.bundle WHERE number = 2";
    admin.batch_execute(&format!("CREATE TABLE hidden AS {newest}")).await.unwrap();
    sql("DELETE FROM grantgate.bundle WHERE number = 2").await;
    for command in [&["review", "3"][..], &["approve", &half, "--key", &authors.path("bob.key")]] {
        let (code, _, error) = authors.run(command[0], &command[1..]);
        assert!(code == 1 && error.contains("was not made from the newest"), "{error}");
    }
    sql("DELETE FROM grantgate.bundle").await;
    until_bundle(&gateway, 2, Some("the database has no bundle, and 2 is in force")).await;
    authors.done("restore", &[&authors.path("bundles/2")]);
    until_bundle(&gateway, 2, None).await;

    // A file with other bytes than were signed: by hand, since the database looks at them, too.
    authors.done("approve", &[&half, "--key", &authors.path("bob.key")]);
    let whole = "CREATE TABLE kept AS SELECT * FROM grantgate.bundle_file; \
                 ALTER TABLE grantgate.bundle_file DROP CONSTRAINT bundle_file_check; \
                 UPDATE grantgate.bundle_file SET content = content || 'p, role:front-desk, *, grant, allow\n' \
                 WHERE position('role:front-desk' IN encode(content, 'escape')) > 0";
    admin.batch_execute(whole).await.unwrap();
    let (code, _, error) = authors.run("promote", &["3", "--wait", "0"]);
    assert!(code == 1 && error.contains("`policy.csv` is not as it was signed"), "{error}");
    let both = format!("{text}\n{line}{}", {
        let lines = "SELECT line FROM grantgate.approval a JOIN grantgate.proposal p USING (digest) WHERE \
                     number = 3 AND line LIKE '%bob%'";
        admin.query_one(lines, &[]).await.unwrap().get::<_, String>(0)
    });
    forged(&both).await;
    until_bundle(&gateway, 2, Some("`policy.csv` is not as it was signed")).await;
    // Other files do not wait for it.
    assert!(gateway.admin("/readyz?verbose").await.1.contains("[+] reload"));
    sql("DELETE FROM grantgate.bundle WHERE number = 3").await;
    let back =
        "DELETE FROM grantgate.bundle_file; INSERT INTO grantgate.bundle_file SELECT * FROM kept";
    admin.batch_execute(back).await.unwrap();

    // A file that is not there.
    let lose = "DELETE FROM grantgate.bundle_file";
    let (code, _, error) = {
        admin.batch_execute(lose).await.unwrap();
        authors.run("promote", &["3", "--wait", "0"])
    };
    assert!(code == 1 && error.contains("does not have"), "{error}");
    admin.batch_execute("INSERT INTO grantgate.bundle_file SELECT * FROM kept").await.unwrap();
    assert_eq!(status_of(site, &gateway, OFFICE).await, 200, "nothing has changed so far");
    authors.done("promote", &["3"]);
    until_bundle(&gateway, 3, None).await;
    assert_eq!(status_of(site, &gateway, OFFICE).await, 403);
    gateway.stop().await;
}

/// Put back from before, and gone on from there: what somebody has looked at there is another change
/// than the one that it makes where the lost bundle is in force.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_of_another_branch_is_not_the_next_one() {
    let Some(authors) = Authors::new().await else { return };
    let site = &authors.site;
    authors.allow_office(true);
    authors.publish();
    authors.lead(&[site]);
    let seam = Seam::start(site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    authors.allow_office(false);
    authors.publish();
    until_bundle(&gateway, 2, None).await;
    let lose = "DELETE FROM grantgate.bundle WHERE number = 2; \
                DELETE FROM grantgate.approval; DELETE FROM grantgate.proposal";
    authors.server.admin("grantgate").await.batch_execute(lose).await.unwrap();
    let rules = site.path("policies/policy.csv");
    let add = |line: &str| {
        let text = std::fs::read_to_string(&rules).unwrap();
        std::fs::write(&rules, format!("{text}{line}\n")).unwrap();
    };
    authors.allow_office(true);
    add("# one");
    authors.publish();
    until_bundle(&gateway, 2, Some("another bundle 2")).await;
    add("# two");
    authors.publish();
    let said = "3 was not made from the one in force";
    until_bundle(&gateway, 2, Some(said)).await;
    // Nor is it when its copy is here.
    authors.done("pull", &["3", "--out", &authors.path("bundles/3")]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    until_bundle(&gateway, 2, Some(said)).await;
    assert_eq!(status_of(site, &gateway, OFFICE).await, 403);
    add("# three");
    authors.publish();
    until_bundle(&gateway, 4, None).await;
    assert_eq!(status_of(site, &gateway, OFFICE).await, 200);
    gateway.stop().await;
}

/// Whoever has the database can keep an order away, and neither make one nor take one back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_lies_gives_no_order() {
    let Some(authors) = Authors::new().await else { return };
    let site = &authors.site;
    authors.allow_office(false);
    authors.publish();
    authors.lead(&[site]);
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
