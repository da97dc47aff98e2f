//! A real PostgreSQL that mirrors the logs of gateways: each record once, whatever fails between.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::seam::{Behaviour, Seam};
use crate::support::postgres::Postgres;
use crate::support::{Gateway, LOBBY, Site, fresh_grant, grantgate, post};

/// The schema is there, and the site is to send its records.
async fn database(site: &Site) -> Option<Postgres> {
    let server = Postgres::start(site).await?;
    let owner = site.path("owner.toml");
    let migrate = ["database", "migrate", "--database", owner.to_str().unwrap()];
    let made = grantgate(&migrate);
    assert!(made.starts_with("made: V1"), "{made}");
    assert_eq!(grantgate(&migrate), "the schema is what this version needs\n");
    let config = site.path("grantgate.toml");
    let known = std::fs::read_to_string(&config).unwrap();
    let known = known.replace("signing_key_file", "# signing_key_file");
    let named = known.replace("[replica]\n", "[replica]\nname = \"north\"\n");
    let more = format!(
        "[database]\nurl = \"{}\"\npassword_file = \"secrets/database\"\nca_file = \
         \"certs/servers-ca.pem\"\n",
        server.url("gateway")
    );
    std::fs::write(config, named.replace("[database]\n", &more)).unwrap();
    Some(server)
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

async fn metric(gateway: &Gateway, name: &str) -> u64 {
    let (_, text) = gateway.admin("/metrics").await;
    let name = format!("grantgate_database_{name} ");
    let line = text.lines().find(|line| line.starts_with(&name)).unwrap();
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
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
    assert!(metric(&gateway, "fell_back_records_total").await >= 60);
    gateway.stop().await;
    assert_eq!(mirrored(&server).await, lines(&site));
}

/// What it says is held against the log, and a grant waits for none of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_lies_is_told_from_one_that_is_behind() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    grants(&site, &gateway, 20).await;
    until_all_is_there(&site, &gateway).await;
    gateway.stop().await;
    let client = server.admin("grantgate").await;
    for (lie, said) in [
        ("UPDATE grantgate.audit_log SET next_seq = next_seq + 1000", "it claims to have every"),
        (
            "UPDATE grantgate.audit_log SET next_seq = next_seq - 1000;
             UPDATE grantgate.audit_record SET line = replace(line, 'visitor', 'hostile') WHERE \
             seq > 10",
            "is here already and differs",
        ),
    ] {
        client.batch_execute(lie).await.unwrap();
        // What it was known to have is not compared again, unless nothing is known.
        std::fs::write(site.path("audit/database.position"), "5\n").unwrap();
        let gateway = site.start(&seam, &[]).await;
        grants(&site, &gateway, 5).await;
        until_said(&gateway, said).await;
        grants(&site, &gateway, 5).await;
        gateway.stop().await;
    }
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

/// Each with its own key and token: whoever copies a directory, or has only the password, adds
/// nothing to the log of another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_of_one_data_directory_and_a_role_sees_no_table() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    until_all_is_there(&site, &gateway).await;
    gateway.stop().await;
    let identity = site.path("audit/replica.json");
    let text = std::fs::read_to_string(&identity).unwrap();
    let mut other: Value = serde_json::from_str(&text).unwrap();
    let replica = other["replica"].as_str().unwrap().to_owned();
    // Whoever knows the id, which is no secret, and whoever has the key.
    for (field, value, said) in [
        ("token", "0".repeat(64), "another data directory has the id "),
        ("replica", LOBBY.to_owned(), "another data directory has a log of the name north/"),
    ] {
        other[field] = value.into();
        std::fs::write(&identity, other.to_string()).unwrap();
        let gateway = site.start(&seam, &[]).await;
        until_said(&gateway, said).await;
        gateway.stop().await;
    }

    let admin = server.admin("grantgate").await;
    admin.batch_execute("SET ROLE grantgate_gateway; SET search_path = grantgate").await.unwrap();
    for statement in [
        "SELECT * FROM audit_record",
        "SELECT * FROM audit_log",
        "INSERT INTO audit_gap VALUES (1, 1, 1)",
        "UPDATE audit_log SET next_seq = 1",
        "DELETE FROM audit_record",
        "CREATE TABLE mine ()",
        "SELECT own_log(1, ''::bytea)",
        "SELECT make_partitions(1)",
    ] {
        let refused = admin.batch_execute(statement).await.unwrap_err();
        assert_eq!(refused.code().map(|code| code.code()), Some("42501"), "{statement}");
    }
    let wrong = "SELECT append_1(1, ''::bytea, 1, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', \
                 '{}', '{}', '{}', '{}', '{}', '{}')";
    let refused = admin.batch_execute(wrong).await.unwrap_err();
    assert_eq!(refused.code().map(|code| code.code()), Some("GG001"));
    for statement in [
        format!("SELECT hello_1('{replica}', 'mine', 'fresh', NULL, 'x')"),
        format!("SELECT beat_1('{replica}', 'x', '1', '', 'ready', '', 9, 9, now())"),
        "SELECT gap_1(1, 'x', 1, 2)".to_owned(),
        "SELECT head_1(1, 'x', 1, 'forged')".to_owned(),
    ] {
        let refused = admin.batch_execute(&statement).await.unwrap_err();
        assert_eq!(refused.code().map(|code| code.code()), Some("GG001"), "{statement}");
    }
    admin.batch_execute("SET ROLE grantgate_reader").await.unwrap();
    admin.batch_execute("SELECT * FROM audit_record, log, replica_beat").await.unwrap();
    for statement in ["SELECT token_sha256 FROM replica", "DELETE FROM audit_record"] {
        admin.batch_execute(statement).await.unwrap_err();
    }
}

/// A server that cannot prove its name, and one to which the password is of use.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_the_right_one_gets_nothing() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let text = std::fs::read_to_string(site.path("reader.toml")).unwrap();
    let ask = |text: &str| {
        let file = site.path("asked.toml");
        std::fs::write(&file, text).unwrap();
        run(&["database", "status", "--database", file.to_str().unwrap()])
    };
    let (code, out, error) = ask(&text);
    assert_eq!(code, 2, "{error}");
    assert!(out.starts_with("schema 1 of 1\nno gateway has said how it is\n"), "{out}");
    // The first of two hosts takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let first = format!("@localhost:{},localhost", silent.local_addr().unwrap().port());
    let (code, out, error) = ask(&text.replace("@localhost", &first));
    assert!(code == 2 && out.starts_with("schema 1 of 1"), "{error}");
    let other_name = ask(&text.replace("@localhost", "@127.0.0.2"));
    let other_ca = ask(&text.replace("servers-ca.pem", "callers-ca.pem"));
    for (code, _, error) in [other_name, other_ca] {
        assert_eq!(code, 1);
        assert!(error.contains("certificate"), "{error}");
    }
    std::fs::write(site.path("secrets/database"), "wrong").unwrap();
    let (code, _, error) = ask(&text);
    assert!(code == 1 && error.contains("password authentication failed"), "{error}");
    // A password that the server is to see, or a server that does not speak TLS at all.
    let admin = server.admin("postgres").await;
    let set = "SET password_encryption = 'md5'; ALTER ROLE grantgate_reader PASSWORD 'wrong'";
    admin.batch_execute(set).await.unwrap();
    let data: String = admin.query_one("SHOW data_directory", &[]).await.unwrap().get(0);
    let rules = "local all postgres trust\nhostssl all all 127.0.0.1/32 password\n";
    let rewrite = async |rules: &str| {
        std::fs::write(Path::new(&data).join("pg_hba.conf"), rules).unwrap();
        admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    rewrite(rules).await;
    let (code, _, error) = ask(&text);
    assert!(code == 1 && error.contains("channel binding"), "{error}");
    admin.batch_execute("ALTER SYSTEM SET ssl = off").await.unwrap();
    rewrite("local all postgres trust\nhost all all 127.0.0.1/32 trust\n").await;
    let (code, _, error) = ask(&text);
    assert!(code == 1 && error.contains("TLS"), "{error}");
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
    assert_eq!(metric(&gateway, "lost_records_total").await, 0);
    gateway.stop().await;
}

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
    assert_eq!(metric(&gateway, "lost_records_total").await, 1);
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

/// Two logs in one place: by time, one by its name, each with its own key only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_logs_of_two_gateways_are_searched_together_and_told_apart() {
    let (site, other) = (Site::new(), Site::new());
    let Some(server) = database(&site).await else { return };
    let config = other.path("grantgate.toml");
    let known = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, known.replace("signing_key_file", "# signing_key_file")).unwrap();
    let [password, authorities] =
        ["secrets/database", "certs/servers-ca.pem"].map(|f| site.path(f));
    let url = server.url("gateway");
    let south = [
        ("GRANTGATE__REPLICA__NAME", "south"),
        ("GRANTGATE__DATABASE__URL", &url),
        ("GRANTGATE__DATABASE__PASSWORD_FILE", password.to_str().unwrap()),
        ("GRANTGATE__DATABASE__CA_FILE", authorities.to_str().unwrap()),
    ];
    let seams = [
        Seam::start(&site, Behaviour::confirm()).await,
        Seam::start(&other, Behaviour::confirm()).await,
    ];
    let north = site.start(&seams[0], &[]).await;
    let south = other.start(&seams[1], &south).await;
    for _ in 0..3 {
        grants(&site, &north, 1).await;
        grants(&other, &south, 1).await;
    }
    until_all_is_there(&site, &north).await;
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
    let all = ["north", "south", "north", "south", "north", "south"];
    assert_eq!(places(&["query"]), all);
    assert_eq!(places(&["query", "--last", "3"]), all[3..]);
    assert_eq!(places(&["query", "--limit", "2"]), all[..2]);
    assert_eq!(places(&["query", "--replica", "south"]), ["south"; 3]);
    let (code, rows, _) = audit(&["stats", "--by", "decision", "--format", "csv"]);
    assert!(code == 0 && rows.contains('6'), "{rows}");
    let (code, _, error) = audit(&["show"]);
    assert!(code == 64 && error.contains("name one with --replica"), "{error}");
    let keys = [&site, &other].map(|site| site.path("audit/signing.pub"));
    let [north, south] = keys.each_ref().map(|key| key.to_str().unwrap());
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

/// What the client tells of its statements has the token in it, and people's ids.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_never_has_the_password_or_the_token() {
    let site = Site::new();
    let Some(_server) = database(&site).await else { return };
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let more = [("GRANTGATE__LOG__LEVEL", "debug")];
    let process = crate::support::process::Process::serve_with(&site, &seam, &more);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let log = process.log().concat();
    process.kill();
    assert!(log.contains("\"serving\""), "{log}");
    let identity = std::fs::read_to_string(site.path("audit/replica.json")).unwrap();
    let identity: Value = serde_json::from_str(&identity).unwrap();
    let token = identity["token"].as_str().unwrap();
    let bytes = format!("{:?}", token.as_bytes());
    for secret in [token, &bytes[..40], "not a secret", "parameters"] {
        assert!(!log.contains(secret), "{secret}");
    }
}
