//! Idempotency keys that count for all gateways.

use super::*;
use crate::duplicates::{Asking, body, outcomes, sent};
use crate::support::process::Process;
use crate::support::until;
use crate::support::wire::Wire;

const SHARED: (&str, &str) = ("GRANTGATE__IDEMPOTENCY__SHARED", "on");
const SHORT: (&str, &str) = ("GRANTGATE__LIMITS__ANSWER_DEADLINE_MS", "1000");
const NO_BREAK: (&str, &str) = ("GRANTGATE__UPSTREAM__BREAKER_FAILURES", "0");
const DEADLINE: (&str, &str) = ("GRANTGATE__UPSTREAM__DEADLINE_MS", "800");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_one_grant_whichever_gateway_is_asked() {
    let site = Site::new();
    let Some(mut server) = database(&site).await else { return };
    let other = another(&site, &server);
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let second = Seam::start(&other, Behaviour::confirm()).await;
    let more = [SHARED, NO_BREAK];
    let [one, two] = [site.start(&seam, &more).await, other.start(&second, &more).await];
    until_beating(&site).await;
    let [first, again] = [Asking::of(&site, &one), Asking::of(&other, &two)];
    assert_eq!(first.status(1, "a").await, 200);
    until_there_are(&server, "granted", 1).await;
    assert_eq!(again.status(1, "a").await, 200);
    assert_eq!((sent(&seam), sent(&second)), (1, 0), "it is not sent again");
    assert_eq!(again.grant(2, "a").await.0, 422, "the key is of another grant");
    assert_eq!(first.status(7, "g").await, 200);
    until_there_are(&server, "granted", 2).await;
    assert_eq!(again.grant(8, "g").await.0, 422, "also where it is not known");
    assert_eq!([again.status(1, "b").await, again.status(1, "").await], [200, 200]);
    assert_eq!((sent(&seam), sent(&second)), (2, 2));
    assert_eq!((again.status(1, "a").await, first.status(1, "a").await), (200, 200));
    assert_eq!((sent(&seam), sent(&second)), (2, 2));

    // What was refused may be sent by anybody.
    let text = r#"{"ok":false,"error":{"type":"acs_user_not_found","message":"no such user"}}"#;
    let refused = Behaviour::answer(404, "application/json", text);
    seam.set(refused);
    assert_eq!(first.status(3, "c").await, 404);
    until_there_are(&server, "sending", 0).await;
    assert_eq!((again.status(3, "c").await, sent(&second)), (200, 3));

    // What nobody knows is not sent by anybody, until it is known.
    seam.set(Behaviour::Close);
    assert_eq!(first.status(4, "d").await, 502);
    until_there_are(&server, "unknown", 1).await;
    assert_eq!((again.status(4, "d").await, sent(&second)), (504, 3));
    // What is in flight is waited for.
    seam.set(Behaviour::Slow(Duration::from_secs(2)));
    let flying = tokio::spawn({
        let asking = Asking { client: site.client(), ..first.clone() };
        async move { asking.grant(5, "e").await.0 }
    });
    until_there_are(&server, "sending", 1).await;
    let (leads, joins) = tokio::join!(again.status(5, "e"), async {
        // The same with another key, which waits here for what the first brings.
        tokio::time::sleep(Duration::from_millis(300)).await;
        again.status(5, "f5").await
    });
    assert_eq!((leads, joins, flying.await.unwrap()), (200, 200, 200));
    assert_eq!((again.status(5, "f5").await, sent(&second)), (200, 3), "nor is it sent later");

    // Without the database each is alone, and says so.
    server.kill();
    assert_eq!((again.status(6, "f").await, first.status(6, "f").await), (200, 200));
    assert_eq!(again.status(6, "f").await, 200, "here it is known");
    assert_eq!(sent(&second), 4);
    let replica = of_replica(&site);
    one.stop().await;
    two.stop().await;
    let records = other.records();
    let said = of_event(&records, "grant.decision");
    let alone: Vec<_> = said.iter().filter(|r| r["idempotency_scope"] == "gateway").collect();
    assert_eq!((alone.len(), &alone[0]["idempotency_key"]), (1, &"f".into()));
    let elsewhere: Vec<_> = of_event(&records, "grant.outcome")
        .into_iter()
        .filter(|record| record["same_as_replica"].is_string())
        .collect();
    assert_eq!(elsewhere[0]["same_as_replica"], replica.as_str());
    let said: Vec<_> = elsewhere.iter().map(|r| r["outcome"].as_str().unwrap()).collect();
    assert_eq!(said, ["granted", "granted", "unknown", "granted", "granted", "granted"]);
    let of_first = of_event(&site.records(), "grant.decision")[0]["seq"].clone();
    assert_eq!(elsewhere[0]["same_as_replica_seq"], of_first);
    assert!(
        elsewhere.iter().all(|record| record["same_as"].is_null()),
        "it is no number of this log"
    );
    assert!(elsewhere.iter().all(|record| record["upstream_ms"].is_null()));
    let log = other.path("audit");
    let shown = grantgate(&["audit", "query", log.to_str().unwrap(), "--idempotency-key", "a"]);
    assert!(shown.contains(&format!("granted, by gateway {replica}")), "{shown}");
}

/// Many retries at once, at both gateways.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_once_it_is_sent_once() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let other = another(&site, &server);
    let seam = Seam::start(&site, Behaviour::Slow(Duration::from_millis(200))).await;
    let second = Seam::start(&other, Behaviour::Slow(Duration::from_millis(200))).await;
    let [one, two] = [site.start(&seam, &[SHARED]).await, other.start(&second, &[SHARED]).await];
    for gateway in [&one, &two] {
        until_said(gateway, "[+] database").await;
    }
    until_beating(&site).await;
    let [first, again] = [Asking::of(&site, &one), Asking::of(&other, &two)];
    for (person, key) in [(1, "a"), (2, "b"), (3, "c")] {
        let answers = tokio::join!(first.at_once(8, person, key), again.at_once(8, person, key));
        let all = answers.0.iter().chain(&answers.1);
        assert!(all.clone().all(|(status, _)| *status == 200), "{:?}", all.collect::<Vec<_>>());
        assert_eq!(sent(&seam) + sent(&second), person);
    }
    one.stop().await;
    two.stop().await;
    // Those that wait for another gateway's are no grants of their own, whoever reads the log.
    for site in [&site, &other] {
        let (log, key) = (site.path("audit"), site.path("audit/signing.pub"));
        grantgate(&["audit", "verify", log.to_str().unwrap(), "--key", key.to_str().unwrap()]);
    }
}

/// Until the database has so many keys in a state.
async fn until_there_are(server: &Postgres, state: &str, count: i64) {
    let client = server.admin("grantgate").await;
    let statement = "SELECT count(*) FROM grantgate.idempotency_key WHERE state = $1";
    for _ in 0..500 {
        let there: i64 = client.query_one(statement, &[&state]).await.unwrap().get(0);
        if there == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("there are never {count} keys that are {state}");
}

fn of_replica(site: &Site) -> String {
    let text = std::fs::read_to_string(site.path("audit/replica.json")).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    value["replica"].as_str().unwrap().to_owned()
}

/// A gateway that is killed leaves what it sent unknown to others, also after it has started again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_gateway_sent_is_sent_by_no_other() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let other = another(&site, &server);
    let seam = Seam::start(&site, Behaviour::Hang).await;
    let second = Seam::start(&other, Behaviour::confirm()).await;
    let more = [SHARED, NO_BREAK, SHORT, DEADLINE];
    let process = Process::serve_with(&site, &seam, &[SHARED, NO_BREAK]);
    let two = other.start(&second, &more).await;
    let again = Asking::of(&other, &two);
    until_beating(&site).await;
    let asking = Asking::of_process(&site, &process);
    let flying = tokio::spawn(async move { asking.try_for(body(1), "a").await });
    until("it is sent", || sent(&seam) == 1).await;
    process.kill();
    assert!(flying.await.unwrap().is_none());
    let mut states = Vec::new();
    for _ in 0..3 {
        states.push(again.status(1, "a").await);
    }
    assert_eq!((states, sent(&second)), (vec![504; 3], 0));
    // Nobody waits any more for what was cut off.
    let began = std::time::Instant::now();
    assert_eq!(again.status(1, "a").await, 504);
    assert!(began.elapsed() < Duration::from_millis(700), "{:?}", began.elapsed());
    let known = outcomes(&other, 4).await;
    assert_eq!(known.iter().filter(|r| r["outcome"] == "unknown").count(), 4);
    assert!(known[0]["same_as_replica_seq"].is_null() && known[0]["same_as_replica"].is_string());
    two.stop().await;
    // Nothing of that is to be asked of Seam here, nor is it in doubt: it was never sent from here.
    let two = other.start(&second, &more).await;
    let again = Asking::of(&other, &two);
    assert_eq!((again.status(1, "a").await, again.status(1, "").await), (504, 200));
    assert_eq!((again.status(1, "b").await, sent(&second)), (200, 2), "a new key sends it");
    // Time enough for a start to look what is to be asked about.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(two.admin("/metrics").await.1.contains("grantgate_unresolved_outcomes 0\n"));
    two.stop().await;
}

/// What Seam says later, others hear, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_found_out_is_known_to_all() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let other = another(&site, &server);
    let seam = Seam::start(&site, Behaviour::Close).await;
    let second = Seam::start(&other, Behaviour::confirm()).await;
    let more = [SHARED, NO_BREAK, ("GRANTGATE__UPSTREAM__RESOLVE_DELAY_MS", "500")];
    let [one, two] = [site.start(&seam, &more).await, other.start(&second, &more).await];
    until_beating(&site).await;
    let [first, again] = [Asking::of(&site, &one), Asking::of(&other, &two)];
    assert_eq!(first.status(1, "a").await, 502);
    until_there_are(&server, "unknown", 1).await;
    assert_eq!(again.status(1, "a").await, 504);
    let listing = format!(r#"{{"acs_entrances":[{{"acs_entrance_id":"{LOBBY}"}}],"ok":true}}"#);
    seam.set(Behaviour::in_turn(&[listing]));
    until_there_are(&server, "granted", 1).await;
    assert_eq!((again.status(1, "a").await, sent(&second)), (200, 0));
    one.stop().await;
    two.stop().await;
}

/// Who waited at one gateway for what another one sent, and was told that nobody knows, is told so again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_waited_for_what_nobody_knows_is_not_sent_either() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let other = another(&site, &server);
    let seam = Seam::start(&site, Behaviour::Slow(Duration::from_secs(6))).await;
    let second = Seam::start(&other, Behaviour::confirm()).await;
    let more = [SHARED, NO_BREAK, DEADLINE, SHORT];
    let one = site.start(&seam, &[SHARED, NO_BREAK]).await;
    let two = other.start(&second, &more).await;
    until_beating(&site).await;
    let [first, again] = [Asking::of(&site, &one), Asking::of(&other, &two)];
    let flying = tokio::spawn(async move { first.status(1, "a").await });
    until_there_are(&server, "sending", 1).await;
    let (leads, joins) = tokio::join!(again.status(1, "a"), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        again.status(1, "b").await
    });
    assert_eq!((leads, joins), (504, 504));
    // At once, however often, and when the database has heard of it.
    for _ in 0..3 {
        assert_eq!(again.status(1, "b").await, 504);
    }
    until_there_are(&server, "unknown", 1).await;
    assert_eq!((again.status(1, "b").await, sent(&second)), (504, 0));
    assert_eq!(again.status(1, "c").await, 200, "a new key sends it");
    flying.await.unwrap();
    one.stop().await;
    two.stop().await;
}

/// A database that goes away while somebody waits takes back nothing of what it said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_known_to_be_in_flight_is_not_sent_when_the_database_goes() {
    let site = Site::new();
    let Some(mut server) = database(&site).await else { return };
    let other = another(&site, &server);
    let seam = Seam::start(&site, Behaviour::Slow(Duration::from_secs(4))).await;
    let second = Seam::start(&other, Behaviour::confirm()).await;
    let [one, two] = [site.start(&seam, &[SHARED]).await, other.start(&second, &[SHARED]).await];
    until_beating(&site).await;
    let [first, again] = [Asking::of(&site, &one), Asking::of(&other, &two)];
    let flying = tokio::spawn(async move { first.status(1, "a").await });
    until_there_are(&server, "sending", 1).await;
    let waiting = tokio::spawn(async move { again.status(1, "a").await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.kill();
    assert_eq!((flying.await.unwrap(), waiting.await.unwrap()), (200, 504));
    assert_eq!((sent(&seam), sent(&second)), (1, 0));
    one.stop().await;
    two.stop().await;
}

/// What is said late of one try says nothing of the next one with the same key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_late_of_a_try_leaves_the_next_alone() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    until_beating(&site).await;
    gateway.stop().await;
    let text = std::fs::read_to_string(site.path("audit/replica.json")).unwrap();
    let own: Value = serde_json::from_str(&text).unwrap();
    let replica = uuid::Uuid::parse_str(own["replica"].as_str().unwrap()).unwrap();
    let token = own["token"].as_str().unwrap().as_bytes();
    let admin = server.admin("grantgate").await;
    let digest = [7_u8; 32].as_slice();
    let claim = async |attempt: i64| -> bool {
        let claim =
            "SELECT is_own FROM grantgate.claim_key_1($1, $2, $3, $3, $4, 3600::bigint, 18)";
        admin.query_one(claim, &[&replica, &token, &digest, &attempt]).await.unwrap().get(0)
    };
    let settle = async |attempt: i64, became: Option<&str>| {
        let settle =
            "SELECT grantgate.settle_key_1($1, $2, $3, $3, $4, 3600::bigint, $5, 5::bigint)";
        admin.query_one(settle, &[&replica, &token, &digest, &attempt, &became]).await.unwrap();
    };
    let there = async || -> Option<(i64, String)> {
        let all = "SELECT attempt, state FROM grantgate.idempotency_key";
        let row = admin.query_opt(all, &[]).await.unwrap()?;
        Some((row.get(0), row.get(1)))
    };
    assert!(claim(1).await && claim(2).await);
    settle(1, None).await;
    settle(1, Some("unknown")).await;
    assert_eq!(there().await, Some((2, "sending".to_owned())));
    settle(2, Some("granted")).await;
    assert_eq!(there().await, Some((2, "granted".to_owned())));
    // What was granted is not sent again, also by a gateway that has forgotten it.
    assert!(!claim(3).await);
    settle(3, None).await;
    assert_eq!(there().await, Some((2, "granted".to_owned())));
    // Where the claim was lost, what became of it is kept all the same.
    admin.batch_execute("DELETE FROM grantgate.idempotency_key").await.unwrap();
    settle(4, Some("unknown")).await;
    assert_eq!(there().await, Some((4, "unknown".to_owned())));
}

/// However short the time is for which keys are remembered: not while they are sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_nobody_elses_while_it_is_sent() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let other = another(&site, &server);
    let seam = Seam::start(&site, Behaviour::Slow(Duration::from_secs(4))).await;
    let second = Seam::start(&other, Behaviour::confirm()).await;
    let more = [SHARED, ("GRANTGATE__IDEMPOTENCY__WINDOW_S", "1")];
    let [one, two] = [site.start(&seam, &more).await, other.start(&second, &more).await];
    until_beating(&site).await;
    let [first, again] = [Asking::of(&site, &one), Asking::of(&other, &two)];
    let flying = tokio::spawn(async move { first.status(1, "a").await });
    until_there_are(&server, "sending", 1).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!((again.status(1, "a").await, flying.await.unwrap()), (200, 200));
    assert_eq!((sent(&seam), sent(&second)), (1, 0));
    one.stop().await;
    two.stop().await;
}

/// Connecting takes longer than a grant waits: a start does it before, so that the first retry after
/// one is not taken for a new grant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_request_after_a_start_finds_a_connection() {
    let site = Site::new();
    let Some(server) = database(&site).await else { return };
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    site.start(&seam, &[]).await.stop().await;
    let wire = Wire::to(server.port()).await;
    wire.delay(Duration::from_millis(12));
    let url =
        server.url("gateway").replace(&format!(":{}/", server.port()), &format!(":{}/", wire.port));
    // On a machine that is busy one answer of three may come too late; without a connection none is in time.
    for (number, key) in [(1, "a"), (2, "b"), (3, "c")] {
        let gateway = site.start(&seam, &[SHARED, ("GRANTGATE__DATABASE__URL", &url)]).await;
        assert_eq!(Asking::of(&site, &gateway).status(number, key).await, 200);
        gateway.stop().await;
    }
    let records = site.records();
    let decided = of_event(&records, "grant.decision");
    let claimed = decided.iter().filter(|record| record["idempotency_scope"].is_null());
    assert!(decided.len() == 3 && claimed.count() > 0, "{decided:?}");
}
