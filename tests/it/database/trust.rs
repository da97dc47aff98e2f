//! Who may do what, and who is believed.

use std::path::Path;

use super::*;

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
        "SELECT * FROM bundle",
        "SELECT * FROM proposal",
        "INSERT INTO bundle VALUES (1, '', '')",
        "SELECT put_file_1('', '')",
        "SELECT sign_1(1, '', '')",
        "SELECT promote_1(1, '', NULL, '', NULL)",
        "SELECT restore_1(1, '', '', NULL)",
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
        "SELECT base_1(1, 'x', 7, 'forged')".to_owned(),
    ] {
        let refused = admin.batch_execute(&statement).await.unwrap_err();
        assert_eq!(refused.code().map(|code| code.code()), Some("GG001"), "{statement}");
    }
    admin.batch_execute("SET ROLE grantgate_reader").await.unwrap();
    admin.batch_execute("SELECT * FROM audit_record, log, replica_beat").await.unwrap();
    for statement in [
        "SELECT token_sha256 FROM replica",
        "DELETE FROM audit_record",
        "SELECT sign_1(1, '', '')",
        "SELECT promote_1(1, '', NULL, '', NULL)",
    ] {
        admin.batch_execute(statement).await.unwrap_err();
    }
    admin.batch_execute("SET ROLE grantgate_publisher").await.unwrap();
    admin.batch_execute("SELECT * FROM bundle, proposal, approval, replica_beat").await.unwrap();
    for statement in [
        "SELECT * FROM audit_record",
        "SELECT token_sha256 FROM replica",
        "INSERT INTO bundle VALUES (1, '', '')",
        "DELETE FROM approval",
        "UPDATE bundle_file SET content = ''",
        "SELECT own_log(1, 'x')",
        "SELECT beat_2(NULL, '', '', '', '', '', 1, 1, now(), NULL, NULL, NULL, NULL, NULL, NULL)",
    ] {
        let refused = admin.batch_execute(statement).await.unwrap_err();
        assert_eq!(refused.code().map(|code| code.code()), Some("42501"), "{statement}");
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
    let (schema, rest) = out.split_once('\n').unwrap();
    assert!(schema.starts_with("schema "), "{out}");
    assert!(rest.starts_with("no gateway has said how it is\n"), "{out}");
    // The first of two hosts takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let first = format!("@localhost:{},localhost", silent.local_addr().unwrap().port());
    let (code, second, error) = ask(&text.replace("@localhost", &first));
    assert!(code == 2 && second.starts_with(schema), "{error}");
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

/// A gateway that is gone for good is no alarm, and comes back as another one only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_gateway_is_heard_no_more() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    grants(&site, &gateway, 3).await;
    until_all_is_there(&site, &gateway).await;
    until_beating(&site).await;
    let owner = site.path("owner.toml");
    let retire = |name: &str, more: &[&str]| {
        let file = owner.to_str().unwrap();
        run(&[&["database", "retire", name, "--database", file], more].concat())
    };
    assert_eq!(retire("south", &[]).0, 1);
    let (code, _, error) = retire("north", &[]);
    assert!(code == 2 && error.contains("stop it first"), "{error}");
    gateway.stop().await;
    let lose = "UPDATE grantgate.replica_beat SET confirmed_seq = durable_seq - 2";
    server.admin("grantgate").await.batch_execute(lose).await.unwrap();
    let (code, _, error) = retire("north", &[]);
    assert!(code == 2 && error.contains("the last 2 are not known"), "{error}");
    let (code, out, _) = retire("north", &["--disk-lost"]);
    assert!(code == 0 && out.contains("2 of its records never came"), "{out}");
    let (code, state) = status(&site);
    assert_eq!((code, &state["replicas"][0]["state"]), (0, &"retired".into()));
    let gateway = site.start(&seam, &[]).await;
    until_said(&gateway, "another data directory has the id").await;
    gateway.stop().await;
    std::fs::remove_dir_all(site.path("audit")).unwrap();
    let gateway = site.start(&seam, &[]).await;
    until_all_is_there(&site, &gateway).await;
    gateway.stop().await;
    assert_eq!(status(&site).1["replicas"].as_array().unwrap().len(), 2);
}

/// What gateways of this version, and of each before it, ask for. Nothing is taken off this list, and no
/// line is changed, so that a gateway that is not upgraded yet goes on beside a schema that is.
const ASKED_FOR: &str = "\
append_1(log integer, token bytea, first bigint, times timestamp with time zone[], events text[], \
request_ids text[], callers text[], workspaces text[], entrances uuid[], grantees text[], decisions text[], \
reasons text[], outcomes text[], decision_seqs bigint[], seam_request_ids text[], idempotency_keys text[], \
lines text[])
base_1(log integer, token bytea, first bigint, vouching text)
beat_1(replica uuid, token bytea, version text, address text, state text, revision text, durable bigint, \
confirmed bigint, clock timestamp with time zone)
beat_2(replica uuid, token bytea, version text, address text, state text, revision text, durable bigint, \
confirmed bigint, clock timestamp with time zone, in_force bigint, refused bigint, problem text, \
followed bigint, followed_digest bytea, unfollowed text)
bundle_file_1(wanted bytea)
bundle_note_1(wanted bytea)
claim_key_1(replica uuid, token bytea, key_digest bytea, key_asked bytea, own_attempt bigint, \
window_s bigint, sending_s double precision)
directives_1(behind bigint)
gap_1(log integer, token bytea, first bigint, last bigint)
gateways_1(own uuid)
give_back_1(replica uuid, token bytea, called text, of_day date, unused bigint)
head_1(log integer, token bytea, tree_size bigint, note text)
heads_1(own uuid)
hello_1(replica uuid, called text, log_origin text, log_key text, token bytea)
lease_1(replica uuid, token bytea, called text, had_day date, had bigint, wanted bigint, \
grants_most bigint, door uuid, doors_most bigint)
newest_bundle_1(called text)
resolve_key_1(replica uuid, token bytea, seq bigint, became text)
settle_key_1(replica uuid, token bytea, key_digest bytea, key_asked bytea, own_attempt bigint, \
window_s bigint, became text, seq bigint)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_may_call_what_they_ask_for_and_nothing_else() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let admin = server.admin("grantgate").await;
    let functions = "SELECT proname || '(' || pg_get_function_identity_arguments(oid) || ')' FROM pg_proc \
                     WHERE pronamespace = 'grantgate'::regnamespace \
                     AND has_function_privilege('grantgate_gateway', oid, 'EXECUTE') \
                     ORDER BY proname COLLATE \"C\"";
    let rows = admin.query(functions, &[]).await.unwrap();
    let may: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(may, ASKED_FOR.lines().collect::<Vec<_>>());
    let tables = "SELECT relname::text FROM pg_class WHERE relnamespace = 'grantgate'::regnamespace \
                  AND relkind IN ('r', 'p', 'v') AND has_any_column_privilege('grantgate_gateway', oid, \
                  'SELECT, INSERT, UPDATE, REFERENCES')";
    let rows = admin.query(tables, &[]).await.unwrap();
    assert!(rows.is_empty(), "{:?}", rows.iter().map(|row| row.get(0)).collect::<Vec<String>>());
}
