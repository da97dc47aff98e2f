//! What is found there is what the logs have.

use std::io::BufRead as _;

use super::*;

/// Every command that reads the log of a directory says the same of its mirror.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_reads_a_log_says_the_same_of_its_mirror() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    grants(&site, &gateway, 5).await;
    let client = site.client();
    let refused = crate::support::grant_body(crate::support::SERVER_ROOM);
    assert_eq!(post(&client, &gateway, &site.token, refused).await.status(), 403);
    assert_eq!(post(&client, &gateway, "seam_gg_nobody", "{}").await.status(), 401);
    seam.set(Behaviour::Close);
    let keyed = client.post(gateway.url()).bearer_auth(&site.token);
    let keyed = keyed.header("idempotency-key", "\"a\\\"b\"");
    let keyed = keyed.header("content-type", "application/json").body(fresh_grant(LOBBY));
    let again = keyed.try_clone().unwrap();
    assert_eq!(keyed.send().await.unwrap().status(), 502);
    assert_eq!(again.send().await.unwrap().status(), 504, "answered from it");
    until_all_is_there(&site, &gateway).await;
    gateway.stop().await;

    let (log, reader) = (site.path("audit"), site.path("reader.toml"));
    let both = |arguments: &[&str]| {
        let of = |more: &[&str]| run(&[&["audit"], arguments, more].concat());
        let here = of(&[log.to_str().unwrap()]);
        (here, of(&["--database", reader.to_str().unwrap()]))
    };
    let records = lines(&site);
    let field = |event: &str, name: &str| {
        let record = records.iter().find(|line| line.contains(event)).unwrap();
        let record: Value = serde_json::from_str(record).unwrap();
        record[name].as_str().unwrap().to_owned()
    };
    let (id, person) =
        (field("grant.decision", "request_id"), field("grant.decision", "user_identity_id"));
    // After its decision.
    let between = field("grant.outcome", "time");
    for arguments in [
        &["query"][..],
        &["query", "--decision", "deny"],
        &["query", "--caller", "visitor-desk", "--entrance", LOBBY],
        &["query", "--caller", "nobody"],
        &["query", "--reason", "no-rule-matches"],
        &["query", "--reason", "token-unknown"],
        &["query", "--reason", "upstream-broken"],
        &["query", "--outcome", "unknown"],
        &["query", "--outcome", "granted", "--last", "2"],
        &["query", "--reason", "allowed-by-rule", "--outcome", "granted"],
        &["query", "--reason", "upstream-broken", "--outcome", "unknown"],
        &["query", "--outcome", "unknown", "--last", "1"],
        &["query", "--outcome", "granted", "--since", &between],
        &["query", "--request-id", &id, "--since", &between],
        &["query", "--outcome", "granted", "--until", &between],
        &["query", "--event", "grant.outcome", "--last", "3"],
        &["query", "--event", "grant.decision", "--event", "log.start"],
        &["query", "--request-id", &id],
        &["query", "--grantee", &person],
        &["query", "--idempotency-key", "a\"b"],
        &["query", "--since", "1h"],
        &["query", "--until", "1h"],
        &["query", "--since", &between],
        &["query", "--event", "log.checkpoint"],
        &["query", "--last", "2"],
        &["query", "--limit", "3"],
        &["query", "--act", "read"],
        &["show"],
    ] {
        let (here, there) = both(&[arguments, &["--format", "json"]].concat());
        assert_eq!((here.0, here.1), (there.0, there.1), "{arguments:?}: {}", there.2);
    }
    for arguments in [&["stats", "--by", "reason"][..], &["show"]] {
        let (here, there) = both(arguments);
        assert_eq!((here.0, here.1), (there.0, there.1), "{arguments:?}: {}", there.2);
    }
    let (_, (code, rows, error)) = both(&["query", "--format", "csv", "--last", "1"]);
    assert!(
        code == 0 && rows.lines().all(|row| row.ends_with("replica") || row.ends_with("north"))
    );
    assert!(error.contains("1 found in"), "{error}");

    let key = site.path("audit/signing.pub");
    let verify = ["verify", "--key", key.to_str().unwrap()];
    let (here, there) = both(&verify);
    assert_eq!((here.0, there.0), (0, 0), "{}", there.2);
    assert!(there.1.starts_with("north/"), "{}", there.1);
    assert!(there.1.contains(", of north:\nverified: "), "{}", there.1);
    assert!(there.2.contains("records removed from the end would not show"), "{}", there.2);
    let (_, (code, proof, _)) = both(&["prove", "3"]);
    assert_eq!(code, 0);
    let file = site.path("3.proof");
    std::fs::write(&file, proof).unwrap();
    grantgate(&["audit", "check-proof", file.to_str().unwrap(), "--key", key.to_str().unwrap()]);

    // A column that says something else than its line, then a line that was changed.
    let admin = server.admin("grantgate").await;
    let change = "UPDATE grantgate.audit_record SET caller = 'facilities' WHERE seq = 4";
    admin.batch_execute(change).await.unwrap();
    let (code, out, _) = both(&verify).1;
    assert_eq!(code, 4);
    let said = "1 record(s) are kept with something else to search for than their lines have; the \
                first is record 4";
    assert!(out.contains(said), "{out}");
    let change = "UPDATE grantgate.audit_record SET line = replace(line, 'visitor-desk', \
                  'facilities') WHERE seq = 4";
    admin.batch_execute(change).await.unwrap();
    let (code, out, _) = both(&verify).1;
    assert!(code == 4 && out.contains("NOT VERIFIED"), "{out}");
    let drop = "DELETE FROM grantgate.audit_record WHERE seq > 6";
    admin.batch_execute(drop).await.unwrap();
    let (code, out, _) = both(&verify).1;
    assert!(code == 4 && out.contains("anchored checkpoint of "), "what it kept tells: {out}");
    let (code, _, error) = both(&["query", "--replica", "south"]).1;
    assert!(code == 1 && error.contains("no log of a gateway `south`"), "{error}");
}

/// Two logs in one place: by time, one by its name, each with its own key only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_logs_of_two_gateways_are_searched_together_and_told_apart() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let other = another(&site, &server);
    let seams = [
        Seam::start(&site, Behaviour::confirm()).await,
        Seam::start(&other, Behaviour::confirm()).await,
    ];
    let north = site.start(&seams[0], &[]).await;
    let south = other.start(&seams[1], &[]).await;
    for _ in 0..3 {
        grants(&site, &north, 1).await;
        grants(&other, &south, 1).await;
    }
    until_all_is_there(&site, &north).await;
    until_all_is_there(&other, &south).await;
    follows(&site, async || grants(&other, &south, 1).await).await;
    until_all_is_there(&other, &south).await;
    north.stop().await;
    south.stop().await;
    let reader = site.path("reader.toml");
    let audit = |arguments: &[&str]| {
        run(&[&["audit"], arguments, &["--database", reader.to_str().unwrap()]].concat())
    };
    let places = |arguments: &[&str]| -> Vec<String> {
        let (code, rows, error) = audit(&[arguments, &["--format", "csv"]].concat());
        assert_eq!(code, 0, "{error}");
        let rows = rows.lines().skip(1);
        rows.map(|row| row.rsplit_once(',').unwrap().1.to_owned()).collect()
    };
    let all = ["north", "south", "north", "south", "north", "south", "south"];
    assert_eq!(places(&["query"]), all);
    assert_eq!(places(&["query", "--last", "3"]), all[4..]);
    assert_eq!(places(&["query", "--limit", "2"]), all[..2]);
    assert_eq!(places(&["query", "--replica", "south"]), ["south"; 4]);
    let (code, rows, _) = audit(&["stats", "--by", "decision", "--format", "csv"]);
    assert!(code == 0 && rows.contains('7'), "{rows}");
    let (code, _, error) = audit(&["show"]);
    assert!(code == 64 && error.contains("name one with --replica"), "{error}");
    let keys = [&site, &other].map(|site| site.path("audit/signing.pub"));
    let [north, south] = keys.each_ref().map(|key| key.to_str().unwrap());
    let tailed = |arguments: &[&str]| -> Vec<String> {
        let (code, lines, error) = audit(&[&["tail"], arguments].concat());
        assert_eq!(code, 0, "{error}");
        lines.lines().map(|line| line.split("  ").next().unwrap().to_owned()).collect()
    };
    let of_caller = ["--caller", "visitor-desk"];
    let twice =
        |names: &[&'static str]| names.iter().flat_map(|n| [*n, *n]).collect::<Vec<&'static str>>();
    assert_eq!(tailed(&[&of_caller[..], &["-n", "14"]].concat()), twice(&all));
    assert_eq!(tailed(&[&of_caller[..], &["-n", "4"]].concat()), twice(&all[5..]));
    assert_eq!(tailed(&["-n", "100", "--replica", "south", "--decision", "allow"]), ["south"; 8]);
    assert!(tailed(&["--decision", "deny"]).is_empty());
    let (code, out, error) = audit(&["verify", "--key", north, "--key", south]);
    assert_eq!(code, 0, "{out}{error}");
    assert_eq!(out.matches("\nverified: ").count(), 2, "{out}");
    let (code, out, _) = audit(&["verify", "--key", north]);
    assert!(code == 5 && out.contains("none of the given keys is this log's"), "{out}");
    // South's records in the place of north's, under their own name.
    let admin = server.admin("grantgate").await;
    let swap = "BEGIN;
        DELETE FROM grantgate.audit_record WHERE log_id = 1;
        DELETE FROM grantgate.audit_head WHERE log_id = 1;
        UPDATE grantgate.audit_record SET log_id = 1 WHERE log_id = 2;
        COMMIT";
    admin.batch_execute(swap).await.unwrap();
    let (code, out, _) = audit(&["verify", "--key", north, "--key", south]);
    assert!(code == 5 || code == 4, "{code}: {out}");
    let forget = "DELETE FROM grantgate.audit_head WHERE log_id = 2;
                  DELETE FROM grantgate.audit_log WHERE log_id = 2";
    admin.batch_execute(forget).await.unwrap();
    let (code, out, _) = audit(&["verify", "--key", south, "--replica", "south"]);
    assert!(code != 0, "{out}");
}

/// `tail --follow` shows what comes, and ends when nobody reads any more.
async fn follows(site: &Site, grant: impl AsyncFnOnce()) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_grantgate"))
        .args(["audit", "tail", "--follow", "-n", "1", "--database"])
        .arg(site.path("reader.toml"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    out.next().unwrap().unwrap();
    grant().await;
    let line = tokio::task::spawn_blocking(move || {
        out.map_while(Result::ok).find(|line| line.contains("visitor-desk"))
    });
    let line = tokio::time::timeout(Duration::from_secs(20), line).await;
    let _ = child.kill();
    let line = line.unwrap().unwrap().unwrap();
    assert!(line.starts_with("south  "), "{line}");
    child.wait().unwrap();
}
