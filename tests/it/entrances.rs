//! Names of entrances: fetched by the real program over TLS from the sandbox and from
//! upstreams that misbehave.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};

use crate::seam::{Behaviour, Seam};
use crate::support::{KEY, LOBBY, SERVER_ROOM, Site, grant_body, post};

const LIST: &str = "/acs/entrances/list";
const SYSTEM: &str = "3c5e9a1f-7b20-4d68-9e41-a0f2b6c8d713";

/// What the program printed and how it ended. The key is in none of it.
struct Run {
    code: i32,
    out: String,
    error: String,
}

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grantgate"));
    let output = command.args(arguments).envs(environment.iter().copied()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, error) = (text(output.stdout), text(output.stderr));
    // A considerable part of it would be a leak too.
    let part = &KEY[KEY.len() / 4..KEY.len() * 3 / 4];
    assert!(!out.contains(part) && !error.contains(part), "{out}{error}");
    Run { code: output.status.code().unwrap(), out, error }
}

/// `grantgate entrances pull` for a site, with Seam at `url`.
async fn pull(site: &Site, url: &str, more: &[&str]) -> Run {
    let config = site.path("grantgate.toml").to_str().unwrap().to_owned();
    let (url, more) = (url.to_owned(), more.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>());
    let blocking = move || {
        let fixed = ["entrances", "pull", "--config", &config];
        let arguments: Vec<&str> =
            fixed.into_iter().chain(more.iter().map(String::as_str)).collect();
        let deadline = ("GRANTGATE__UPSTREAM__DEADLINE_MS", "1500");
        run(&arguments, &[("GRANTGATE__UPSTREAM__URL", &url), deadline])
    };
    tokio::task::spawn_blocking(blocking).await.unwrap()
}

/// `grantgate sandbox` on a port of its own; ended when dropped.
struct Sandbox {
    child: Child,
    url: String,
}

impl Sandbox {
    fn start(site: &Site) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_grantgate"))
            .args(["sandbox", "--address", "127.0.0.1:0"])
            .current_dir(site.root())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit(':').next().unwrap().to_owned();
        Self { child, url: format!("https://localhost:{port}") }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn names_are_pulled_listed_and_found() {
    let site = Site::new();
    let sandbox = Sandbox::start(&site);
    let file = site.path("policies/entrances.csv");
    let sample = std::fs::read(&file).unwrap();

    let same = pull(&site, &sandbox.url, &["--dry-run"]).await;
    assert_eq!(same.code, 0, "what `init` wrote is what the sandbox has: {}", same.out);
    assert!(same.out.starts_with("6 entrance(s): 0 added, 0 removed, 0 renamed"), "{}", same.out);
    assert!(same.error.contains("which is not connect.getseam.com"), "{}", same.error);

    let text = String::from_utf8(sample.clone()).unwrap();
    let gone = "00000000-0000-4000-8000-000000000001";
    let other = format!("{}{gone},old gate,{SYSTEM}\n", text.replace("garage", "car park"));
    let other: String =
        other.lines().filter(|l| !l.contains("room 2")).map(|l| format!("{l}\n")).collect();
    std::fs::write(&file, &other).unwrap();
    let dry = pull(&site, &sandbox.url, &["--dry-run"]).await;
    assert_eq!(dry.code, 2);
    let expected = format!(
        "6 entrance(s): 1 added, 1 removed, 1 renamed\n\
         added    b8d1f6e3-2c47-4a95-9f0e-6a7b8c9d0e1f  room 2\n\
         removed  {gone}  old gate\n\
         renamed  0a9f3c52-6f5e-4d0b-b1d4-93c4e7a8f216  car park -> garage\n"
    );
    assert_eq!(dry.out, expected);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), other, "nothing was written");
    let wet = pull(&site, &sandbox.url, &["--format", "json"]).await;
    assert_eq!(wet.code, 0, "{}", wet.error);
    let shown: Value = serde_json::from_str(&wet.out).unwrap();
    assert_eq!((&shown["written"], &shown["entrances"]), (&json!(true), &json!(6)));
    assert_eq!(shown["added"][0]["display_name"], "room 2");
    assert_eq!(shown["removed"][0]["entrance_id"], gone);
    assert_eq!(shown["renamed"][0]["before"]["display_name"], "car park");
    assert_eq!(shown["renamed"][0]["after"]["acs_system_id"], SYSTEM);
    assert_eq!(std::fs::read(&file).unwrap(), sample);

    let new = site.path("policies/new.csv");
    let to_new = ["--out", new.to_str().unwrap()];
    assert_eq!(pull(&site, &sandbox.url, &[&to_new[..], &["--dry-run"]].concat()).await.code, 2);
    assert!(!new.exists());
    assert_eq!(pull(&site, &sandbox.url, &to_new).await.code, 0);
    assert_eq!(std::fs::read(&new).unwrap(), sample);
    let beside = std::fs::read_dir(site.path("policies")).unwrap().count();
    assert_eq!(beside, 5, "no temporary file is left");

    let catalogue = ["--catalogue", new.to_str().unwrap()];
    let list = run(&[&["entrances", "list"], &catalogue[..]].concat(), &[]);
    assert_eq!(list.out.lines().count(), 6);
    assert!(list.out.contains(&format!("{LOBBY}  main entrance\n")), "{}", list.out);
    let list = run(&[&["entrances", "list", "--format", "json"], &catalogue[..]].concat(), &[]);
    let list: Value = serde_json::from_str(&list.out).unwrap();
    assert_eq!(list[0]["display_name"], "garage");
    let find = |text: &str| run(&[&["entrances", "find", text], &catalogue[..]].concat(), &[]);
    for text in ["SERVER", "server room", SERVER_ROOM] {
        assert_eq!(find(text).out, format!("{SERVER_ROOM}  server room\n"));
    }
    let ambiguous = find("room");
    assert_eq!(ambiguous.code, 1);
    assert!(
        ambiguous.error.contains("`room` names 3 entrances: `room 1` ("),
        "{}",
        ambiguous.error
    );
    let unknown = find("main entrence");
    assert!(unknown.error.contains(&format!("did you mean `main entrance` ({LOBBY})?")));
    assert_eq!((unknown.code, find(gone).code), (1, 1));
}

#[tokio::test]
async fn what_cannot_be_used_is_told_and_nothing_is_overwritten() {
    let site = Site::new();
    let sandbox = Sandbox::start(&site);
    let file = site.path("policies/entrances.csv");
    let damaged = "entrance_id,display_name,acs_system_id\nx,y,z\n";
    std::fs::write(&file, damaged).unwrap();
    let refused = pull(&site, &sandbox.url, &[]).await;
    assert_eq!(refused.code, 3);
    assert!(refused.error.contains("entrances.csv:2:1: `x`: an entrance id"), "{}", refused.error);
    assert!(refused.error.contains("move it away and pull again"), "{}", refused.error);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), damaged);
    let catalogue = ["--catalogue", file.to_str().unwrap()];
    for command in [&["list"][..], &["find", "x"]] {
        assert_eq!(run(&[&["entrances"], command, &catalogue[..]].concat(), &[]).code, 3);
    }
    // Names are no reason not to serve.
    let config = site.path("grantgate.toml");
    let check = run(&["check", "--config", config.to_str().unwrap()], &[]);
    assert_eq!(check.code, 0);
    assert!(check.out.contains("warning: ") && check.out.contains("entrances.csv:2:1"));

    std::fs::remove_file(&file).unwrap();
    let missing = run(&[&["entrances", "list"], &catalogue[..]].concat(), &[]);
    assert_eq!(missing.code, 1);
    assert!(missing.error.contains("`grantgate entrances pull` writes it"), "{}", missing.error);
    assert_eq!(run(&["check", "--config", config.to_str().unwrap()], &[]).code, 0);
    let nowhere = site.path("none/entrances.csv");
    let unwritable = pull(&site, &sandbox.url, &["--out", nowhere.to_str().unwrap()]).await;
    assert_eq!(unwritable.code, 1);
    assert!(unwritable.error.contains("cannot be written"), "{}", unwritable.error);

    std::fs::write(site.path("secrets/seam_api_key"), "seam_another_key").unwrap();
    let stranger = pull(&site, &sandbox.url, &[]).await;
    assert_eq!(stranger.code, 1);
    assert!(stranger.error.contains("Seam refused the workspace key"), "{}", stranger.error);
    std::fs::remove_file(site.path("secrets/seam_api_key")).unwrap();
    let without = pull(&site, &sandbox.url, &[]).await;
    assert_eq!(without.code, 3);
    assert!(without.error.contains("secrets/seam_api_key: cannot be read"), "{}", without.error);
    assert!(!file.exists());
}

#[tokio::test]
async fn the_audit_log_is_shown_with_names() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    post(&site.client(), &gateway, &site.token, grant_body(LOBBY)).await;
    gateway.stop().await;
    let (log, file) = (site.path("audit"), site.path("policies/entrances.csv"));
    let show = |more: &[&str]| {
        let fixed = ["audit", "show", log.to_str().unwrap()];
        let shown = run(&[&fixed[..], more].concat(), &[]);
        assert_eq!(shown.code, 0, "{}", shown.error);
        shown
    };
    let named = ["--catalogue", file.to_str().unwrap()];
    let entrance = format!("entrance {LOBBY} (main entrance)  user identity ");
    assert!(show(&named).out.contains(&entrance), "{}", show(&named).out);
    assert!(!show(&[&named[..], &["--format", "json"]].concat()).out.contains("main entrance"));
    std::fs::write(&file, "damaged\n").unwrap();
    let shown = show(&named);
    assert!(shown.out.contains(&format!("entrance {LOBBY}  user identity ")), "{}", shown.out);
    assert!(shown.error.contains("warning: ") && shown.error.contains("entrances.csv:1"));
    std::fs::remove_file(&file).unwrap();
    assert!(show(&named).error.contains("does not exist: no names are shown"));
    assert_eq!(show(&[]).error, "", "nobody asked for names");
}

/// A page of Seam's with these names, numbered from `first`, and perhaps a next one.
fn page(first: usize, names: &[&str], next: Option<&str>) -> String {
    let entrances: Vec<Value> = (first..)
        .zip(names)
        .map(|(number, name)| {
            json!({
                "acs_entrance_id": format!("00000000-0000-4000-8000-{number:012}"),
                "acs_system_id": SYSTEM, "display_name": name, "errors": [],
            })
        })
        .collect();
    json!({
        "acs_entrances": entrances, "ok": true,
        "pagination": {
            "has_next_page": next.is_some(), "next_page_cursor": next, "next_page_url": null,
        },
    })
    .to_string()
}

fn cursors(seam: &Seam) -> Vec<Value> {
    let bodies =
        seam.requests().into_iter().map(|r| r.split_once("\r\n\r\n").unwrap().1.to_owned());
    bodies.map(|body| serde_json::from_str(&body).unwrap()).collect()
}

#[tokio::test]
async fn pages_are_followed_to_the_last_and_names_made_fit_to_print() {
    let site = Site::new();
    let pages = [
        page(1, &["Süd, Tor \"1\"", "正面玄関"], Some("c1")),
        page(3, &["be\u{7}ep\n", ""], Some("c2")),
        // An entrance that moved between pages meanwhile.
        page(4, &["annex", &"x".repeat(300)], None),
    ];
    let seam = Seam::start(&site, Behaviour::in_turn(&pages)).await;
    let done = pull(&site, &seam.url(), &[]).await;
    assert_eq!(done.code, 0, "{}", done.error);
    assert!(done.out.starts_with("5 entrance(s): 5 added, 6 removed, 0 renamed"), "{}", done.out);
    assert!(done.error.contains("3 name(s) are empty, too long or not fit"), "{}", done.error);
    let text = String::from_utf8(site.read("policies/entrances.csv")).unwrap();
    assert!(text.contains(",\"Süd, Tor \"\"1\"\"\",") && text.contains(",正面玄関,"), "{text}");
    assert!(text.contains(",be ep,") && text.contains(",annex,") && text.contains("x…,"), "{text}");
    let asked = [json!({"limit": 500}), json!({"limit": 500, "page_cursor": "c1"})];
    assert_eq!(cursors(&seam)[..2], asked);
    assert_eq!(cursors(&seam).len(), 3);
    let requests = seam.requests();
    let mut head: Vec<&str> = requests[0].split_once("\r\n\r\n").unwrap().0.lines().collect();
    head.sort_unstable();
    let host = seam.url().replace("https://", "host: ");
    let expected = [
        "POST /acs/entrances/list HTTP/1.1",
        "accept: application/json",
        &format!("authorization: Bearer {KEY}"),
        "content-length: 13",
        "content-type: application/json",
        &host,
        concat!("user-agent: grantgate/", env!("CARGO_PKG_VERSION")),
    ];
    assert_eq!(head, expected, "these headers and no others");

    let many: Vec<String> = (0..25).map(|n| format!("gate {n:02}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    seam.set(Behaviour::in_turn(&[page(100, &many, None)]));
    let done = pull(&site, &seam.url(), &["--dry-run"]).await;
    assert_eq!(done.out.lines().filter(|l| l.starts_with("added    0000")).count(), 20);
    assert!(done.out.contains("added    and 5 more\n"), "{}", done.out);
    seam.set(Behaviour::in_turn(&[page(1, &[], None)]));
    let empty = pull(&site, &seam.url(), &["--dry-run"]).await;
    assert!(empty.error.contains("is this the key of the right workspace?"), "{}", empty.error);
}

/// Another command may edit the catalogue while Seam is asked: what is told and written is
/// then compared with what that command left.
#[tokio::test]
async fn a_catalogue_that_another_command_edits_is_waited_for() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::in_turn(&[page(1, &["gate"], None)])).await;
    let policies = std::fs::File::open(site.path("policies")).unwrap();
    flock(&policies, FlockOperation::LockExclusive).unwrap();
    let editing = async {
        while seam.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        let id = "00000000-0000-4000-8000-000000000001";
        let text = format!("entrance_id,display_name,acs_system_id\n{id},old gate,{SYSTEM}\n");
        std::fs::write(site.path("policies/entrances.csv"), text).unwrap();
        drop(policies);
    };
    let url = seam.url();
    let (done, ()) = tokio::join!(pull(&site, &url, &[]), editing);
    assert_eq!(done.code, 0, "{}", done.error);
    assert!(done.out.starts_with("1 entrance(s): 0 added, 0 removed, 1 renamed"), "{}", done.out);
}

#[tokio::test]
async fn a_list_that_is_not_seams_ends_and_changes_nothing() {
    let site = Site::new();
    let before = site.read("policies/entrances.csv");
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let json = "application/json";
    let typed = r#"{"error":{"type":"invalid_input","message":"no such limit"},"ok":false}"#;
    let echo = format!(r#"{{"error":{{"type":"x","message":"Bearer {KEY}"}},"ok":false}}"#);
    let ok = page(1, &["a"], None);
    let huge = format!("{}{}", ok, " ".repeat(9 * 1024 * 1024));
    let table = [
        ("401", Behaviour::answer(401, json, &echo), "Seam refused the workspace key (status 401)"),
        ("403", Behaviour::answer(403, "text/html", ""), "Seam refused the workspace key"),
        ("400", Behaviour::answer(400, json, typed), "status 400: `invalid_input`, no such limit"),
        ("echo", Behaviour::answer(500, json, &echo), "status 500; try again later"),
        ("429", Behaviour::answer(429, json, "{}"), "status 429; wait a while"),
        ("redirect", Behaviour::answer_with(302, json, "location: /\r\n", &ok), "status 302"),
        ("201", Behaviour::answer(201, json, &ok), "status 201"),
        ("HTML", Behaviour::answer(200, "text/html", "<html>"), "page 1 is not JSON"),
        ("not a page", Behaviour::confirm(), "`acs_entrances` must be a list"),
        ("not ok", Behaviour::answer(200, json, &ok.replace("true", "false")), "`ok` is not true"),
        ("broken", Behaviour::answer(200, json, &ok[..50]), "page 1 is not as Seam's"),
        ("huge", Behaviour::answer(200, json, &huge), "page 1 is larger than 4 MiB"),
        (
            "key as name",
            Behaviour::answer(200, json, &page(1, &[KEY], None)),
            "repeats the workspace key",
        ),
        (
            "circle",
            Behaviour::in_turn(&[page(1, &["a"], Some("c")), page(2, &["b"], Some("c"))]),
            "leads back to an earlier page",
        ),
        ("closed", Behaviour::Close, "`localhost` broke off or is not HTTP: "),
        (
            "cut off",
            Behaviour::AnswerAndClose(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"
                    .to_vec(),
            ),
            "broke off or is not HTTP: ",
        ),
        (
            "key as status",
            Behaviour::AnswerAndClose(format!("HTTP/1.1 {KEY}\r\n\r\n").into_bytes()),
            "broke off or is not HTTP: ",
        ),
        ("silence", Behaviour::Hang, "did not answer within 1500 ms"),
    ];
    for (name, behaviour, expected) in table {
        seam.set(behaviour);
        let failed = pull(&site, &seam.url(), &[]).await;
        assert_eq!(failed.code, 1, "{name}: {}{}", failed.out, failed.error);
        assert!(failed.error.contains(expected), "{name}: {}", failed.error);
        assert!(failed.error.contains("nothing was written"), "{name}: {}", failed.error);
        assert_eq!(site.read("policies/entrances.csv"), before, "{name}");
    }
    let url = seam.url();
    drop(seam);
    let nobody = pull(&site, &url, &[]).await;
    assert_eq!(nobody.code, 1);
    let refused = "no connection to `localhost`: Connection refused";
    assert!(nobody.error.contains(refused), "{}", nobody.error);
    let other = Site::new();
    let seam = Seam::start(&other, Behaviour::answer(200, json, &ok)).await;
    let impostor = pull(&site, &seam.url(), &[]).await;
    let unproven = "no connection to `localhost`: invalid peer certificate";
    assert!(impostor.error.contains(unproven), "{}", impostor.error);
    assert!(seam.requests().is_empty(), "no key for an unknown certificate");
}

#[tokio::test]
async fn a_list_without_an_end_is_given_up() {
    let site = Site::new();
    let pages: Vec<String> = (0..1_100).map(|n| page(n, &["a"], Some(&format!("c{n}")))).collect();
    let seam = Seam::start(&site, Behaviour::in_turn(&pages)).await;
    let endless = pull(&site, &seam.url(), &[]).await;
    assert_eq!(endless.code, 1);
    assert!(endless.error.contains("the list has more than 1000 pages"), "{}", endless.error);
    assert_eq!(seam.requests().len(), 1_000);
}

#[tokio::test]
async fn the_sandbox_pages_as_seam_does_and_knows_its_key() {
    let site = Site::new();
    let sandbox = Sandbox::start(&site);
    let url = format!("{}{LIST}", sandbox.url);
    let client = site.client();
    let ask = async |key: &str, body: Value| {
        let request = client.post(&url).bearer_auth(key).header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap();
        assert!(answer.headers().contains_key("seam-request-id"));
        let status = answer.status().as_u16();
        (status, serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap())
    };
    let mut seen = Vec::new();
    let mut body = json!({"limit": 4});
    for pages_left in [1, 0] {
        let (status, page) = ask(KEY, body.clone()).await;
        assert_eq!((status, &page["ok"]), (200, &json!(true)));
        seen.extend(page["acs_entrances"].as_array().unwrap().clone());
        let pagination = &page["pagination"];
        assert_eq!(pagination["has_next_page"], json!(pages_left == 1));
        body["page_cursor"] = pagination["next_page_cursor"].clone();
    }
    assert!(body["page_cursor"].is_null());
    assert_eq!(seen.len(), 6);
    assert_eq!(seen[0]["acs_entrance_id"], LOBBY);
    assert_eq!(seen[0]["display_name"], "main entrance");
    let (status, error) = ask("seam_another_key", json!({})).await;
    assert_eq!((status, &error["error"]["type"]), (401, &json!("unauthorized")));
    let (status, error) = ask(KEY, json!({"limit": 1001})).await;
    assert_eq!((status, &error["error"]["type"]), (400, &json!("invalid_input")));
    assert_eq!(client.get(&url).send().await.unwrap().status(), 405);
}
