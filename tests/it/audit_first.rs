//! Nothing happens before the record is durable; without a record nothing happens.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use grantgate::audit::{
    Journal, JournalCloser, JournalSettings, MemoryStore, NoObserver, Stage, Started,
};
use grantgate::config::{self, RequestLimits};
use grantgate::domain::{RequestId, SystemClock};
use grantgate::gateway::{
    Admission, Budgets, CertificateLog, Context, Duplicates, Gateway, Worker,
};
use grantgate::policy::Memo;
use grantgate::resolver::Resolver;
use grantgate::snapshot::{self, Files};
use grantgate::telemetry::{Metrics, Traces};
use grantgate::upstream::Connections;
use http::Request;
use http_body_util::Full;

use crate::seam::{Behaviour, Seam};
use crate::support::{LOBBY, PATH, SERVER_ROOM, Site, grant_body, post, until};

/// A gateway whose audit log is in memory and can be steered.
fn gateway(
    site: &Site,
    seam: &Seam,
    store: &MemoryStore,
    answer_deadline: Duration,
) -> (Arc<Gateway>, JournalCloser) {
    let file = site.path("grantgate.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let settings = config::load(&file, &text, &site.environment(seam, &[])).unwrap();
    let loaded = snapshot::load(&settings, Arc::new(Files)).map_err(|it| it.problems).unwrap();
    let journal =
        JournalSettings { commit_wait: Duration::from_secs(30), ..JournalSettings::default() };
    let revision = loaded.snapshot.policy.revision();
    let clock = Arc::new(SystemClock);
    let opened =
        Journal::open(store.clone(), journal, revision, clock.clone(), Arc::new(NoObserver));
    let Started { journal, closer, .. } = opened.unwrap();
    let gateway = Gateway {
        snapshot: Arc::new(ArcSwap::from_pointee(loaded.snapshot)),
        journal,
        recorded_reads: settings.audit.reads,
        metrics: Arc::new(Metrics::new(&grantgate::server::CLOSED_SETS).unwrap()),
        orders: Arc::default(),
        resolver: Resolver::off(),
        duplicates: Arc::new(Duplicates::new(&settings.idempotency)),
        budgets: Budgets::default(),
        isolation: None,
        admission: Admission::new(&settings.limits, Arc::default()),
        limits: RequestLimits { answer_deadline, ..settings.limits },
        hostnames: Vec::new(),
        clock,
        traces: Traces::default(),
        certificate_log: CertificateLog::default(),
    };
    (Arc::new(gateway), closer)
}

async fn ask(gateway: Arc<Gateway>, token: String, entrance: &str) -> (u16, &'static str) {
    let request = Request::post(PATH)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(grant_body(entrance))))
        .unwrap();
    let context = Context {
        request_id: RequestId::generate(),
        peer: ([127, 0, 0, 1], 1).into(),
        certificate: None,
    };
    let worker = Worker {
        journal: gateway.journal.for_worker(),
        connections: Connections::default(),
        memo: Memo::default(),
    };
    let journal = worker.journal.clone();
    let delivering = tokio::spawn(async move { journal.deliver().await });
    let answer = gateway.handle(&worker, context, request).await;
    delivering.abort();
    (answer.status().as_u16(), answer.reason().as_str())
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn nothing_is_forwarded_or_answered_before_the_record_is_durable() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let store = MemoryStore::default();
    let (gateway, closer) = gateway(&site, &seam, &store, LONG);
    let gate = store.hold();
    let permitted = tokio::spawn(ask(gateway.clone(), site.token.clone(), LOBBY));
    let denied = tokio::spawn(ask(gateway.clone(), site.token.clone(), SERVER_ROOM));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(seam.requests(), Vec::<String>::new(), "not forwarded");
    assert!(!permitted.is_finished() && !denied.is_finished(), "not answered");
    drop(gate);
    assert_eq!(permitted.await.unwrap(), (200, "allowed-by-rule"));
    assert_eq!(denied.await.unwrap(), (403, "denied-by-rule"));
    assert_eq!(seam.requests().len(), 1);
    closer.close();
}

/// Who asks for what is in flight is judged, recorded and only then answered.
#[tokio::test]
async fn who_joins_another_is_not_answered_before_its_own_record_is_durable() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::Slow(Duration::from_millis(500))).await;
    let store = MemoryStore::default();
    let (gateway, closer) = gateway(&site, &seam, &store, LONG);
    let leads = tokio::spawn(ask(gateway.clone(), site.token.clone(), LOBBY));
    until("the first is forwarded", || seam.requests().len() == 1).await;
    let gate = store.hold();
    let joins = tokio::spawn(ask(gateway.clone(), site.token.clone(), LOBBY));
    assert_eq!(leads.await.unwrap(), (200, "allowed-by-rule"));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!joins.is_finished());
    drop(gate);
    assert_eq!(joins.await.unwrap(), (200, "allowed-by-rule"));
    assert_eq!(store.durable().matches("\"decision\":\"allow\"").count(), 2);
    // Where it cannot be recorded it is not answered with what the other got.
    let leads = tokio::spawn(ask(gateway.clone(), site.token.clone(), LOBBY));
    until("the next is forwarded", || seam.requests().len() == 2).await;
    store.fail(Stage::Append, 1);
    let joins = ask(gateway.clone(), site.token.clone(), LOBBY).await;
    assert_eq!(joins, (503, "audit-unavailable"));
    assert_eq!(leads.await.unwrap(), (200, "allowed-by-rule"));
    assert_eq!(seam.requests().len(), 2);
    closer.close();
}

/// Where what leads is recorded too late to be sent, nothing is sent for who joined it, who is
/// answered within the same time.
#[tokio::test]
async fn who_joined_what_was_not_sent_is_refused_too() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let store = MemoryStore::default();
    let (gateway, closer) = gateway(&site, &seam, &store, Duration::from_millis(400));
    let gate = store.hold();
    let both = [0, 1].map(|_| tokio::spawn(ask(gateway.clone(), site.token.clone(), LOBBY)));
    tokio::time::sleep(Duration::from_millis(800)).await;
    drop(gate);
    let [leads, joins] = both;
    assert_eq!(leads.await.unwrap(), (503, "permit-expired"));
    let joined = joins.await.unwrap();
    // Where it was told in time, or not.
    assert!([(503, "permit-expired"), (504, "upstream-timeout")].contains(&joined), "{joined:?}");
    assert_eq!(seam.requests(), Vec::<String>::new());
    let again = ask(gateway.clone(), site.token.clone(), LOBBY).await;
    assert_eq!(again, (200, "allowed-by-rule"), "its place is free, and nothing is unknown");
    closer.close();
}

#[tokio::test]
async fn without_a_durable_record_nothing_is_forwarded() {
    for stage in [Stage::Append, Stage::Sync] {
        let site = Site::new();
        let seam = Seam::start(&site, Behaviour::confirm()).await;
        let store = MemoryStore::default();
        let (gateway, closer) = gateway(&site, &seam, &store, LONG);
        store.fail(stage, 2);
        for entrance in [LOBBY, SERVER_ROOM] {
            let answer = ask(gateway.clone(), site.token.clone(), entrance).await;
            assert_eq!(answer, (503, "audit-unavailable"), "{stage:?}");
        }
        assert_eq!(seam.requests(), Vec::<String>::new(), "{stage:?}");
        let after = ask(gateway.clone(), site.token.clone(), LOBBY).await;
        let recovers = stage == Stage::Append;
        assert_eq!(after.0, if recovers { 200 } else { 503 }, "{stage:?}");
        assert_eq!(seam.requests().len(), usize::from(recovers), "{stage:?}");
        closer.close();
    }
}

#[tokio::test]
async fn a_permit_that_waited_too_long_is_not_sent() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let store = MemoryStore::default();
    let (gateway, closer) = gateway(&site, &seam, &store, Duration::from_millis(50));
    let gate = store.hold();
    let asked = tokio::spawn(ask(gateway.clone(), site.token.clone(), LOBBY));
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(gate);
    assert_eq!(asked.await.unwrap(), (503, "permit-expired"));
    assert_eq!(seam.requests(), Vec::<String>::new());
    closer.close();
    assert!(store.durable().contains("\"outcome\":\"not-sent\""));
}

#[tokio::test]
async fn beyond_the_limit_requests_are_refused_at_once() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::Slow(Duration::from_secs(2))).await;
    let gateway = site.start(&seam, &[("GRANTGATE__LIMITS__REQUESTS_IN_FLIGHT_MAX", "1")]).await;
    let client = site.client();
    let first = post(&client, &gateway, &site.token, grant_body(LOBBY));
    let second = async {
        until("the first is forwarded", || seam.requests().len() == 1).await;
        post(&client, &gateway, &site.token, grant_body(LOBBY)).await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.status(), 200);
    assert_eq!(second.status(), 503);
    assert_eq!(second.headers()["retry-after"], "1");
    assert!(second.headers().contains_key("seam-request-id"));
    assert_eq!(seam.requests().len(), 1);
    gateway.stop().await;
}
