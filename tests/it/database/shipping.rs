//! Each record is there once, whatever fails between.

use rustix::process::Signal;

use super::*;
use crate::support::metrics::metric;
use crate::support::wire::Wire;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_is_there_once_and_as_it_was_stored() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    grants(&site, &gateway, 30).await;
    until_all_is_there(&site, &gateway).await;
    let (code, state) = until_beating(&site).await;
    assert_eq!((code, &state["schema"]), (0, &state["schema_newest"]));
    let replica = &state["replicas"][0];
    assert_eq!((&replica["name"], &replica["state"]), (&"north".into(), &"ready".into()));
    let origin = state["logs"][0]["origin"].as_str().unwrap();
    assert_eq!(origin, format!("north/{}", replica["replica_id"].as_str().unwrap()));
    gateway.stop().await;
    assert_eq!(mirrored(&server).await, lines(&site));
    assert_eq!(status(&site).1["replicas"][0]["state"], "leaving");
    // What is searched for, and the signed checkpoints.
    let client = server.admin("grantgate").await;
    let count = "SELECT count(*) FROM grantgate.audit_record WHERE event = 'grant.decision' AND \
                 caller = 'visitor-desk' AND entrance = $1 AND decision = 'allow'";
    let lobby = uuid::Uuid::parse_str(LOBBY).unwrap();
    let decisions: i64 = client.query_one(count, &[&lobby]).await.unwrap().get(0);
    assert_eq!(decisions, 30);
    let heads = "SELECT checkpoint FROM grantgate.audit_head ORDER BY size DESC LIMIT 1";
    let head: String = client.query_one(heads, &[]).await.unwrap().get(0);
    std::fs::write(site.path("head"), head).unwrap();
    let [log, key, head] = ["audit", "audit/signing.pub", "head"].map(|name| site.path(name));
    let [log, key, head] = [&log, &key, &head].map(|path| path.to_str().unwrap());
    grantgate(&["audit", "verify", log, "--key", key, "--checkpoint", head]);
}

/// Killed, stopped half open, or away for long: grants go on, and each record comes once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_go_on_while_the_database_is_killed_or_hangs() {
    let site = Site::new();
    let Some(mut server) = database(&site).await else { return };
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    for round in 0..3 {
        grants(&site, &gateway, 10).await;
        if round == 1 {
            server.signal(Signal::STOP);
            grants(&site, &gateway, 20).await;
            // Longer than an answer is waited for.
            until_said(&gateway, "no answer within ").await;
            grants(&site, &gateway, 20).await;
            server.signal(Signal::CONT);
        } else {
            server.kill();
            grants(&site, &gateway, 20).await;
            server.run().await;
        }
        grants(&site, &gateway, 10).await;
    }
    until_all_is_there(&site, &gateway).await;
    gateway.stop().await;
    assert_eq!(mirrored(&server).await, lines(&site));
}

/// A gateway that was killed sends what it had not sent, and what it does not know to be there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_gateway_leaves_no_gap_and_nothing_twice() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    for round in 0..4 {
        let process = crate::support::process::Process::serve(&site, &seam);
        for _ in 0..20 {
            let client = site.client();
            let request = client.post(process.url()).bearer_auth(&site.token);
            let request = request.header("content-type", "application/json");
            let answer = request.body(fresh_grant(LOBBY)).send().await.unwrap();
            assert_eq!(answer.status(), 200);
        }
        tokio::time::sleep(Duration::from_millis(200 * round)).await;
        process.kill();
    }
    let gateway = site.start(&seam, &[]).await;
    until_all_is_there(&site, &gateway).await;
    gateway.stop().await;
    assert_eq!(mirrored(&server).await, lines(&site));
}

/// As after a failover to a copy that was behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_lost_its_newest_records_gets_them_again() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    grants(&site, &gateway, 40).await;
    until_all_is_there(&site, &gateway).await;
    let client = server.admin("grantgate").await;
    let lose = "BEGIN; DELETE FROM grantgate.audit_record WHERE seq > 20;
                DELETE FROM grantgate.audit_head WHERE size > 20;
                UPDATE grantgate.audit_log SET next_seq = 21; COMMIT";
    client.batch_execute(lose).await.unwrap();
    grants(&site, &gateway, 10).await;
    until_all_is_there(&site, &gateway).await;
    assert!(metric(&gateway, "grantgate_database_fell_back_records_total").await >= 60.0);
    gateway.stop().await;
    assert_eq!(mirrored(&server).await, lines(&site));
}

/// What a database still lacks is not removed here, however old it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_removed_that_the_database_lacks() {
    let site = Site::new();
    let Some(mut server) = database(&site).await else { return };
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let more = [
        ("GRANTGATE__AUDIT__SEGMENT_BYTES_MAX", "65536"),
        ("GRANTGATE__AUDIT__RETENTION_BYTES_MAX", "1048576"),
        ("GRANTGATE__DATABASE__KEEP_CONFIRMED_DAYS", "0"),
    ];
    server.kill();
    let gateway = site.start(&seam, &more).await;
    grants(&site, &gateway, 2_000).await;
    let bytes = || {
        let files = std::fs::read_dir(site.path("audit")).unwrap();
        let segments = files.map(|file| file.unwrap().path());
        let segments = segments.filter(|path| path.extension().is_some_and(|e| e == "jsonl"));
        segments.filter_map(|path| path.metadata().ok()).map(|file| file.len()).sum::<u64>()
    };
    assert!(bytes() > 1_500_000, "{}", bytes());
    server.run().await;
    until_all_is_there(&site, &gateway).await;
    // A new segment makes it look.
    for _ in 0..40 {
        grants(&site, &gateway, 50).await;
        if bytes() < 1_300_000 {
            break;
        }
    }
    assert!(bytes() < 1_300_000, "{}", bytes());
    assert_eq!(metric(&gateway, "grantgate_database_lost_records_total").await, 0.0);
    gateway.stop().await;
}

/// A fresh one, or one that was put back from before this log came: it is introduced again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_never_heard_of_a_log_gets_all_of_it() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    grants(&site, &gateway, 20).await;
    until_all_is_there(&site, &gateway).await;
    let forget = "BEGIN; DELETE FROM grantgate.audit_record; DELETE FROM grantgate.audit_head;
                  DELETE FROM grantgate.replica_beat; DELETE FROM grantgate.audit_log;
                  DELETE FROM grantgate.replica; COMMIT";
    server.admin("grantgate").await.batch_execute(forget).await.unwrap();
    grants(&site, &gateway, 5).await;
    until_all_is_there(&site, &gateway).await;
    gateway.stop().await;
    assert_eq!(mirrored(&server).await, lines(&site));
}

/// What cannot be read is named there, and keeps nothing else back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_record_is_a_gap_with_a_name() {
    let site = Site::new();
    let Some(mut server) = database(&site).await else { return };
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let more = [("GRANTGATE__AUDIT__SEGMENT_BYTES_MAX", "65536")];
    server.kill();
    let gateway = site.start(&seam, &more).await;
    grants(&site, &gateway, 400).await;
    gateway.stop().await;
    let first = site.path("audit/00000000000000000001.jsonl");
    let text = std::fs::read_to_string(&first).unwrap();
    let damaged: Vec<String> = text
        .lines()
        .map(|line| match line.contains("\"seq\":7,") {
            true => line.replacen("\"time\":\"20", "\"time\":\"xx", 1),
            false => line.to_owned(),
        })
        .collect();
    std::fs::write(&first, damaged.join("\n") + "\n").unwrap();
    server.run().await;
    let gateway = site.start(&seam, &more).await;
    until_all_is_there(&site, &gateway).await;
    assert_eq!(metric(&gateway, "grantgate_database_lost_records_total").await, 1.0);
    gateway.stop().await;
    let admin = server.admin("grantgate").await;
    let gaps = "SELECT first_seq, last_seq FROM grantgate.audit_gap";
    let gaps = admin.query(gaps, &[]).await.unwrap();
    let gaps: Vec<(i64, i64)> = gaps.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(gaps, [(7, 7)]);
    let all: i64 = admin
        .query_one("SELECT max(seq) - count(*) FROM grantgate.audit_record", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(all, 1);
}

/// Partitions that nobody made in time are made up for, and a reader keeps nobody waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_follow_one_another_whatever_was_missed() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let owner = site.path("owner.toml");
    let maintain = |weeks: &str| {
        let file = owner.to_str().unwrap();
        grantgate(&["database", "maintain", "--weeks", weeks, "--database", file])
    };
    assert!(maintain("6").starts_with("0 partition(s) made"));
    let admin = server.admin("grantgate").await;
    let reader = server.admin("grantgate").await;
    reader.batch_execute("BEGIN; SELECT count(*) FROM grantgate.audit_record").await.unwrap();
    assert!(maintain("8").starts_with("2 partition(s) made"));
    // Nobody made any for five weeks: what is newest is of then.
    let lose = "DO $$ DECLARE one text; week date := date_trunc('week', now()) - interval '35 days';
        BEGIN
        FOR one IN SELECT name FROM grantgate.audit_partition LOOP
            EXECUTE 'DROP TABLE grantgate.' || quote_ident(one);
            DELETE FROM grantgate.audit_partition WHERE name = one;
        END LOOP;
        EXECUTE format('CREATE TABLE grantgate.old PARTITION OF grantgate.audit_record FOR VALUES FROM \
        (%L) TO (%L)', week, week + 7);
        INSERT INTO grantgate.audit_partition VALUES ('old', week, week + 7);
        END $$";
    reader.batch_execute("COMMIT").await.unwrap();
    admin.batch_execute(lose).await.unwrap();
    let made = maintain("1");
    assert!(made.starts_with("6 partition(s) made"), "{made}");
    let apart = "SELECT count(*) FROM (SELECT from_day - lag(to_day) OVER (ORDER BY from_day) AS gap \
                 FROM grantgate.audit_partition) g WHERE gap <> 0";
    let apart: i64 = admin.query_one(apart, &[]).await.unwrap().get(0);
    assert_eq!(apart, 0);
}

/// Cut in the middle of messages, again and again, and slow: each record comes once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wire_that_cuts_and_delays_costs_no_record() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let wire = Wire::to(server.port()).await;
    let url = server.url("gateway").replace(&server.port().to_string(), &wire.port.to_string());
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    // Some of them within the handshake, some within records.
    wire.cut_after(300);
    let gateway = site.start(&seam, &[("GRANTGATE__DATABASE__URL", &url)]).await;
    for bytes in [300, 2_500, 5_000, 12_000] {
        let before = wire.cuts();
        wire.cut_after(bytes);
        for _ in 0..1_000 {
            grants(&site, &gateway, 2).await;
            if wire.cuts() > before {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(wire.cuts() > before, "{bytes}: {}", wire.cuts());
    }
    wire.mend();
    wire.delay(Duration::from_millis(500));
    grants(&site, &gateway, 50).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    wire.delay(Duration::ZERO);
    until_all_is_there(&site, &gateway).await;
    gateway.stop().await;
    assert_eq!(mirrored(&server).await, lines(&site));
}

/// The copy that takes over lacks what came after it was cut off: it gets that again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_takes_over_gets_what_it_lacks() {
    let site = Site::new();
    let Some(mut server) = database(&site).await else { return };
    let standby = server.standby().await;
    let both = format!("localhost:{},localhost:{}", server.port(), standby.port());
    let own = format!("localhost:{}", server.port());
    let url = server.url("gateway").replace(&own, &both);
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[("GRANTGATE__DATABASE__URL", &url)]).await;
    grants(&site, &gateway, 20).await;
    until_all_is_there(&site, &gateway).await;
    let admin = standby.admin("grantgate").await;
    let follows = "SELECT count(*) FROM grantgate.audit_record";
    for _ in 0..500 {
        if admin.query_one(follows, &[]).await.unwrap().get::<_, i64>(0) >= 40 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    admin.batch_execute("ALTER SYSTEM SET primary_conninfo = \'\'").await.unwrap();
    admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let is_cut_off = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = \'streaming\'";
    for _ in 0..500 {
        if admin.query_one(is_cut_off, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    grants(&site, &gateway, 1_500).await;
    until_all_is_there(&site, &gateway).await;
    server.kill();
    admin.execute("SELECT pg_promote()", &[]).await.unwrap();
    let had: i64 = admin.query_one(follows, &[]).await.unwrap().get(0);
    assert!(had < 400, "{had}");
    grants(&site, &gateway, 20).await;
    until_all_is_there(&site, &gateway).await;
    assert!(metric(&gateway, "grantgate_database_fell_back_records_total").await >= 3_000.0);
    gateway.stop().await;
    assert_eq!(mirrored(&standby).await, lines(&site));
}
