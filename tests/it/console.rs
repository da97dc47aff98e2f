//! The console over real sockets: who may look, who may order, and what is refused.
//! What pages show is tested with a browser, in `tests/console`.

mod answers;
mod drafts;
mod stream;

use std::time::{Duration, Instant};

use rcgen::SanType;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::issuers::client_with;
use crate::seam::{Behaviour, Seam};
use crate::support::authority::Authority;
use crate::support::issuer::{Issuer, append, claims, with};
use crate::support::minter::{Signer, jwks};
use crate::support::{Gateway, LOBBY, SERVER_ROOM, Site, fresh_grant, grantgate, of_event, post};

const LOCAL: (&str, &str) = ("GRANTGATE__CONSOLE__LOCAL", "on");

/// A request on loopback, with this `Host`: status, and the whole answer.
async fn local(gateway: &Gateway, head: &str, host: &str, more: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(gateway.admin).await.unwrap();
    let (more, body) = more.split_once("\n\n").unwrap_or((more, ""));
    let more: String = more.lines().flat_map(|line| [line, "\r\n"]).collect();
    let length = body.len();
    let request = format!(
        "{head} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n{more}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

async fn get(gateway: &Gateway, path: &str) -> (u16, String) {
    local(gateway, &format!("GET {path}"), "localhost", "").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_loopback_it_is_off_unless_it_is_turned_on_and_changes_nothing() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let off = site.start(&seam, &[]).await;
    let (status, answer) = get(&off, "/console/audit").await;
    assert!(status == 403 && answer.contains("set `local = &quot;on&quot;`"), "{answer}");
    off.stop().await;

    let gateway = site.start(&seam, &[LOCAL]).await;
    let (status, answer) = get(&gateway, "/console").await;
    assert_eq!(status, 200);
    for header in [
        "content-security-policy: default-src 'none'; script-src 'self';",
        "trusted-types 'none'",
        "x-content-type-options: nosniff",
        "referrer-policy: same-origin",
        "cache-control: no-store",
        "cross-origin-opener-policy: same-origin",
        "cross-origin-resource-policy: same-origin",
    ] {
        assert!(answer.contains(header), "{header}: {answer}");
    }
    // A page of somebody else, whose name leads here (DNS rebinding).
    for host in ["attacker.example", "localhost.attacker.example", "192.0.2.1"] {
        assert_eq!(local(&gateway, "GET /console/audit", host, "").await.0, 403, "{host}");
    }
    // It reads nothing else of the gateway either; a probe may call it what it likes.
    for (path, status) in [("/status", 403), ("/metrics", 403), ("/readyz", 200), ("/livez", 200)] {
        let head = format!("GET {path}");
        assert_eq!(local(&gateway, &head, "attacker.example", "").await.0, status, "{path}");
        assert_eq!(local(&gateway, &head, "[::1]:9464", "").await.0, 200, "{path}");
    }
    let own = format!("http://{}", gateway.admin);
    let host = gateway.admin.to_string();
    let form = "do=freeze&scope=everything&typed=everything&why=test";
    for more in [
        format!("origin: {own}\nsec-fetch-site: same-origin\n\n{form}"),
        format!("origin: https://attacker.example\nsec-fetch-site: cross-site\n\n{form}"),
        format!("\n\n{form}"),
    ] {
        let (status, _) = local(&gateway, "POST /console/orders", &host, &more).await;
        assert!([403, 422].contains(&status), "{status}: {more}");
    }
    assert!(of_event(&site.records(), "order.change").is_empty());
    // A page of another site has its visitor's browser ask for work.
    for more in [
        "sec-fetch-site: cross-site\nsec-fetch-mode: no-cors\nsec-fetch-dest: image",
        "sec-fetch-site: same-site\nsec-fetch-mode: cors\nsec-fetch-dest: empty",
    ] {
        let asked = local(&gateway, "GET /console/audit", "localhost", more).await;
        assert!(asked.0 == 403 && asked.1.contains("of another site"), "{}", asked.1);
    }
    // No form but a draft is large.
    let long = format!("origin: {own}\nsec-fetch-site: same-origin\n\nwhy={}", "x".repeat(70_000));
    assert_eq!(local(&gateway, "POST /console/orders", &host, &long).await.0, 413);
    assert_eq!(local(&gateway, "POST /console/diff", &host, &long).await.0, 200);
    // A draft is an edit of the rules in force, which are short here: it is refused before it comes.
    let head = "POST /console/diff HTTP/1.1\r\nhost: localhost\r\nsec-fetch-site: same-origin\r\n\
                origin: http://localhost\r\ncontent-length: 9000000\r\n\r\n";
    let mut stream = tokio::net::TcpStream::connect(gateway.admin).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer.as_slice(), b"HTTP/1.1 413");
    for path in ["/console/nothing", "/console/assets/nothing", "/consoles"] {
        assert_eq!(get(&gateway, path).await.0, 404, "{path}");
    }
    assert_eq!(local(&gateway, "DELETE /console", "localhost", "").await.0, 405);
    assert_eq!(local(&gateway, "POST /console/audit", "localhost", "").await.0, 405);
    gateway.stop().await;
}

/// What was asked for and is not understood is refused with what to do, and as JSON for programs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_understood_is_refused_with_what_to_do() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[LOCAL]).await;
    for (path, part) in [
        ("who?entrance=nowhere", "No entrance is called"),
        ("who?entrance=main&days=0", "from 1 to 366"),
        ("doors?caller=nobody", "is not in the callers file"),
        ("doors?caller=visitor-desk&act=open", "neither `grant` nor `read`"),
        ("what-if?caller=visitor-desk&entrance=main&at=tonight", "RFC 3339"),
        ("audit?reason=because", "No reason has the code"),
        ("audit?since=2026-11-31", "RFC 3339"),
        ("audit?since=1h&until=2h", "nothing is both after"),
        ("audit?limit=0", "from 1 to 10000"),
        ("audit?for=anna", "is no person"),
        ("audit/record?seq=999999", "has no record 999999"),
        ("audit/proof?seq=999999", "999999"),
        ("live/stream?decision=perhaps", "neither `allow` nor `deny`"),
        ("policy?skip=-1", "must be a number"),
    ] {
        let (status, answer) = get(&gateway, &format!("/console/{path}")).await;
        assert!(status == 422 && answer.contains(part), "{path}: {answer}");
        let (status, answer) = get(&gateway, &format!("/console/{path}&format=json")).await;
        let is_live = path.starts_with("live");
        assert!(status == 422 && (is_live || answer.contains("{\"error\":")), "{path}: {answer}");
    }
    gateway.stop().await;
}

fn named(authority: &Authority, serial: u64, name: &str) -> (Vec<u8>, Vec<u8>) {
    authority.issue_with(serial, |params| {
        params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
    })
}

const REMOTE: [(&str, &str); 4] = [
    ("GRANTGATE__ADMIN__REMOTE__ADDRESS", "127.0.0.1:0"),
    ("GRANTGATE__ADMIN__REMOTE__CERTIFICATE_FILE", "certs/server.pem"),
    ("GRANTGATE__ADMIN__REMOTE__PRIVATE_KEY_FILE", "certs/server.key"),
    ("GRANTGATE__ADMIN__REMOTE__CLIENT_CA_FILE", "certs/people-ca.pem"),
];

/// Sends a form as a page of the console does: status and text.
async fn send(client: &reqwest::Client, base: &str, form: &str) -> (u16, String) {
    let request = client.post(format!("{base}/console/orders")).body(form.to_owned());
    let answer = request.header("origin", base).header("sec-fetch-site", "same-origin").send();
    let answer = answer.await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_freezes_and_a_viewer_looks() {
    let site = Site::new();
    let people = Authority::new_in(&site, "certs/people-ca.pem");
    let text = String::from_utf8(site.read("grantgate.toml")).unwrap();
    let text = text.replace(
        "[console]\n",
        "[console]\nviewers = [\"dns:anna.example\"]\noperators = [\"dns:chris.example\"]\n",
    );
    std::fs::write(site.path("grantgate.toml"), text).unwrap();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &REMOTE).await;
    let base = format!("https://localhost:{}", gateway.remote_admin.unwrap().port());
    let client = |serial, name| {
        let (chain, key) = named(&people, serial, name);
        client_with(&site, &chain, &key)
    };
    let (viewer, operator) = (client(1, "anna.example"), client(2, "chris.example"));
    let stranger = client(3, "scraper.example");
    let page = async |client: &reqwest::Client, path: &str| {
        let answer = client.get(format!("{base}{path}")).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, said) = page(&stranger, "/console/audit").await;
    assert!(status == 403 && said.contains("You are `dns:scraper.example`"), "{said}");
    assert_eq!(page(&stranger, "/metrics").await.0, 200, "whoever scrapes goes on to");
    let (status, said) = page(&viewer, "/console/orders").await;
    assert!(status == 200 && said.contains("viewer") && !said.contains("id=\"freeze\""), "{said}");
    assert!(page(&operator, "/console/orders").await.1.contains("id=\"freeze\""));

    let freeze = "do=freeze&scope=caller&caller=visitor-desk&why=token+%3Cb%3Estolen";
    let (status, said) = send(&viewer, &base, freeze).await;
    assert!(status == 422 && said.contains("Only operators"), "{said}");
    // Of another page, and by a program that says nothing of it.
    let bare = operator.post(format!("{base}/console/orders")).body(freeze);
    assert_eq!(bare.send().await.unwrap().status(), 403);
    let foreign = operator.post(format!("{base}/console/orders")).body(freeze);
    let foreign = foreign.header("origin", "https://attacker.example");
    let foreign = foreign.header("sec-fetch-site", "cross-site").send().await.unwrap();
    assert_eq!(foreign.status(), 403);
    for (form, part) in [
        ("do=freeze&scope=caller&caller=visitor-desk", "Say why"),
        ("do=freeze&scope=caller&caller=nobody&why=x", "not in the callers file"),
        ("do=freeze&scope=everything&why=x", "type `everything`"),
        ("do=freeze&scope=zone&zone=zone%3Anone&why=x", "names no zone"),
        ("do=freeze&scope=caller&caller=visitor-desk&for=soon&why=x", "must be a number"),
        ("do=freeze&scope=caller&caller=visitor-desk&for=0&why=x", "more than nothing"),
        ("do=freeze&scope=caller&caller=visitor-desk&entrance=main&why=x", "one door is filled in"),
        ("do=freeze&scope=zone&zone=zone%3Alobby&typed=everything&why=x", "every grant is filled"),
        ("do=allow&caller=visitor-desk&entrance=main&why=x", "For how long"),
        ("do=allow&caller=visitor-desk&entrance=main&for=99d&why=x", "at most"),
        ("do=lift&order=7&why=x", "7"),
        ("do=open&why=x", "freeze"),
    ] {
        let (status, said) = send(&operator, &base, form).await;
        assert!(status == 422 && said.contains(part), "{form}: {status} {said}");
        // One wrong click makes no exception of what was typed for a freeze, nor the other way.
        let (freeze, allow) = said.split_once("id=\"allow\"").unwrap();
        let other = if form.starts_with("do=freeze") { allow } else { freeze };
        assert!(!other.contains("value=\"visitor-desk\" autocomplete"), "{form}: {said}");
    }
    assert!(of_event(&site.records(), "order.change").is_empty());
    let callers = site.client();
    let granted = async || {
        let answer = post(&callers, &gateway, &site.token, fresh_grant(LOBBY)).await;
        answer.status().as_u16()
    };
    assert_eq!(granted().await, 200);
    assert_eq!(send(&operator, &base, freeze).await.0, 303);
    let since = Instant::now();
    while granted().await != 403 {
        assert!(since.elapsed() < Duration::from_secs(5), "the freeze does not hold");
    }
    let (_, shown) = page(&viewer, "/console/orders").await;
    assert!(shown.contains("token &lt;b&gt;stolen") && !shown.contains("<b>stolen"), "{shown}");
    assert_eq!(send(&operator, &base, "do=lift&order=1&why=replaced").await.0, 303);
    let since = Instant::now();
    while granted().await != 200 {
        assert!(since.elapsed() < Duration::from_secs(5), "the freeze still holds");
    }
    // What a rule denies, no exception allows.
    let none = format!("do=allow&caller=visitor-desk&entrance={SERVER_ROOM}&for=2h&why=a%1Bfitter");
    assert_eq!(send(&operator, &base, &none).await.0, 422, "a character that moves a cursor");
    assert_eq!(send(&operator, &base, &none.replace("%1B", "+%E2%80%AE")).await.0, 303);
    let (_, shown) = page(&viewer, "/console/orders").await;
    for part in ["It is of no use: ", "a \\u{202e}fitter", "(server room)"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let records = site.records();
    let orders = of_event(&records, "order.change");
    let said = |record: &&Value| (record["by"].clone(), record["why"].clone());
    let orders: Vec<_> = orders.iter().map(said).collect();
    let by = json!("console:dns:chris.example");
    assert_eq!(orders[0], (by.clone(), json!("token <b>stolen")));
    assert_eq!(orders[1].0, by);
    gateway.stop().await;
}

/// What enough people signed for all gateways is not one person's to take back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_operator_takes_back_what_is_signed() {
    let site = Site::new();
    let people = Authority::new_in(&site, "certs/people-ca.pem");
    let text = String::from_utf8(site.read("grantgate.toml")).unwrap();
    let text = text.replace("[console]\n", "[console]\noperators = [\"dns:chris.example\"]\n");
    std::fs::write(site.path("grantgate.toml"), text).unwrap();
    let config = site.path("grantgate.toml").display().to_string();
    let freeze = ["freeze", "--reason", "stolen", "--config", &config];
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_grantgate"))
        .args(freeze)
        .env("GRANTGATE__ADMIN__ADDRESS", "127.0.0.1:9")
        .output();
    assert_eq!(output.unwrap().status.code(), Some(2), "no gateway runs yet");
    let mut file: Value = serde_json::from_slice(&site.read("orders.json")).unwrap();
    file["orders"][0]["directive"] = json!("0123456789abcdef0123456789abcdef");
    std::fs::write(site.path("orders.json"), file.to_string()).unwrap();

    let gateway = site.start(&Seam::start(&site, Behaviour::confirm()).await, &REMOTE).await;
    let base = format!("https://localhost:{}", gateway.remote_admin.unwrap().port());
    let (chain, key) = named(&people, 1, "chris.example");
    let operator = client_with(&site, &chain, &key);
    let (status, said) = send(&operator, &base, "do=lift&order=1&why=me").await;
    assert!(status == 422 && said.contains("was given to all gateways"), "{said}");
    let answer = post(&site.client(), &gateway, &site.token, fresh_grant(LOBBY)).await;
    assert_eq!(answer.status(), 403, "it holds");
    gateway.stop().await;
}

/// Behind a proxy the token says who it is, and the certificate is the proxy's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxys_token_says_who_a_person_is() {
    let site = Site::new();
    let people = Authority::new_in(&site, "certs/people-ca.pem");
    let signer = Signer::new("ec-1", "ES256");
    std::fs::write(site.path("keys.json"), jwks(&[&signer])).unwrap();
    Issuer::configure(&site, "jwks_file = \"keys.json\"");
    let text = String::from_utf8(site.read("grantgate.toml")).unwrap();
    let text = text.replace(
        "[console]\n",
        "[console]\nissuer = \"main\"\ntoken_header = \"x-token\"\nproxies = [\"dns:proxy.example\"]\nclaim = \"email\"\n\
         viewers = [\"jwt:anna@example.org\", \"dns:listed.example\"]\n",
    );
    std::fs::write(site.path("grantgate.toml"), text).unwrap();
    append(&site, "grantgate.toml", "");
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &REMOTE).await;
    let base = format!("https://localhost:{}", gateway.remote_admin.unwrap().port());
    let client = |serial, name| {
        let (chain, key) = named(&people, serial, name);
        client_with(&site, &chain, &key)
    };
    let (proxy, listed) = (client(1, "proxy.example"), client(2, "listed.example"));
    let asks = async |client: &reqwest::Client, tokens: &[&str]| {
        let mut request = client.get(format!("{base}/console"));
        for token in tokens {
            request = request.header("x-token", *token);
        }
        request.send().await.unwrap().status().as_u16()
    };
    let mut anna = with("email", json!("anna@example.org"));
    anna["email_verified"] = json!(true);
    let good = signer.token(&anna);
    assert_eq!(asks(&proxy, &[&good]).await, 200);
    assert_eq!(asks(&proxy, &[&format!("Bearer {good}")]).await, 200);
    assert_eq!(asks(&proxy, &[]).await, 403, "a proxy is nobody by itself");
    assert_eq!(asks(&proxy, &[&good, &good]).await, 403);
    assert_eq!(asks(&listed, &[]).await, 200);
    // A token goes before the certificate, whatever it is, and is the proxy's to bring.
    assert_eq!(asks(&listed, &["nonsense"]).await, 403);
    assert_eq!(asks(&listed, &[&good]).await, 403);
    assert_eq!(asks(&client(3, "scraper.example"), &[&good]).await, 403);
    // Nor is it somebody by another name that its certificate has, too.
    let (chain, key) = people.issue_with(4, |params| {
        let names = ["listed.example", "proxy.example"];
        params.subject_alt_names =
            names.map(|name| SanType::DnsName(name.try_into().unwrap())).into();
    });
    assert_eq!(asks(&client_with(&site, &chain, &key), &[]).await, 403);
    let mut long = anna.clone();
    long["more"] = json!("x".repeat(8 << 10));
    let mut other = anna.clone();
    other["email"] = json!("ben@example.org");
    let unverified = with("email", json!("anna@example.org"));
    let mut late = anna.clone();
    late["exp"] = json!(1_000_000_000);
    let mut elsewhere = anna.clone();
    elsewhere["aud"] = json!("somewhere else");
    let forged = Signer::new("ec-1", "ES256");
    for (name, token) in [
        ("somebody else", signer.token(&other)),
        ("an address that nobody has looked at", signer.token(&unverified)),
        ("no address", signer.token(&claims())),
        ("too long", signer.token(&long)),
        ("too late", signer.token(&late)),
        ("for somebody else", signer.token(&elsewhere)),
        ("of another key", forged.token(&anna)),
    ] {
        assert_eq!(asks(&proxy, &[&token]).await, 403, "{name}");
    }
    gateway.stop().await;
}

/// What a page says is what the command line says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_is_that_of_the_command_line() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[LOCAL]).await;
    post(&site.client(), &gateway, &site.token, fresh_grant(LOBBY)).await;
    let path = |file: &str| site.path(file).to_str().unwrap().to_owned();
    let (model, rules) = (path("policies/model.conf"), path("policies/policy.csv"));
    let (callers, names) = (path("callers.toml"), path("policies/entrances.csv"));
    let orders = path("orders.json");
    let files = [
        "--model",
        &model,
        "--rules",
        &rules,
        "--callers",
        &callers,
        "--entrances",
        &names,
        "--orders",
        &orders,
        "--format",
        "json",
    ];
    let shown = async |page: &str| {
        let (status, answer) = get(&gateway, &format!("/console/{page}&format=json")).await;
        assert_eq!(status, 200, "{answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let at = "2026-11-25T20:00:00Z";
    let said = grantgate(&[&["policy", "who", LOBBY, "--from", at], &files[..]].concat());
    assert_eq!(json(&shown(&format!("who?entrance={LOBBY}&from={at}")).await), json(&said));
    let said = grantgate(&[&["policy", "doors", "facilities", "--from", at], &files[..]].concat());
    assert_eq!(json(&shown(&format!("doors?caller=facilities&from={at}")).await), json(&said));
    let said = [&["policy", "explain", "facilities", LOBBY, "--at", at], &files[..]].concat();
    let page = shown(&format!("what-if?caller=facilities&entrance={LOBBY}&at={at}")).await;
    assert_eq!(json(&page), json(&grantgate(&said)));
    let log = path("audit");
    let said = grantgate(&["audit", "query", &log, "--last", "50", "--format", "json"]);
    assert_eq!(shown("audit?limit=50").await, said);
    gateway.stop().await;
}
