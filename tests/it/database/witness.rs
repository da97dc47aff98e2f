//! Gateways write down how each other's logs were.

use super::*;

fn verify(site: &Site, keys: &[&Site], more: &[&str]) -> (i32, String) {
    let reader = site.path("reader.toml");
    let keys: Vec<_> = keys.iter().map(|site| site.path("audit/signing.pub")).collect();
    let mut arguments = vec!["audit", "verify", "--database", reader.to_str().unwrap()];
    arguments.extend(keys.iter().flat_map(|key| ["--key", key.to_str().unwrap()]));
    arguments.extend(more);
    let (code, out, error) = run(&arguments);
    (code, format!("{out}{error}"))
}

/// Whoever has a gateway's disk with its key, and the database, tells another history: the other
/// gateway has seen what it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_is_told_anew_is_found_out_by_the_others() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let other = another(&site, &server);
    let seams = [
        Seam::start(&site, Behaviour::confirm()).await,
        Seam::start(&other, Behaviour::confirm()).await,
    ];
    let more = [
        ("GRANTGATE__DATABASE__WITNESS_INTERVAL_S", "1"),
        ("GRANTGATE__AUDIT__CHECKPOINT_RECORDS_MAX", "5"),
    ];
    let north = site.start(&seams[0], &more).await;
    let south = other.start(&seams[1], &more).await;
    grants(&other, &south, 20).await;
    until_all_is_there(&other, &south).await;
    let key = std::fs::read_to_string(other.path("audit/signing.pub")).unwrap();
    let origin = key.split('+').next().unwrap().to_owned();
    for round in 0.. {
        let records = site.records();
        let seen = of_event(&records, "log.witness");
        let texts = seen.iter().flat_map(|record| record["checkpoints"].as_array().unwrap());
        let sizes = texts.filter_map(|text| {
            let mut lines = text.as_str().unwrap().lines();
            (lines.next() == Some(origin.as_str())).then(|| lines.next().unwrap().parse().unwrap())
        });
        if sizes.max().is_some_and(|size: u64| size > 30) {
            break;
        }
        assert!(round < 100, "it never saw the other: {seen:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    south.stop().await;
    grants(&site, &north, 10).await;
    until_all_is_there(&site, &north).await;
    let shown = grantgate(&["audit", "show", site.path("audit").to_str().unwrap()]);
    assert!(shown.contains(&format!("witness   {origin} (")), "{shown}");
    let (code, said) = verify(&site, &[&site, &other], &[]);
    assert_eq!(code, 0, "{said}");

    // Another history, signed with the same key.
    let audit = other.path("audit");
    std::fs::rename(&audit, other.path("before")).unwrap();
    std::fs::create_dir(&audit).unwrap();
    for file in ["replica.json", "signing.key", "signing.pub"] {
        std::fs::copy(other.path("before").join(file), audit.join(file)).unwrap();
    }
    let admin = server.admin("grantgate").await;
    let own = format!("(SELECT log_id FROM grantgate.audit_log WHERE origin = '{origin}')");
    for change in [
        format!("DELETE FROM grantgate.audit_record WHERE log_id = {own}"),
        format!("DELETE FROM grantgate.audit_head WHERE log_id = {own}"),
        format!("UPDATE grantgate.audit_log SET next_seq = 1 WHERE log_id = {own}"),
    ] {
        admin.batch_execute(&change).await.unwrap();
    }
    let south = other.start(&seams[1], &more).await;
    grants(&other, &south, 40).await;
    until_all_is_there(&other, &south).await;
    south.stop().await;
    north.stop().await;
    let (code, said) = verify(&site, &[&other], &["--replica", "south"]);
    assert_eq!(code, 0, "by itself it is a log like any: {said}");
    let (code, said) = verify(&site, &[&site, &other], &[]);
    assert!(code == 4 && said.contains("anchored checkpoint of "), "{code}: {said}");
}
