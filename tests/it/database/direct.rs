//! Orders that reach gateways while the database does not: told directly, and believed as little.

use std::os::unix::fs::PermissionsExt as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use grantgate::bundle::{Directed, Directive};
use grantgate::domain::{CallerId, DirectiveId, EntranceId, OrderKind};

use super::authors::{Authors, OFFICE, status_of};
use super::*;
use crate::support::authority::Authority;
use crate::support::until;
use crate::support::wire::Wire;

const REMOTE: [(&str, &str); 4] = [
    ("GRANTGATE__ADMIN__REMOTE__ADDRESS", "127.0.0.1:0"),
    ("GRANTGATE__ADMIN__REMOTE__CERTIFICATE_FILE", "certs/server.pem"),
    ("GRANTGATE__ADMIN__REMOTE__PRIVATE_KEY_FILE", "certs/server.key"),
    ("GRANTGATE__ADMIN__REMOTE__CLIENT_CA_FILE", "certs/monitoring-ca.pem"),
];

/// Two gateways that take signed orders from who has a certificate.
struct Two {
    authors: Authors,
    other: Site,
    seams: [Seam; 2],
}

impl Two {
    async fn new() -> Option<Self> {
        let authors = Authors::new().await?;
        authors.publish();
        let other = another(&authors.site, &authors.server);
        let operators = Authority::new_in(&authors.site, "certs/monitoring-ca.pem");
        let (chain, key) = operators.issue(7);
        authors.lead(&[&authors.site, &other]);
        let both = [&authors.site, &other].map(|site| site.read("certs/servers-ca.pem")).concat();
        std::fs::write(authors.site.path("servers-ca.pem"), both).unwrap();
        std::fs::write(other.path("certs/monitoring-ca.pem"), operators.pem()).unwrap();
        std::fs::write(authors.site.path("operator.pem"), chain).unwrap();
        std::fs::write(authors.site.path("operator.key"), key).unwrap();
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(authors.site.path("operator.key"), mode).unwrap();
        let seams = [
            Seam::start(&authors.site, Behaviour::confirm()).await,
            Seam::start(&other, Behaviour::confirm()).await,
        ];
        Some(Self { authors, other, seams })
    }

    async fn start(&self, more: &[(&str, &str)]) -> [Gateway; 2] {
        let more = [&REMOTE[..], more].concat();
        let north = self.authors.site.start(&self.seams[0], &more).await;
        [north, self.other.start(&self.seams[1], &more).await]
    }

    /// The command names these gateways from now on.
    fn name(&self, gateways: &[Gateway; 2]) {
        let file = self.authors.site.path("publisher.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.split("[direct]").next().unwrap();
        let urls = gateways
            .each_ref()
            .map(|one| format!("https://localhost:{}", one.remote_admin.unwrap().port()));
        let direct = format!(
            "[direct]\ngateways = {urls:?}\nca_file = \"servers-ca.pem\"\n\
             certificate_file = \"operator.pem\"\nprivate_key_file = \"operator.key\"\n"
        );
        std::fs::write(&file, format!("{text}{direct}")).unwrap();
    }

    /// What each answers to a grant.
    async fn statuses(&self, [north, south]: &[Gateway; 2]) -> [u16; 2] {
        // Both take callers and their tokens from the bundle.
        let site = &self.authors.site;
        let south = post(&self.other.client(), south, &site.token, fresh_grant(LOBBY)).await;
        [status_of(site, north, LOBBY).await, south.status().as_u16()]
    }

    fn order(&self, arguments: &[&str]) -> (i32, String, String) {
        self.authors.order(arguments)
    }

    /// An order that Alice and Bob have signed.
    fn note(&self, what: Directed) -> (DirectiveId, String) {
        let now = jiff::Timestamp::now().round(jiff::Unit::Second).unwrap();
        let name = "example.org/doors".to_owned();
        let directive = Directive::new(name, (now, "alice".into()), what, "a test".into());
        let text = directive.to_string();
        let line = |key: &str| {
            let key = String::from_utf8(self.authors.site.read(key)).unwrap();
            grantgate::note::SigningKey::parse(&key).unwrap().signature(&text)
        };
        let lines = ["alice.key", "bob.key"].map(line);
        (directive.id, grantgate::note::join(&text, &lines))
    }
}

/// That the visitor desk may grant the office, for so many hours.
fn exception(hours: i64) -> Directed {
    let desk = CallerId::parse("visitor-desk").unwrap();
    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
    let end = end.round(jiff::Unit::Second).unwrap();
    Directed::Given(OrderKind::Exception(desk, EntranceId::parse(OFFICE).unwrap()), Some(end))
}

/// The signed order that the command prints to be kept.
fn kept(out: &str) -> &str {
    out.split("\n\n").nth(1).map(|_| &out[out.find("\n\ngrantgate").unwrap() + 2..]).unwrap()
}

fn id_of(printed: &str) -> String {
    printed.lines().find_map(|line| line.strip_prefix("id ")).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_freeze_reaches_gateways_without_the_database_and_the_database_later() {
    let Some(mut two) = Two::new().await else { return };
    let gateways = two.start(&[]).await;
    two.name(&gateways);
    assert_eq!(two.statuses(&gateways).await, [200, 200]);
    let [alice, bob] = ["alice.key", "bob.key"].map(|name| two.authors.path(name));
    two.authors.server.kill();

    let (code, out, error) = two.order(&["freeze", "--reason", "stolen", "--key", &alice]);
    assert_eq!(code, 2, "{out}{error}");
    assert!(error.contains("2 gateway(s) follow it, told directly, after "), "{error}");
    assert!(error.contains("the database does not say that it has it"), "{error}");
    assert_eq!(two.statuses(&gateways).await, [403, 403], "in force when the command says so");
    let (frozen, note) = (id_of(&out), kept(&out).to_owned());
    // Kept, and recorded, as one of the database.
    let records = || [&two.authors.site, &two.other].map(Site::records);
    until("both have recorded it", || {
        records().iter().all(|log| log.iter().any(|one| one["directive"] == frozen.as_str()))
    })
    .await;
    let [north, south] = gateways;
    north.stop().await;
    south.stop().await;
    let gateways = two.start(&[]).await;
    two.name(&gateways);
    assert_eq!(two.statuses(&gateways).await, [403, 403]);

    // What takes two signatures needs the database, or somebody at each machine.
    let lift = ["unfreeze", &frozen, "--reason", "over", "--key", &alice];
    let (code, _, error) = two.order(&lift);
    assert!(code == 1 && error.contains("it takes 2 signatures"), "{code} {error}");
    let (code, _, error) = two.order(&["unfreeze", &frozen[..8], "--reason", "x", "--key", &alice]);
    assert!(code == 1 && error.contains("write all 32"), "{code} {error}");

    two.authors.server.run().await;
    for gateway in &gateways {
        until_said(gateway, "[+] database").await;
    }
    let file = two.authors.path("freeze.note");
    std::fs::write(&file, format!("\n{note}\n\n")).unwrap();
    let (code, out, error) = two.order(&["deliver", &file]);
    assert!(code == 0 && out.contains("freeze everything"), "{code} {out}{error}");
    assert!(error.contains("\n2 gateway(s) follow it, after"), "{error}");
    assert!(two.order(&["orders"]).1.contains(&frozen));
    for site in [&two.authors.site, &two.other] {
        let given = site.records();
        let given = of_event(&given, "order.change");
        assert_eq!(given.len(), 1, "told twice and done once: {given:?}");
    }

    // Once it was taken back, nobody puts it in force again by telling it once more.
    let (code, _, error) = two.order(&lift);
    let next = error.split("countersign ").nth(1).unwrap().split('`').next().unwrap();
    assert_eq!(code, 2, "{error}");
    assert_eq!(two.order(&["countersign", next, "--key", &bob]).0, 0);
    for gateway in &gateways {
        until_said(gateway, "[+] orders: none").await;
    }
    assert_eq!(two.order(&["deliver", &file]).0, 0);
    assert_eq!(two.statuses(&gateways).await, [200, 200]);
    for gateway in gateways {
        gateway.stop().await;
    }
}

/// Neither the command nor the gateways wait for a database that takes connections and says nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_keeps_no_freeze_away() {
    let Some(two) = Two::new().await else { return };
    let port = two.authors.server.port();
    let wire = Wire::to(port).await;
    let through = |url: &str| url.replace(&format!(":{port}/"), &format!(":{}/", wire.port));
    let url = through(&two.authors.server.url("gateway"));
    let gateways = two.start(&[("GRANTGATE__DATABASE__URL", &url)]).await;
    two.name(&gateways);
    for gateway in &gateways {
        until_said(gateway, "[+] database").await;
    }
    let file = two.authors.site.path("publisher.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, through(&text)).unwrap();
    // Nothing comes through for longer than this takes.
    wire.delay(Duration::from_secs(60));
    let since = std::time::Instant::now();
    let alice = two.authors.path("alice.key");
    let order = ["freeze", "--caller", "visitor-desk", "--reason", "stolen", "--key", &alice];
    let (code, out, error) = two.order(&order);
    assert!(code == 2 && error.contains("2 gateway(s) follow it, told directly"), "{out}{error}");
    assert!(
        error.contains("`visitor-desk` could not be looked up and is taken as it is"),
        "{error}"
    );
    assert!(since.elapsed() < Duration::from_secs(8), "{:?}", since.elapsed());
    assert_eq!(two.statuses(&gateways).await[0], 403);
    for gateway in gateways {
        gateway.stop().await;
    }
}

/// Signatures decide, whoever tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_believed_who_only_brings_an_order() {
    let Some(two) = Two::new().await else { return };
    let gateways = two.start(&[]).await;
    two.name(&gateways);
    let site = &two.authors.site;
    let alice = two.authors.path("alice.key");
    let (code, out, error) = two.order(&[
        "allow",
        "visitor-desk",
        LOBBY,
        "--for",
        "1h",
        "--reason",
        "x",
        "--key",
        &alice,
    ]);
    assert_eq!(code, 2, "{error}");
    let text = out.split("\n\n").next().unwrap().trim_end().to_owned() + "\n";
    let client = || {
        let identity = [site.read("operator.pem"), site.read("operator.key")];
        let identity = grantgate::tls::Identity::from_pem(
            grantgate::tls::PemFile { name: "chain", bytes: &identity[0] },
            grantgate::tls::PemFile { name: "key", bytes: &identity[1] },
        );
        let authority = site.read("certs/servers-ca.pem");
        let authority = grantgate::tls::PemFile { name: "ca", bytes: &authority };
        let tls = grantgate::tls::ClientTls::new(&grantgate::tls::Roots::Only(authority)).unwrap();
        let tls = tls.presenting(&identity.unwrap()).into_config();
        reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
    };
    let url = format!("https://localhost:{}/orders", gateways[0].remote_admin.unwrap().port());
    let bring = async |body: Vec<u8>| {
        let answer = client().post(&url).body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    // By one of two, in her true words; by nobody; by a stranger of her name; no text, and far too much.
    let line = |key: &str| {
        let key = grantgate::note::SigningKey::parse(std::str::from_utf8(&site.read(key)).unwrap());
        key.unwrap().signature(&text)
    };
    grantgate(&["audit", "keygen", "alice", "--out", &two.authors.path("mallory.key")]);
    let note = |line: &str| format!("{text}\n{line}").into_bytes();
    for (body, status, said) in [
        (
            note(&line("alice.key")),
            422,
            "it is signed by 1 of the keys that are trusted, and it takes 2",
        ),
        (text.clone().into_bytes(), 422, "not a signed note"),
        (note(&line("mallory.key")), 422, "alice"),
        (note(&line("alice.key").repeat(2)), 422, ""),
        // By enough, and more than may be here.
        (two.note(exception(24 * 365)).1.into_bytes(), 422, "an exception may last"),
        (vec![0xff; 40], 422, "text in UTF-8"),
        (vec![b'a'; 65 << 10], 413, "at most 65536 bytes"),
    ] {
        let (found, text) = bring(body).await;
        assert!(found == status && text.contains(said), "{found} {text}");
    }
    let get = client().get(&url).send().await.unwrap();
    assert_eq!((get.status().as_u16(), &get.headers()["allow"]), (405, &"POST".parse().unwrap()));
    // Without a certificate nobody is listened to.
    assert!(site.client().post(&url).body("x").send().await.is_err());
    assert!(of_event(&site.records(), "order.change").is_empty());
    for gateway in gateways {
        gateway.stop().await;
    }

    // Where no signed orders are followed.
    let alone = Site::new();
    let gateway = alone.start(&two.seams[0], &[]).await;
    let mut stream = tokio::net::TcpStream::connect(gateway.admin).await.unwrap();
    let request =
        "POST /orders HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(answer.contains("this gateway follows no signed orders"), "{answer}");
    gateway.stop().await;
}

/// A freeze holds although it cannot be written, also beside another one; it is written once it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_freeze_that_cannot_be_written_holds_all_the_same() {
    let Some(two) = Two::new().await else { return };
    let gateways = two.start(&[]).await;
    two.name(&gateways);
    let alice = two.authors.path("alice.key");
    let orders = two.authors.site.path("orders.json");
    std::fs::create_dir(&orders).unwrap();
    let freeze = |entrance: &str| {
        let order = ["freeze", "--entrance", entrance, "--reason", "stolen", "--key", &alice];
        let (code, out, error) = two.order(&order);
        assert!(error.contains("1 gateway(s) follow it, told directly"), "{out}{error}");
        assert!(error.contains("it is not written down, and tried again"), "{code} {error}");
        id_of(&out)
    };
    let frozen = [freeze(LOBBY), freeze(OFFICE)];
    assert_eq!(two.statuses(&gateways).await, [403, 403]);
    std::fs::remove_dir(&orders).unwrap();
    until("it is written", || {
        let text = std::fs::read_to_string(&orders).unwrap_or_default();
        frozen.iter().all(|id| text.contains(id.as_str()))
    })
    .await;
    assert_eq!(two.statuses(&gateways).await, [403, 403]);
    for gateway in gateways {
        gateway.stop().await;
    }
}

/// What was taken back stays so, although that could not be written at first, and nobody but the one who
/// brought it ever told of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lifting_that_cannot_be_written_is_not_forgotten() {
    let Some(mut two) = Two::new().await else { return };
    two.authors.server.kill();
    let gateways = two.start(&[]).await;
    two.name(&gateways);
    let (id, exception) = two.note(exception(1));
    let (_, lifting) = two.note(Directed::Lifted(id.clone()));
    // Nothing can be put into its place.
    let audit = two.authors.site.path("audit");
    let full = audit.join("directives-lifted.new");
    std::fs::create_dir(&full).unwrap();
    let bring = |name: &str, text: &str| {
        let file = two.authors.path(name);
        std::fs::write(&file, text).unwrap();
        two.order(&["deliver", &file]).2
    };
    let told = bring("lift.note", &lifting);
    assert!(
        told.contains("1 gateway(s) follow it") && told.contains("directives-lifted"),
        "{told}"
    );
    std::fs::remove_dir(&full).unwrap();
    until("it is written", || {
        let text = std::fs::read_to_string(audit.join("directives-lifted")).unwrap_or_default();
        text.contains(id.as_str())
    })
    .await;
    let [north, south] = gateways;
    north.stop().await;
    south.stop().await;
    let gateways = two.start(&[]).await;
    two.name(&gateways);
    let told = bring("exception.note", &exception);
    assert!(told.contains("2 gateway(s) follow it"), "{told}");
    assert_eq!(status_of(&two.authors.site, &gateways[0], OFFICE).await, 403);
    for gateway in gateways {
        gateway.stop().await;
    }
}
