//! Several workspaces of Seam's behind one gateway: which one a request is for, that each has
//! its own key, connections and breaker, and that policy, orders and records tell them apart.

use std::process::Command;

use serde_json::{Value, json};

use crate::seam::{Behaviour, Seam};
use crate::support::{Gateway, LOBBY, PERSON, SERVER_ROOM, Site, grant_body, grantgate};
use crate::support::{of_event, until};

pub const HQ: &str = "11111111-0000-4000-8000-000000000001";
pub const LAB: &str = "22222222-0000-4000-8000-000000000002";
pub const ATTIC: &str = "33333333-0000-4000-8000-000000000003";
pub const KEYS: [&str; 3] = ["seam_key_of_hq", "seam_key_of_lab", "seam_key_of_attic"];

/// A gateway with three workspaces, the default one first.
struct World {
    site: Site,
    seams: [Seam; 3],
    gateway: Gateway,
}

/// Makes the site's workspace three: `hq`, the default, `lab` and `attic`.
pub fn three(site: &Site, urls: [&str; 3]) {
    let file = site.path("grantgate.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("api_key_file = \"secrets/seam_api_key\"\n", "");
    let names = ["hq", "lab", "attic"].into_iter().zip([HQ, LAB, ATTIC]).zip(urls).zip(KEYS);
    let tables = names.map(|(((name, id), url), key)| {
        let key_file = format!("secrets/{name}");
        std::fs::write(site.path(&key_file), key).unwrap();
        owner_only(site, &key_file);
        let default = if name == "hq" { "default = true\n" } else { "" };
        format!(
            "\n[[workspace]]\nname = \"{name}\"\nid = \"{id}\"\nurl = \"{url}\"\n\
             api_key_file = \"{key_file}\"\n{default}"
        )
    });
    std::fs::write(&file, text + tables.collect::<String>().as_str()).unwrap();
    let callers = String::from_utf8(site.read("callers.toml")).unwrap();
    let desk = "id = \"visitor-desk\"\n";
    let more = format!("{desk}workspaces = [\"hq\", \"lab\"]\n");
    std::fs::write(site.path("callers.toml"), callers.replace(desk, &more)).unwrap();
}

fn owner_only(site: &Site, file: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(site.path(file), mode).unwrap();
}

/// How a command ends that a person gives in the site's directory, and what it says.
pub fn run_in(site: &Site, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grantgate"));
    command.args(arguments).current_dir(site.root());
    let output = command.env("GRANTGATE__ADMIN__ADDRESS", "127.0.0.1:9").output().unwrap();
    let [out, error] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code().unwrap(), out, error)
}

fn token(site: &Site, caller: &str, name: &str, more: &[&str]) -> String {
    let callers = site.path("callers.toml");
    let new = ["caller", "new", caller, "--name", name, "--callers", callers.to_str().unwrap()];
    grantgate(&[&new[..], more].concat()).trim().to_owned()
}

impl World {
    async fn new(more: &[(&str, &str)]) -> Self {
        let site = Site::new();
        let start = || Seam::start(&site, Behaviour::confirm());
        let seams = [start().await, start().await, start().await];
        let urls = [0, 1, 2].map(|n: usize| seams[n].url());
        three(&site, [&urls[0], &urls[1], &urls[2]]);
        let gateway = site.start(&seams[0], more).await;
        Self { site, seams, gateway }
    }

    /// Status and error type of a grant with these values of `seam-workspace`.
    async fn grant(&self, token: &str, named: &[&str]) -> (u16, Value) {
        self.ask(token, named, &grant_body(LOBBY)).await
    }

    async fn ask(&self, token: &str, named: &[&str], body: &str) -> (u16, Value) {
        let request = self.site.client().post(self.gateway.url()).bearer_auth(token);
        let request = request.header("content-type", "application/json").body(body.to_owned());
        let request =
            named.iter().fold(request, |request, id| request.header("seam-workspace", *id));
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert!(body["ok"] == true || body["error"]["request_id"].is_string(), "{body}");
        (status, body["error"]["type"].clone())
    }

    /// How many requests each has seen.
    fn seen(&self) -> [usize; 3] {
        [0, 1, 2].map(|n: usize| self.seams[n].requests().len())
    }

    fn decisions(&self) -> Vec<Value> {
        let records = self.site.records();
        of_event(&records, "grant.decision").into_iter().cloned().collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_for_one_workspace_and_sent_with_its_key() {
    let world = World::new(&[]).await;
    let own = world.site.token.as_str();
    assert_eq!(world.grant(own, &[]).await, (200, Value::Null));
    assert_eq!(world.grant(own, &[HQ]).await, (200, Value::Null));
    assert_eq!(world.grant(own, &[LAB]).await, (200, Value::Null));
    // Some SDKs send the header empty.
    assert_eq!(world.grant(own, &[""]).await, (200, Value::Null));
    assert_eq!(world.seen(), [3, 1, 0]);
    for (seam, key) in world.seams.iter().zip(KEYS) {
        for request in seam.requests() {
            assert!(request.contains(&format!("authorization: Bearer {key}\r\n")), "{request}");
            let others = KEYS.iter().filter(|other| **other != key);
            assert!(others.into_iter().all(|other| !request.contains(other)), "{request}");
            assert!(!request.to_lowercase().contains("seam-workspace"), "{request}");
        }
    }
    let places: Vec<_> = world.decisions().iter().map(|one| one["workspace"].clone()).collect();
    assert_eq!(places, ["hq", "hq", "lab", "hq"]);
    let (_, metrics) = world.gateway.admin("/metrics").await;
    for line in [
        "grantgate_workspace_requests_total{outcome=\"granted\",workspace=\"hq\"} 3",
        "grantgate_workspace_requests_total{outcome=\"granted\",workspace=\"lab\"} 1",
        "grantgate_workspace_suspended{workspace=\"attic\"} 0",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    let (_, status) = world.gateway.admin("/status").await;
    let status: Value = serde_json::from_str(&status).unwrap();
    let names: Vec<_> = status["workspaces"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 3);
    assert_eq!(names[1]["name"], "lab");
    assert_eq!((&names[1]["id"], &names[1]["is_default"]), (&json!(LAB), &json!(false)));
    world.gateway.stop().await;
}

/// What nobody may name is refused like what is not there, recorded, and never sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_that_is_not_the_callers_is_refused() {
    let world = World::new(&[]).await;
    let own = world.site.token.clone();
    // Of the default workspace only.
    let facilities = token(&world.site, "facilities", "f", &[]);
    let personal = token(&world.site, "visitor-desk", "pat", &["--form", "pat"]);
    assert!(personal.starts_with("seam_at"), "{personal}");
    // In two, of which neither is the default.
    let callers = String::from_utf8(world.site.read("callers.toml")).unwrap();
    let rota = "id = \"cleaning-rota\"\n";
    let two = format!("{rota}workspaces = [\"lab\", \"attic\"]\n");
    std::fs::write(world.site.path("callers.toml"), callers.replace(rota, &two)).unwrap();
    let rota = token(&world.site, "cleaning-rota", "r", &[]);
    world.gateway.reload.reload().await;

    let unknown = (404, json!("workspace_not_found"));
    let missing = (400, json!("invalid_input"));
    let upper = LAB.replace('2', "２");
    let refused: [(&str, &[&str], _); 10] = [
        (&own, &[ATTIC], &unknown),
        (&own, &["44444444-0000-4000-8000-000000000004"], &unknown),
        (&own, &["lab"], &unknown),
        (&own, &[upper.as_str()], &unknown),
        (&own, &[LAB, LAB], &unknown),
        (&own, &["", LAB], &unknown),
        (&facilities, &[LAB], &unknown),
        (&personal, &[], &missing),
        (&personal, &[""], &missing),
        (&rota, &[], &missing),
    ];
    let before = world.seen();
    for (number, (token, named, expected)) in refused.into_iter().enumerate() {
        assert_eq!(world.grant(token, named).await, *expected, "{named:?}");
        let decisions = world.decisions();
        assert_eq!(decisions.len(), number + 1);
        let last = decisions.last().unwrap();
        let reason = if expected.0 == 404 { "workspace-unknown" } else { "workspace-missing" };
        assert_eq!((&last["decision"], &last["reason"]), (&json!("deny"), &json!(reason)));
        assert_eq!(last.get("workspace"), None);
    }
    assert_eq!(world.seen(), before);
    for (token, named, place) in [
        (&facilities, &[] as &[&str], "hq"),
        (&personal, &[LAB], "lab"),
        (&rota, &[ATTIC], "attic"),
    ] {
        assert_eq!(world.grant(token, named).await.0, 200, "{place}");
        assert_eq!(world.decisions().last().unwrap()["workspace"], place);
    }
    assert_eq!(world.seen(), [1, 1, 1]);
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_workspace_that_fails_stops_no_other() {
    let more = [("GRANTGATE__UPSTREAM__BREAKER_FAILURES", "2")];
    let world = World::new(&more).await;
    let own = world.site.token.as_str();
    world.seams[1].set(Behaviour::answer(500, "application/json", "{}"));
    // Each for somebody else: a grant whose outcome is unknown is not sent again.
    let of = |n: usize| grant_body(LOBBY).replace(PERSON, &format!("{n}{}", &PERSON[1..]));
    for n in 0..2 {
        assert_eq!(world.ask(own, &[LAB], &of(n)).await.0, 502);
    }
    let before = world.seen();
    assert_eq!(world.ask(own, &[LAB], &of(2)).await, (503, json!("service_unavailable")));
    assert_eq!(world.grant(own, &[HQ]).await.0, 200);
    assert_eq!(world.seen(), [before[0] + 1, before[1], 0]);
    let (_, ready) = world.gateway.admin("/readyz?verbose").await;
    assert!(ready.contains("nothing is sent for a while: workspace lab\n"), "{ready}");
    let (_, metrics) = world.gateway.admin("/metrics").await;
    for line in [
        "grantgate_upstream_suspended 1",
        "grantgate_workspace_suspended{workspace=\"lab\"} 1",
        "grantgate_workspace_suspended{workspace=\"hq\"} 0",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
    world.gateway.stop().await;
}

/// The others keep their connections and what their circuits know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_of_one_workspace_concerns_no_other() {
    // Of one worker, since each has connections of its own, and a client may come to another one.
    let more =
        [("GRANTGATE__UPSTREAM__BREAKER_FAILURES", "1"), ("GRANTGATE__LISTENER__WORKERS", "1")];
    let world = World::new(&more).await;
    let own = world.site.token.as_str();
    world.seams[1].set(Behaviour::answer(500, "application/json", "{}"));
    assert_eq!(world.grant(own, &[LAB]).await.0, 502);
    assert_eq!(world.grant(own, &[HQ]).await.0, 200);
    let connections = world.seams[0].connections();
    let new_key = async |name: &str, key: &str| {
        std::fs::write(world.site.path(&format!("secrets/{name}")), key).unwrap();
        world.gateway.reload.reload().await;
    };
    let is_suspended = async || {
        let (_, metrics) = world.gateway.admin("/metrics").await;
        metrics.contains("grantgate_workspace_suspended{workspace=\"lab\"} 1")
    };

    new_key("attic", "seam_new_key_of_attic").await;
    assert!(is_suspended().await);
    assert_eq!(world.grant(own, &[HQ]).await.0, 200);
    assert_eq!(world.seams[0].connections(), connections, "one was open and idle");

    new_key("hq", "seam_new_key_of_hq").await;
    assert!(is_suspended().await);
    assert_eq!(world.grant(own, &[HQ]).await.0, 200);
    assert_eq!(world.seams[0].connections(), connections + 1, "none is used with another key");
    let last = world.seams[0].requests().pop().unwrap();
    assert!(last.contains("authorization: Bearer seam_new_key_of_hq\r\n"), "{last}");

    new_key("lab", "seam_new_key_of_lab").await;
    assert!(!is_suspended().await);
    world.gateway.stop().await;
}

/// What is asked for in another workspace is another grant: a key is of one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_of_one_workspace() {
    let world = World::new(&[]).await;
    let grant = async |id: &str| {
        let request = world.site.client().post(world.gateway.url()).bearer_auth(&world.site.token);
        let request = request.header("idempotency-key", "\"a\"").header("seam-workspace", id);
        let request = request.header("content-type", "application/json").body(grant_body(LOBBY));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!([grant(LAB).await, grant(LAB).await, grant(HQ).await], [200, 200, 422]);
    assert_eq!(world.seen(), [0, 1, 0]);
    world.gateway.stop().await;
}

/// Another workspace would say, and truly, that nobody can open that entrance.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_outcome_is_looked_up_in_its_own_workspace() {
    let world = World::new(&[("GRANTGATE__UPSTREAM__RESOLVE_DELAY_MS", "50")]).await;
    world.seams[1].set(Behaviour::Close);
    assert_eq!(world.grant(&world.site.token, &[LAB]).await.0, 502);
    let question = "POST /acs/users/list_accessible_entrances ";
    let asked = |n: usize| {
        world.seams[n].requests().iter().filter(|request| request.starts_with(question)).count()
    };
    until("it is looked up", || asked(1) > 0).await;
    assert_eq!((asked(0), asked(2)), (0, 0));
    world.gateway.stop().await;
}

/// A rule for a workspace is for all that is in it; a deny of it goes before any allow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policy_may_name_a_workspace() {
    let world = World::new(&[]).await;
    let own = world.site.token.clone();
    let policy = String::from_utf8(world.site.read("policies/policy.csv")).unwrap();
    let write = |more: &str| {
        std::fs::write(world.site.path("policies/policy.csv"), format!("{policy}{more}")).unwrap();
    };
    let elsewhere = grant_body(PERSON);
    assert_eq!(world.ask(&own, &[LAB], &elsewhere).await.0, 403);
    write("p, caller:visitor-desk, workspace:lab, grant, allow\n");
    world.gateway.reload.reload().await;
    assert_eq!(world.ask(&own, &[LAB], &elsewhere).await.0, 200);
    assert_eq!(world.ask(&own, &[HQ], &elsewhere).await.0, 403);
    // A deny for one entrance of it.
    assert_eq!(world.ask(&own, &[LAB], &grant_body(SERVER_ROOM)).await.0, 403);
    write(
        "p, caller:visitor-desk, zone:test-sites, grant, deny\n\
         g2, workspace:lab, zone:test-sites\n",
    );
    world.gateway.reload.reload().await;
    assert_eq!(world.ask(&own, &[LAB], &grant_body(LOBBY)).await.0, 403);
    assert_eq!(world.decisions().last().unwrap()["reason"], "denied-by-rule");
    assert_eq!(world.ask(&own, &[HQ], &grant_body(LOBBY)).await.0, 200);
    // A name that there is not changes nothing.
    write("p, caller:visitor-desk, workspace:cellar, grant, allow\n");
    world.gateway.reload.reload().await;
    let (_, status) = world.gateway.admin("/status").await;
    assert!(status.contains("there is no [[workspace]] `cellar` in the configuration"), "{status}");
    assert_eq!(world.ask(&own, &[LAB], &grant_body(LOBBY)).await.0, 403);
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_can_be_frozen() {
    let world = World::new(&[]).await;
    let own = world.site.token.as_str();
    let run = |arguments: &[&str]| run_in(&world.site, &[arguments, &["--reason", "x"]].concat());
    let (code, _, error) = run(&["freeze", "--workspace", "cellar"]);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("there is no [[workspace]] `cellar`"), "{error}");
    let (_, out, _) = run(&["freeze", "--workspace", "lab"]);
    assert!(out.contains("order 1: every grant in workspace lab is frozen"), "{out}");
    until("frozen", || of_event(&world.site.records(), "order.change").len() == 1).await;
    assert_eq!(of_event(&world.site.records(), "order.change")[0]["workspace"], "lab");
    assert_eq!(world.grant(own, &[LAB]).await.0, 403);
    assert_eq!(world.decisions().last().unwrap()["reason"], "frozen");
    assert_eq!(world.grant(own, &[HQ]).await.0, 200);
    let explain = |more: &[&str]| {
        run_in(&world.site, &[&["policy", "explain", "visitor-desk", LOBBY], more].concat())
    };
    let (code, _, error) = explain(&[]);
    assert!(code == 1 && error.contains("orders tell workspaces apart (lab)"), "{error}");
    let frozen = |name| explain(&["--workspace", name]);
    assert_eq!((frozen("lab").0, frozen("hq").0), (2, 0));
    run(&["unfreeze", "1"]);
    until("lifted", || of_event(&world.site.records(), "order.change").len() == 2).await;
    assert_eq!(world.grant(own, &[LAB]).await.0, 200);
    world.gateway.stop().await;
}

/// With one workspace nothing has a name, and a caller that names another one is refused as far
/// as it is known which one it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_workspace_needs_no_name() {
    let site = Site::new();
    let personal = token(&site, "visitor-desk", "pat", &["--form", "pat"]);
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    for (known, rows) in [
        (
            "",
            [
                (&site.token, LAB, 200),
                (&site.token, "", 200),
                (&personal, LAB, 404),
                (&personal, "", 400),
            ],
        ),
        (
            HQ,
            [
                (&site.token, LAB, 404),
                (&site.token, HQ, 200),
                (&personal, HQ, 200),
                (&personal, LAB, 404),
            ],
        ),
    ] {
        let id = [("GRANTGATE__UPSTREAM__WORKSPACE_ID", known)];
        let more = if known.is_empty() { &[][..] } else { &id[..] };
        let gateway = site.start(&seam, more).await;
        for (token, named, status) in rows {
            let request = site.client().post(gateway.url()).bearer_auth(token);
            let request = request.header("content-type", "application/json");
            let request = request.header("seam-workspace", named).body(grant_body(LOBBY));
            assert_eq!(request.send().await.unwrap().status().as_u16(), status, "{known} {named}");
        }
        let (_, status) = gateway.admin("/status").await;
        assert!(!status.contains("\"workspaces\""), "{status}");
        gateway.stop().await;
    }
    assert!(site.records().iter().all(|record| record.get("workspace").is_none()));
}
