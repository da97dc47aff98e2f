//! Old weeks are dropped, and what is left still proves that it is the rest of the same log.

use super::*;

/// Some weeks later, as far as the database knows.
async fn later(server: &Postgres, weeks: i32) {
    let today = format!(
        "CREATE OR REPLACE FUNCTION grantgate.today() RETURNS date LANGUAGE sql STABLE \
         SET search_path = grantgate, pg_temp AS \
         $$ SELECT (now() AT TIME ZONE 'UTC')::date + 7 * {weeks} $$"
    );
    server.admin("grantgate").await.batch_execute(&today).await.unwrap();
}

fn maintain(site: &Site, more: &[&str]) -> (i32, String, String) {
    let owner = site.path("owner.toml");
    let file = owner.to_str().unwrap();
    run(&[&["database", "maintain", "--keep-weeks", "2", "--database", file], more].concat())
}

fn verify(site: &Site, checkpoint: Option<&str>) -> (i32, String) {
    let [reader, key] = ["reader.toml", "audit/signing.pub"].map(|name| site.path(name));
    let [reader, key] = [&reader, &key].map(|path| path.to_str().unwrap());
    let mut arguments = vec!["audit", "verify", "--database", reader, "--key", key];
    arguments.extend(checkpoint.iter().flat_map(|file| ["--checkpoint", file]));
    let (code, out, error) = run(&arguments);
    (code, format!("{out}{error}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_weeks_are_dropped_and_the_rest_is_proven() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let settings = [("GRANTGATE__AUDIT__CHECKPOINT_RECORDS_MAX", "7")];
    let gateway = site.start(&seam, &settings).await;
    grants(&site, &gateway, 40).await;
    until_all_is_there(&site, &gateway).await;
    let admin = server.admin("grantgate").await;
    let head = "SELECT checkpoint FROM grantgate.audit_head ORDER BY size LIMIT 1";
    let head: String = admin.query_one(head, &[]).await.unwrap().get(0);
    std::fs::write(site.path("head"), head).unwrap();
    let head = site.path("head").to_str().unwrap().to_owned();
    let count = async || -> i64 {
        let all = "SELECT count(*) FROM grantgate.audit_record";
        admin.query_one(all, &[]).await.unwrap().get(0)
    };
    let (code, out, error) = maintain(&site, &[]);
    assert!(code == 0 && !out.contains("dropped"), "too young: {out}{error}");
    let before = count().await;

    // Something is wrong with it: then it stays, all of it.
    later(&server, 4).await;
    let spoil = "UPDATE grantgate.audit_record SET line = replace(line, '\"allow\"', '\"deny\"') WHERE seq = \
                 (SELECT min(seq) FROM grantgate.audit_record WHERE event = 'grant.decision')";
    admin.batch_execute("CREATE TABLE kept AS SELECT * FROM grantgate.audit_record").await.unwrap();
    admin.batch_execute(spoil).await.unwrap();
    let (code, _, error) = maintain(&site, &[]);
    assert!(code == 4 && error.contains("nothing is dropped: log 1"), "{code}: {error}");
    assert_eq!(count().await, before);
    let mend = "UPDATE grantgate.audit_record r SET line = k.line FROM kept k WHERE k.seq = r.seq";
    admin.batch_execute(mend).await.unwrap();

    let (code, out, error) = maintain(&site, &[]);
    assert!(code == 0 && out.contains("dropped audit_record_"), "{out}{error}");
    let after = count().await;
    assert!(after > 0 && after < 16, "all but what is behind the last checkpoint: {after}");
    for checkpoint in [None, Some(head.as_str())] {
        let (code, out) = verify(&site, checkpoint);
        assert_eq!(code, 0, "{out}");
    }
    // It goes on, and once more.
    grants(&site, &gateway, 20).await;
    until_all_is_there(&site, &gateway).await;
    assert!(count().await > after + 40);
    later(&server, 9).await;
    let (code, out, error) = maintain(&site, &[]);
    assert!(code == 0 && out.contains("dropped"), "{out}{error}");
    assert!(count().await < 16);
    let (code, out) = verify(&site, Some(&head));
    assert_eq!(code, 0, "{out}");
    grants(&site, &gateway, 3).await;
    until_all_is_there(&site, &gateway).await;
    gateway.stop().await;
    assert_eq!(verify(&site, Some(&head)).0, 0);
    admin.batch_execute("CREATE TABLE base AS SELECT * FROM grantgate.audit_base").await.unwrap();
    // What vouches for the rest cannot be changed, nor left out.
    let other =
        "UPDATE grantgate.audit_base SET links = replace(links, '\"size\":7', '\"size\":8')";
    for change in [other, "DELETE FROM grantgate.audit_base"] {
        admin.batch_execute(change).await.unwrap();
        let (code, out) = verify(&site, None);
        assert_ne!(code, 0, "{out}");
    }
    let back = "INSERT INTO grantgate.audit_base SELECT * FROM base";
    admin.batch_execute(back).await.unwrap();
    // A record that is gone for good does not keep all others for ever.
    later(&server, 14).await;
    let lose = "DELETE FROM grantgate.audit_record WHERE seq = (SELECT min(seq) + 1 FROM grantgate.audit_record)";
    admin.batch_execute(lose).await.unwrap();
    assert_eq!(maintain(&site, &[]).0, 4);
    let (code, out, error) = maintain(&site, &["--unproven"]);
    assert!(code == 0 && out.contains("dropped"), "{out}{error}");
    let (code, out) = verify(&site, None);
    assert!(code != 0 && out.contains("nothing else vouches"), "{out}");
}

/// Week by week what is dropped becomes an ordinary log elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_dropped_can_be_kept_as_an_ordinary_log() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let settings = [("GRANTGATE__AUDIT__CHECKPOINT_RECORDS_MAX", "7")];
    let gateway = site.start(&seam, &settings).await;
    let kept = site.path("kept");
    let archive = ["--archive", kept.to_str().unwrap()];
    let key = site.path("audit/signing.pub");
    for weeks in [4, 9, 14] {
        grants(&site, &gateway, 20).await;
        until_all_is_there(&site, &gateway).await;
        later(&server, weeks).await;
        let (code, out, error) = maintain(&site, &archive);
        assert!(code == 0 && out.contains("dropped"), "{out}{error}");
        let logs: Vec<_> = std::fs::read_dir(&kept).unwrap().map(|one| one.unwrap()).collect();
        assert_eq!(logs.len(), 1);
        let log = logs[0].path();
        let name = logs[0].file_name().into_string().unwrap();
        assert!(name.starts_with("north-"), "{name}");
        let (log, key) = (log.to_str().unwrap(), key.to_str().unwrap());
        grantgate(&["audit", "verify", log, "--key", key]);
        let shown = grantgate(&["audit", "show", "--format", "json", log]);
        let whole = lines(&site);
        let kept: Vec<&str> = shown.lines().collect();
        assert!(kept.len() > whole.len() - 12, "{} of {}", kept.len(), whole.len());
        assert!(kept.iter().zip(&whole).all(|(kept, own)| kept == own));
        let found = grantgate(&["audit", "query", "--caller", "visitor-desk", "--limit", "3", log]);
        assert_eq!(found.lines().filter(|line| line.contains("visitor-desk")).count(), 3);
    }
    // Something else is there already: then nothing is dropped, and nothing changed.
    let log = std::fs::read_dir(&kept).unwrap().next().unwrap().unwrap().path();
    let admin = server.admin("grantgate").await;
    let oldest = "SELECT min(seq) FROM grantgate.audit_record";
    let oldest: i64 = admin.query_one(oldest, &[]).await.unwrap().get(0);
    let newest = log.join(format!("{oldest:020}.jsonl.zst"));
    assert!(!newest.exists(), "it is still there, and goes on");
    let other = zstd::encode_all(&b"{\"another\":\"log\"}\n"[..], 3).unwrap();
    std::fs::write(&newest, &other).unwrap();
    grants(&site, &gateway, 20).await;
    until_all_is_there(&site, &gateway).await;
    later(&server, 19).await;
    let (code, out, error) = maintain(&site, &archive);
    assert!(
        code == 1 && !out.contains("dropped") && error.contains("in the archive already"),
        "{error}"
    );
    assert_eq!(std::fs::read(&newest).unwrap(), other);
    // Nor where it cannot be written.
    std::fs::write(site.path("file"), "").unwrap();
    let file = site.path("file");
    let (code, out, error) = maintain(&site, &["--archive", file.to_str().unwrap()]);
    assert!(code == 1 && !out.contains("dropped") && error.contains("is not archived"), "{error}");
    gateway.stop().await;
}

/// A gateway whose log was pruned before its database ever heard of it, and the file of its checkpoints.
async fn pruned() -> Option<(Site, Postgres, Seam, String)> {
    let site = Site::new();
    let mut server = database(&site).await?;
    server.kill();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let head = site.path("head").to_str().unwrap().to_owned();
    let small = [
        ("GRANTGATE__AUDIT__ANCHOR_FILE", head.as_str()),
        ("GRANTGATE__AUDIT__SEGMENT_BYTES_MAX", "65536"),
        ("GRANTGATE__AUDIT__CHECKPOINT_RECORDS_MAX", "20"),
    ];
    let gateway = site.start(&seam, &small).await;
    grants(&site, &gateway, 200).await;
    gateway.stop().await;
    let audit = site.path("audit");
    let prune = ["audit", "prune", audit.to_str().unwrap(), "--before", "0s", "--unsent"];
    let said = grantgate(&prune);
    assert!(lines(&site).len() < 300, "{said}");
    server.run().await;
    Some((site, server, seam, head))
}

/// A database that does not take what vouches for the beginning gets the records all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_do_not_wait_for_what_vouches_for_pruned_ones() {
    let Some((site, server, seam, _)) = pruned().await else { return };
    let without = "REVOKE EXECUTE ON FUNCTION grantgate.base_1 FROM grantgate_gateway";
    server.admin("grantgate").await.batch_execute(without).await.unwrap();
    let gateway = site.start(&seam, &[]).await;
    for round in 0.. {
        if status(&site).1["replicas"][0]["confirmed_seq"].as_u64() >= Some(400) {
            break;
        }
        assert!(round < 1_000, "{}", status(&site).1);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    gateway.stop().await;
    assert_eq!(mirrored(&server).await, lines(&site));
    let (code, out) = verify(&site, None);
    assert!(code == 4 && out.contains("nothing else vouches"), "{out}");
}

/// A log that was pruned before it ever came to the database is vouched for there as in its directory;
/// once it is there, nobody replaces what vouches for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_pruned_before_it_came_verifies() {
    let Some((site, server, seam, head)) = pruned().await else { return };
    let gateway = site.start(&seam, &[]).await;
    for _ in 0..1_000 {
        if status(&site).1["replicas"][0]["confirmed_seq"].as_u64() >= Some(400) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    gateway.stop().await;
    assert_eq!(mirrored(&server).await, lines(&site));
    for checkpoint in [None, Some(head.as_str())] {
        let (code, out) = verify(&site, checkpoint);
        assert!(code == 0 && out.contains("record(s) were pruned; "), "{out}");
    }
    // The gateway, or who has its token, cannot make another beginning of it.
    let token = std::fs::read_to_string(site.path("audit/replica.json")).unwrap();
    let token: Value = serde_json::from_str(&token).unwrap();
    let other =
        format!("SELECT grantgate.base_1(1, '{}', 2, 'x')", token["token"].as_str().unwrap());
    server.admin("grantgate").await.batch_execute(&other).await.unwrap();
    assert_eq!(verify(&site, Some(&head)).0, 0);
    // Weeks that are dropped later continue it.
    later(&server, 4).await;
    let (code, out, error) = maintain(&site, &[]);
    assert!(code == 0 && out.contains("dropped audit_record_"), "{out}{error}");
    let (code, out) = verify(&site, Some(&head));
    assert_eq!(code, 0, "{out}");
}

/// Somebody reads for a long time while old weeks are to go: that waits, again and again and never for
/// long, and neither grants nor records wait behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_for_long_delays_maintenance_and_nobody_else() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let settings = [("GRANTGATE__AUDIT__CHECKPOINT_RECORDS_MAX", "7")];
    let gateway = site.start(&seam, &settings).await;
    grants(&site, &gateway, 20).await;
    until_all_is_there(&site, &gateway).await;
    later(&server, 4).await;
    let reader = server.admin("grantgate").await;
    reader
        .batch_execute("BEGIN; LOCK TABLE grantgate.audit_record IN ACCESS SHARE MODE")
        .await
        .unwrap();
    let place = site.path("owner.toml").to_str().unwrap().to_owned();
    let maintaining = tokio::task::spawn_blocking(move || {
        run(&["database", "maintain", "--keep-weeks", "2", "--database", &place])
    });
    // It has had to give way at least once by then.
    let until = std::time::Instant::now() + Duration::from_secs(6);
    while std::time::Instant::now() < until {
        let since = std::time::Instant::now();
        grants(&site, &gateway, 1).await;
        assert!(since.elapsed() < Duration::from_secs(2), "no grant waits for a database");
    }
    until_all_is_there(&site, &gateway).await;
    assert!(!maintaining.is_finished(), "somebody still reads");
    reader.batch_execute("COMMIT").await.unwrap();
    let (code, out, error) = maintaining.await.unwrap();
    assert!(code == 0 && out.contains("dropped audit_record_"), "{code} {out}{error}");
    until_all_is_there(&site, &gateway).await;
    gateway.stop().await;
    assert_eq!(verify(&site, None).0, 0);
}
