//! Grants that are asked for several times at once.

use std::time::Duration;

use serde_json::Value;

use crate::budgets::on_one_day;
use crate::seam::{Behaviour, NoTls, Seam};
use crate::support::process::Process;
use crate::support::{Gateway, LOBBY, PATH, Site, of_event, until};

/// A grant for this person, who has a number.
pub fn body(person: usize) -> String {
    format!(
        r#"{{"acs_entrance_id":"{LOBBY}","user_identity_id":"{person:08x}-0000-4000-8000-000000000000"}}"#
    )
}

/// Asks with the site's token.
#[derive(Clone)]
pub struct Asking {
    pub client: reqwest::Client,
    pub url: String,
    pub token: String,
}

pub type Answer = (u16, Value);

impl Asking {
    pub fn of(site: &Site, gateway: &Gateway) -> Self {
        Self { client: site.client(), url: gateway.url(), token: site.token.clone() }
    }

    pub fn of_process(site: &Site, process: &Process) -> Self {
        Self { client: site.client(), url: process.url(), token: site.token.clone() }
    }

    /// With an `Idempotency-Key`, unless it is empty.
    pub async fn try_for(&self, body: String, key: &str) -> Option<Answer> {
        let mut request = self.client.post(&self.url).bearer_auth(&self.token);
        if !key.is_empty() {
            request = request.header("idempotency-key", format!("\"{key}\""));
        }
        let request = request.header("content-type", "application/json").body(body);
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, serde_json::from_slice(&answer.bytes().await.ok()?).ok()?))
    }

    pub async fn grant(&self, person: usize, key: &str) -> Answer {
        self.try_for(body(person), key).await.unwrap()
    }

    pub async fn status(&self, person: usize, key: &str) -> u16 {
        self.grant(person, key).await.0
    }

    /// Many times at once.
    pub async fn at_once(&self, times: usize, person: usize, key: &str) -> Vec<Answer> {
        let one = |_| {
            let (asking, key) = (self.clone(), key.to_owned());
            tokio::spawn(async move { asking.grant(person, &key).await })
        };
        let mut answers = Vec::new();
        for asked in (0..times).map(one).collect::<Vec<_>>() {
            answers.push(asked.await.unwrap());
        }
        answers
    }
}

/// How many grants Seam saw.
pub fn sent(seam: &Seam) -> usize {
    let start = format!("POST {PATH} ");
    seam.requests().iter().filter(|request| request.starts_with(&start)).count()
}

/// The outcome of each decision, once all are there.
pub async fn outcomes(site: &Site, count: usize) -> Vec<Value> {
    until("all outcomes are in the log", || {
        of_event(&site.records(), "grant.outcome").len() >= count
    })
    .await;
    of_event(&site.records(), "grant.outcome").into_iter().cloned().collect()
}

pub fn outcome<'r>(outcomes: &'r [Value], reason: &str) -> Vec<&'r Value> {
    outcomes.iter().filter(|record| record["reason"] == reason).collect()
}

pub fn limit(site: &Site, lines: &str) {
    let file = site.path("callers.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let limited = text.replace("id = \"visitor-desk\"", &format!("id = \"visitor-desk\"\n{lines}"));
    std::fs::write(file, limited).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_are_sent_once_and_each_is_answered_and_recorded() {
    on_one_day().await;
    let site = Site::new();
    limit(&site, "grants_per_day = 2");
    let seam = Seam::start(&site, Behaviour::Slow(Duration::from_millis(500))).await;
    let gateway = site.start(&seam, &[]).await;
    let asking = Asking::of(&site, &gateway);
    for (status, answer) in asking.at_once(40, 1, "").await {
        assert_eq!((status, answer), (200, serde_json::json!({"ok": true})));
    }
    assert_eq!(sent(&seam), 1);
    let records = site.records();
    let decisions = of_event(&records, "grant.decision");
    assert_eq!(decisions.iter().filter(|record| record["decision"] == "allow").count(), 40);
    let outcomes = outcomes(&site, 40).await;
    assert!(outcomes.iter().all(|record| record["outcome"] == "granted"));
    let leads: Vec<_> = outcomes.iter().filter(|r| r["same_as"].is_null()).collect();
    assert_eq!(leads.len(), 1);
    assert!(leads[0]["seam_request_id"].is_string());
    let of_others = |r: &&Value| r["same_as"] == leads[0]["decision_seq"];
    assert_eq!(outcomes.iter().filter(of_others).count(), 39);
    // Afterwards it is another grant; and what was sent, and no more, was spent.
    assert_eq!(asking.status(1, "").await, 200);
    assert_eq!((asking.status(2, "").await, sent(&seam)), (429, 2));
    let (_, metrics) = gateway.admin("/metrics").await;
    for line in [
        "grantgate_duplicates_total{kind=\"in-flight\"} 39\n",
        "grantgate_duplicates_total{kind=\"granted\"} 0\n",
        "grantgate_upstream_requests_total{outcome=\"granted\"} 2\n",
    ] {
        assert!(metrics.contains(line), "{line}{metrics}");
    }
    gateway.stop().await;
    // Nor does a start count more.
    let gateway = site.start(&seam, &[]).await;
    let asking = Asking::of(&site, &gateway);
    assert_eq!(asking.status(3, "").await, 429);
    gateway.stop().await;
}

/// A later start counts what was sent, and not who was answered with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_joined_spends_nothing_over_a_restart() {
    on_one_day().await;
    let site = Site::new();
    limit(&site, "grants_per_day = 2");
    let seam = Seam::start(&site, Behaviour::Slow(Duration::from_millis(500))).await;
    let gateway = site.start(&seam, &[]).await;
    let answers = Asking::of(&site, &gateway).at_once(10, 1, "").await;
    assert!(answers.iter().all(|(status, _)| *status == 200));
    gateway.stop().await;
    let gateway = site.start(&seam, &[]).await;
    let asking = Asking::of(&site, &gateway);
    assert_eq!([asking.status(2, "").await, asking.status(3, "").await], [200, 429]);
    gateway.stop().await;
}

/// What Seam did not confirm is confirmed to nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_gets_what_became_of_it_and_no_more() {
    let refused = r#"{"ok":false,"error":{"type":"acs_user_not_found","message":"no such user"}}"#;
    let Behaviour::Answer(refused) = Behaviour::answer(404, "application/json", refused) else {
        unreachable!()
    };
    let slowly = Behaviour::Trickle(refused, Duration::from_millis(5));
    for (behaviour, status, kind, outcome) in [
        (Behaviour::Hang, 504, "upstream_timeout", "unknown"),
        (slowly, 404, "acs_user_not_found", "rejected"),
        (Behaviour::NoTls(NoTls::Hang), 502, "upstream_error", "not-sent"),
    ] {
        let site = Site::new();
        let seam = Seam::start(&site, behaviour).await;
        let more = [
            ("GRANTGATE__UPSTREAM__DEADLINE_MS", "2500"),
            ("GRANTGATE__UPSTREAM__CONNECT_TIMEOUT_MS", "700"),
            ("GRANTGATE__UPSTREAM__BREAKER_FAILURES", "0"),
        ];
        let gateway = site.start(&seam, &more).await;
        let asking = Asking::of(&site, &gateway);
        for (answered, answer) in asking.at_once(10, 1, "k").await {
            assert_eq!((answered, &answer["error"]["type"]), (status, &Value::from(kind)));
        }
        let outcomes = outcomes(&site, 10).await;
        assert!(outcomes.iter().all(|record| record["outcome"] == outcome), "{outcomes:?}");
        let alone = outcomes.iter().filter(|record| record["same_as"].is_null()).count();
        assert_eq!(alone, 1, "{outcomes:?}");
        // What is unknown stays so; of the others Seam knows nothing, and the key is of use again.
        seam.set(Behaviour::confirm());
        let again = if outcome == "unknown" { 504 } else { 200 };
        assert_eq!(asking.status(1, "k").await, again, "{outcome}");
        gateway.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_hangs_up_the_others_are_answered() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::Slow(Duration::from_millis(800))).await;
    let gateway = site.start(&seam, &[]).await;
    let asking = Asking::of(&site, &gateway);
    let ask = || {
        let asking = Asking { client: site.client(), ..asking.clone() };
        tokio::spawn(async move { asking.grant(1, "").await })
    };
    let decided = |count| {
        let site = &site;
        until("it is recorded", move || of_event(&site.records(), "grant.decision").len() >= count)
    };
    let first = ask();
    until("the first is forwarded", || sent(&seam) == 1).await;
    let (second, third) = (ask(), ask());
    decided(3).await;
    first.abort();
    second.abort();
    assert_eq!(third.await.unwrap().0, 200);
    let outcomes = outcomes(&site, 3).await;
    assert!(outcomes.iter().all(|record| record["outcome"] == "granted"));
    assert_eq!(sent(&seam), 1);
    gateway.stop().await;
}
