//! Entrances are listed and shown to those who may read them, and nothing else of them.

use serde_json::{Value, json};

use crate::seam::{Behaviour, Seam};
use crate::support::{
    Gateway, KEY, LOBBY, PERSON, SERVER_ROOM, Site, fresh_grant, grant_body, of_event, post,
};

const GARAGE: &str = "0a9f3c52-6f5e-4d0b-b1d4-93c4e7a8f216";
const SYSTEM: &str = "3c5e9a1f-7b20-4d68-9e41-a0f2b6c8d713";

/// A site whose caller may read the lobby, and one rule more.
fn site(rule: &str) -> Site {
    let site = Site::new();
    let policy = String::from_utf8(site.read("policies/policy.csv")).unwrap();
    let rules = format!("{policy}p, role:front-desk, zone:lobby, read, allow\n{rule}\n");
    std::fs::write(site.path("policies/policy.csv"), rules).unwrap();
    site
}

fn entrance(id: &str) -> Value {
    json!({
        "acs_entrance_id": id, "acs_system_id": SYSTEM, "display_name": format!("door {id}"),
        "created_at": "2026-01-01T00:00:00.000Z", "errors": [], "warnings": [],
        "code": "1234", "visionline_metadata": {"door_name": "101", "pin": "1234"},
    })
}

fn page(ids: &[&str]) -> String {
    let pagination = json!({
        "has_next_page": true, "next_page_cursor": "c+1",
        "next_page_url": "https://connect.getseam.com/acs/entrances/list?page_cursor=c",
    });
    let entrances: Vec<Value> = ids.iter().map(|id| entrance(id)).collect();
    json!({"acs_entrances": entrances, "pagination": pagination, "ok": true, "secret": "s"})
        .to_string()
}

fn answers(body: &str) -> Behaviour {
    Behaviour::answer(200, "application/json", body)
}

struct Asked {
    status: u16,
    allow: Option<String>,
    body: Value,
}

impl Asked {
    /// The entrances of a list.
    fn ids(&self) -> Vec<&str> {
        let entrances = self.body["acs_entrances"].as_array().unwrap();
        entrances.iter().map(|entrance| entrance["acs_entrance_id"].as_str().unwrap()).collect()
    }

    fn kind(&self) -> (u16, &str) {
        (self.status, self.body["error"]["type"].as_str().unwrap())
    }
}

struct Client<'a> {
    http: reqwest::Client,
    gateway: &'a Gateway,
    token: &'a str,
}

impl Client<'_> {
    /// Method, target, content type and body.
    async fn ask(&self, method: &str, target: &str, media_type: &str, body: &str) -> Asked {
        let url = format!("https://localhost:{}{target}", self.gateway.address.port());
        let mut request = self.http.request(method.parse().unwrap(), url).bearer_auth(self.token);
        if !media_type.is_empty() {
            request = request.header("content-type", media_type);
        }
        let answer = request.body(body.to_owned()).send().await.unwrap();
        let status = answer.status().as_u16();
        let allow = answer.headers().get("allow").map(|v| v.to_str().unwrap().to_owned());
        let body = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        Asked { status, allow, body }
    }

    async fn list(&self, body: &str) -> Asked {
        self.ask("POST", "/acs/entrances/list", "application/json", body).await
    }

    async fn get(&self, id: &str) -> Asked {
        self.ask("GET", &format!("/acs/entrances/get?acs_entrance_id={id}"), "", "").await
    }
}

/// The bodies that Seam was sent, each with its path.
fn sent(seam: &Seam) -> Vec<(String, Value)> {
    let of = |request: &String| {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        assert!(head.starts_with("POST "), "one form is sent: {head}");
        (path, serde_json::from_str(body).unwrap())
    };
    seam.requests().iter().map(of).collect()
}

#[tokio::test]
async fn a_list_is_narrowed_filtered_and_made_anew() {
    let site = site("");
    // Seam answers more than it was asked for.
    let seam = Seam::start(&site, answers(&page(&[LOBBY, SERVER_ROOM, GARAGE]))).await;
    let gateway = site.start(&seam, &[]).await;
    let client = Client { http: site.client(), gateway: &gateway, token: &site.token };
    let ids = json!([GARAGE, LOBBY]);
    for (method, target, media_type, body, expected) in [
        ("POST", "", "application/json", "{}", json!({"acs_entrance_ids": ids})),
        ("POST", "", "application/json", "", json!({"acs_entrance_ids": ids})),
        ("POST", "", "application/x-www-form-urlencoded", "", json!({"acs_entrance_ids": ids})),
        ("GET", "", "", "", json!({"acs_entrance_ids": ids})),
        ("GET", "?_strict=true", "", "", json!({"acs_entrance_ids": ids})),
        (
            "GET",
            "?limit=2&page_cursor=c%2B1&search=a+b&_strict=true",
            "",
            "",
            json!({"acs_entrance_ids": ids, "limit": 2, "page_cursor": "c+1", "search": "a b"}),
        ),
        // As Seam's documentation writes it.
        (
            "GET",
            "",
            "application/json",
            r#"{"limit":2}"#,
            json!({"acs_entrance_ids": ids, "limit": 2}),
        ),
        (
            "GET",
            &format!("?acs_entrance_ids={SERVER_ROOM}&acs_entrance_ids={LOBBY}&_strict=true"),
            "",
            "",
            json!({"acs_entrance_ids": [LOBBY]}),
        ),
    ] {
        let before = seam.requests().len();
        let target = format!("/acs/entrances/list{target}");
        let found = client.ask(method, &target, media_type, body).await;
        assert_eq!(found.status, 200, "{method} {target} {body}: {}", found.body);
        assert_eq!(found.ids(), [LOBBY, GARAGE], "{method} {target}");
        assert_eq!(
            sent(&seam)[before..],
            [("/acs/entrances/list".to_owned(), expected)],
            "{method} {target} {body}"
        );
        let shown = found.body.to_string();
        assert!(!shown.contains("1234") && !shown.contains("getseam.com"), "{shown}");
        assert_eq!(
            found.body["pagination"],
            json!({"has_next_page": true, "next_page_cursor": "c+1", "next_page_url": null})
        );
        assert_eq!(
            found.body["acs_entrances"][0]["visionline_metadata"],
            json!({"door_name": "101"})
        );
        assert_eq!((&found.body["ok"], found.body.get("secret")), (&json!(true), None));
    }
    gateway.stop().await;
    let records = site.records();
    let decisions = of_event(&records, "grant.decision");
    let outcomes = of_event(&records, "grant.outcome");
    assert_eq!((decisions.len(), outcomes.len()), (8, 8));
    for (decision, outcome) in decisions.iter().zip(&outcomes) {
        assert_eq!(decision["operation"], "acs/entrances/list");
        assert_eq!((&decision["decision"], decision.get("entrance_id")), (&json!("allow"), None));
        assert_eq!(decision["rules"].as_array().unwrap().len(), 1, "{decision}");
        assert_eq!(outcome["operation"], "acs/entrances/list");
        assert_eq!((&outcome["outcome"], &outcome["entrances"]), (&json!("answered"), &json!(2)));
        assert_eq!(outcome["decision_seq"], decision["seq"]);
    }
    site.verify(&site.path("none"));
}

#[tokio::test]
async fn with_a_rule_for_all_the_answer_alone_is_filtered() {
    let site = site(&format!(
        "p, role:front-desk, *, read, allow\np, role:staff, entrance:{SERVER_ROOM}, read, deny"
    ));
    let seam = Seam::start(&site, answers(&page(&[LOBBY, SERVER_ROOM, PERSON]))).await;
    let gateway = site.start(&seam, &[]).await;
    let client = Client { http: site.client(), gateway: &gateway, token: &site.token };
    let found = client.list("{}").await;
    assert_eq!(found.ids(), [LOBBY, PERSON]);
    assert_eq!(sent(&seam), [("/acs/entrances/list".to_owned(), json!({}))]);
    assert_eq!(client.get(SERVER_ROOM).await.kind(), (403, "forbidden"));
    gateway.stop().await;
}

#[tokio::test]
async fn one_entrance_is_shown_if_it_may_be_read() {
    let site = site("");
    let seam = Seam::start(&site, answers("{}")).await;
    let gateway = site.start(&seam, &[]).await;
    let client = Client { http: site.client(), gateway: &gateway, token: &site.token };
    let about = |id: &str| json!({"acs_entrance": entrance(id), "ok": true}).to_string();

    seam.set(answers(&about(LOBBY)));
    let found = client.get(LOBBY).await;
    assert_eq!(found.status, 200);
    assert_eq!(found.body["acs_entrance"]["acs_entrance_id"], LOBBY);
    assert_eq!(found.body["acs_entrance"].get("code"), None);
    assert_eq!(sent(&seam).last().unwrap().1, json!({"acs_entrance_id": LOBBY}));

    let before = seam.requests().len();
    assert_eq!(client.get(SERVER_ROOM).await.kind(), (403, "forbidden"));
    let body = format!(r#"{{"acs_entrance_ids":["{SERVER_ROOM}"]}}"#);
    assert_eq!(client.list(&body).await.kind(), (403, "forbidden"));
    assert_eq!(seam.requests().len(), before, "nothing is sent for what may not be read");

    // An answer about another one is none.
    for answer in [about(GARAGE), about("x"), r#"{"ok":true}"#.into(), "{}".into()] {
        seam.set(answers(&answer));
        assert_eq!(client.get(LOBBY).await.kind(), (502, "upstream_error"), "{answer}");
    }
    let missing = r#"{"error":{"type":"acs_entrance_not_found","message":"no"}}"#;
    seam.set(Behaviour::answer(404, "application/json", missing));
    assert_eq!(client.get(LOBBY).await.kind(), (404, "acs_entrance_not_found"));
    gateway.stop().await;
    let records = site.records();
    let outcomes = of_event(&records, "grant.outcome");
    let outcomes: Vec<&str> = outcomes.iter().map(|o| o["outcome"].as_str().unwrap()).collect();
    assert_eq!(
        outcomes,
        ["answered", "unanswered", "unanswered", "unanswered", "unanswered", "rejected"]
    );
    let denied = of_event(&records, "grant.decision");
    let denied: Vec<_> = denied.iter().filter(|record| record["decision"] == "deny").collect();
    assert_eq!(denied.len(), 2);
    assert_eq!(denied[0]["entrance_id"], SERVER_ROOM);
    assert_eq!(denied[0]["operation"], "acs/entrances/get");
}

/// Rules for granting say nothing of reading, and the other way round.
#[tokio::test]
async fn without_a_rule_to_read_nothing_can_be_read() {
    let site = Site::new();
    let seam = Seam::start(&site, answers(&page(&[LOBBY]))).await;
    let gateway = site.start(&seam, &[]).await;
    let client = Client { http: site.client(), gateway: &gateway, token: &site.token };
    assert_eq!(client.list("{}").await.kind(), (403, "forbidden"));
    assert_eq!(client.get(LOBBY).await.kind(), (403, "forbidden"));
    assert!(seam.requests().is_empty());
    gateway.stop().await;
    let records = site.records();
    for record in of_event(&records, "grant.decision") {
        assert_eq!(record["reason"], "caller-outside-policy", "{record}");
    }

    let site = self::site("");
    let policy = String::from_utf8(site.read("policies/policy.csv")).unwrap();
    let rules = policy.replace("p, role:front-desk, zone:lobby,         grant, allow\n", "");
    std::fs::write(site.path("policies/policy.csv"), rules).unwrap();
    let gateway = site.start(&seam, &[]).await;
    let answer = post(&site.client(), &gateway, &site.token, grant_body(LOBBY)).await;
    assert_eq!(answer.status(), 403, "to read is not to grant");
    gateway.stop().await;
}

#[tokio::test]
async fn parameters_stand_in_one_place_and_are_known() {
    let site = site("");
    let seam = Seam::start(&site, answers(&page(&[LOBBY]))).await;
    let gateway = site.start(&seam, &[]).await;
    let client = Client { http: site.client(), gateway: &gateway, token: &site.token };
    let json = "application/json";
    for (method, target, media_type, body, expected) in [
        ("GET", "list?limit=1", json, r#"{"limit":2}"#, (400, "invalid_input")),
        ("POST", "list?limit=1", json, "{}", (400, "invalid_input")),
        ("POST", "list?_strict=true", json, "{}", (400, "invalid_input")),
        ("GET", "list?acs_entrance_ids=a,b", "", "", (400, "invalid_input")),
        ("GET", "list?acs_entrance_ids[]=a", "", "", (400, "invalid_input")),
        ("GET", "list?include=secrets", "", "", (400, "invalid_input")),
        (
            "POST",
            "list",
            "application/x-www-form-urlencoded",
            "limit=1",
            (400, "invalid_content_type"),
        ),
        ("POST", "get", json, "{}", (400, "invalid_input")),
        ("GET", "get", "", "", (400, "invalid_input")),
        ("DELETE", "get", "", "", (405, "method_not_allowed")),
        ("PUT", "list", json, "{}", (405, "method_not_allowed")),
        ("GET", "grant_access", "", "", (405, "method_not_allowed")),
    ] {
        let target = format!("/acs/entrances/{target}");
        let found = client.ask(method, &target, media_type, body).await;
        assert_eq!(found.kind(), expected, "{method} {target} {body}");
        let allow = match (expected.0, target.ends_with("grant_access")) {
            (405, true) => Some("POST"),
            (405, false) => Some("GET, POST"),
            _ => None,
        };
        assert_eq!(found.allow.as_deref(), allow, "{method} {target}");
    }
    assert!(seam.requests().is_empty());
    gateway.stop().await;
    for record in of_event(&site.records(), "grant.decision") {
        assert_eq!(record["decision"], "deny");
        assert!(record["operation"].as_str().unwrap().starts_with("acs/entrances/"), "{record}");
    }
}

#[tokio::test]
async fn a_read_is_tried_again_and_stops_no_grants() {
    let site = site("");
    let seam = Seam::start(&site, Behaviour::Reset).await;
    let breaker = [("GRANTGATE__UPSTREAM__BREAKER_FAILURES", "2")];
    let gateway = site.start(&seam, &breaker).await;
    let client = Client { http: site.client(), gateway: &gateway, token: &site.token };
    for _ in 0..3 {
        let before = seam.requests().len();
        let found = client.list("{}").await;
        assert_eq!(found.kind(), (502, "upstream_error"));
        let text = found.body["error"]["message"].as_str().unwrap();
        assert!(text.contains("nothing has changed"), "{text}");
        assert_eq!(seam.requests().len() - before, 2, "once more, and no more than that");
    }
    let grant = || post(&client.http, &gateway, &site.token, fresh_grant(LOBBY));
    for _ in 0..2 {
        let before = seam.requests().len();
        assert_eq!(grant().await.status(), 502);
        assert_eq!(seam.requests().len() - before, 1, "a grant is sent once");
    }
    // Two grants that failed stop grants, and with them reads.
    let before = seam.requests().len();
    assert_eq!(grant().await.status(), 503);
    assert_eq!(client.list("{}").await.kind(), (503, "service_unavailable"));
    assert_eq!(seam.requests().len(), before);
    gateway.stop().await;
}

#[tokio::test]
async fn an_answer_that_repeats_the_key_is_not_shown() {
    let site = site("");
    let seam = Seam::start(&site, answers("{}")).await;
    let gateway = site.start(&seam, &[]).await;
    let client = Client { http: site.client(), gateway: &gateway, token: &site.token };
    let named = page(&[LOBBY]).replace("101", &format!("x{KEY}"));
    let cursor = page(&[LOBBY]).replace("c+1", KEY);
    // Also of an entrance that would be left out.
    let hidden = page(&[SERVER_ROOM]).replace("101", KEY);
    for body in [named, cursor, hidden] {
        seam.set(answers(&body));
        let found = client.list("{}").await;
        assert_eq!(found.kind(), (502, "upstream_error"));
        assert!(!found.body.to_string().contains(KEY));
    }
    gateway.stop().await;
    let log = site.read("audit/00000000000000000001.jsonl");
    assert!(!String::from_utf8(log).unwrap().contains(KEY));
}

#[tokio::test]
async fn reads_that_are_allowed_may_stay_out_of_the_log_and_grants_may_not() {
    let site = site("");
    let seam = Seam::start(&site, answers(&page(&[LOBBY]))).await;
    let gateway = site.start(&seam, &[("GRANTGATE__AUDIT__READS", "denied")]).await;
    let client = Client { http: site.client(), gateway: &gateway, token: &site.token };
    assert_eq!(client.list("{}").await.ids(), [LOBBY]);
    assert_eq!(client.get(SERVER_ROOM).await.status, 403);
    assert_eq!(client.list(r#"{"limit":0}"#).await.status, 400);
    seam.set(Behaviour::confirm());
    let granted = post(&client.http, &gateway, &site.token, grant_body(LOBBY)).await;
    assert_eq!(granted.status(), 200);
    let (_, metrics) = gateway.admin("/metrics").await;
    assert!(metrics.contains("grantgate_upstream_requests_total{outcome=\"answered\"} 1"));
    gateway.stop().await;
    let records = site.records();
    let decisions: Vec<_> = of_event(&records, "grant.decision")
        .iter()
        .map(|record| (record["operation"].clone(), record["decision"].clone()))
        .collect();
    assert_eq!(
        decisions,
        [
            (json!("acs/entrances/get"), json!("deny")),
            (json!("acs/entrances/list"), json!("deny")),
            (Value::Null, json!("allow")),
        ]
    );
    assert_eq!(of_event(&records, "grant.outcome").len(), 1);
}

#[tokio::test]
async fn the_log_is_searched_by_what_was_asked_for() {
    let site = site("");
    let seam = Seam::start(&site, answers(&page(&[LOBBY]))).await;
    let gateway = site.start(&seam, &[]).await;
    let client = Client { http: site.client(), gateway: &gateway, token: &site.token };
    client.list("{}").await;
    client.get(SERVER_ROOM).await;
    post(&client.http, &gateway, &site.token, grant_body(SERVER_ROOM)).await;
    gateway.stop().await;
    let log = site.path("audit").to_str().unwrap().to_owned();
    let query =
        |more: &[&str]| crate::support::grantgate(&[&["audit", "query", &log], more].concat());
    let rows = |out: &str| out.lines().count() - 1;
    let read = query(&["--act", "read"]);
    assert_eq!((rows(&read), rows(&query(&["--act", "grant"])), rows(&query(&[]))), (2, 1, 3));
    assert!(read.contains("  acs/entrances/list  "), "{read}");
    let csv = query(&["--act", "read", "--decision", "deny", "--format", "csv"]);
    assert!(csv.trim_end().ends_with(",acs/entrances/get,,,,,"), "no resolution or more: {csv}");
    let shown = crate::support::grantgate(&["audit", "show", &log]);
    assert!(shown.contains("entrance -  acs/entrances/list  allowed-by-rule"), "{shown}");
    assert!(shown.contains("status 200  entrances 1\n"), "{shown}");
}
