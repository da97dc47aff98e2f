//! Each way to prove who is calling, in each state: what is answered, recorded and counted, and
//! that nothing reached Seam where it should not.

use grantgate::domain::{OrderKind, Scope, Signature};
use grantgate::orders::{Place, edit};
use serde_json::{Value, json};

use crate::issuers::client_with;
use crate::seam::{Behaviour, Seam};
use crate::support::authority::Authority;
use crate::support::issuer::{Issuer, claims, with};
use crate::support::minter::{Signer, from_now, jwks};
use crate::support::{Gateway, LOBBY, Site, grant_body, grantgate, of_event};
use crate::workspaces::{ATTIC, HQ, LAB, three};

/// What a request brings: a bearer token, the id of a workspace, and the client of a certificate.
#[derive(Clone)]
struct Brought {
    token: Option<String>,
    workspace: Option<&'static str>,
    client: reqwest::Client,
}

impl Brought {
    /// The same for this workspace.
    fn to(&self, workspace: &'static str) -> Self {
        Self { workspace: Some(workspace), ..self.clone() }
    }

    /// Status of a grant; none where the handshake failed.
    async fn status(&self, gateway: &Gateway) -> Option<u16> {
        let request = self.client.post(gateway.url()).header("content-type", "application/json");
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let request = match self.workspace {
            Some(id) => request.header("seam-workspace", id),
            None => request,
        };
        Some(request.body(grant_body(LOBBY)).send().await.ok()?.status().as_u16())
    }
}

/// Everything that the table needs: the caller has two of three workspaces, the first by default.
struct World {
    site: Site,
    seams: [Seam; 3],
    gateway: Gateway,
    authority: Authority,
    signer: Signer,
}

const AUTHORITIES: (&str, &str) = ("GRANTGATE__LISTENER__CLIENT_CA_FILE", "certs/callers-ca.pem");
const LISTS: (&str, &str) = ("GRANTGATE__LISTENER__CLIENT_CRL_FILE", "certs/callers.crl");

impl World {
    async fn new() -> Self {
        let site = Site::new();
        let start = || Seam::start(&site, Behaviour::confirm());
        let seams = [start().await, start().await, start().await];
        let (authority, signer) = (Authority::new(&site), Signer::new("k", "ES256"));
        std::fs::write(site.path("certs/callers.crl"), authority.revocation_list(&[99], 2100))
            .unwrap();
        std::fs::write(site.path("keys.json"), jwks(&[&signer])).unwrap();
        Issuer::configure(&site, "jwks_file = \"keys.json\"");
        let callers = String::from_utf8(site.read("callers.toml")).unwrap();
        let facilities =
            "id = \"facilities\"\ncertificates = [\"spiffe://example.org/facilities\"]";
        let callers = callers.replace("id = \"facilities\"", facilities);
        std::fs::write(site.path("callers.toml"), callers).unwrap();
        let urls = [0, 1, 2].map(|n: usize| seams[n].url());
        three(&site, [&urls[0], &urls[1], &urls[2]]);
        let more = [AUTHORITIES, LISTS, ("GRANTGATE__AUDIT__STRANGERS_PER_MINUTE_MAX", "1000")];
        let gateway = site.start(&seams[0], &more).await;
        Self { site, seams, gateway, authority, signer }
    }

    fn token(&self, token: &str) -> Brought {
        let client = self.site.client();
        Brought { token: Some(token.to_owned()), workspace: None, client }
    }

    fn certificate(&self, (chain, key): (Vec<u8>, Vec<u8>)) -> Brought {
        let client = client_with(&self.site, &chain, &key);
        Brought { token: None, workspace: None, client }
    }

    fn both(&self, token: &str, certificate: (Vec<u8>, Vec<u8>)) -> Brought {
        Brought { token: Some(token.to_owned()), ..self.certificate(certificate) }
    }

    /// A certificate, and its key, of another caller.
    fn of_facilities(&self) -> (Vec<u8>, Vec<u8>) {
        self.authority.issue_with(50, |params| {
            let name = "spiffe://example.org/facilities";
            params.subject_alt_names = vec![rcgen::SanType::URI(name.try_into().unwrap())];
        })
    }

    /// A new token of the gateway's own.
    fn own(&self, name: &str, more: &[&str]) -> String {
        let callers = self.site.path("callers.toml");
        let new = ["caller", "new", "visitor-desk", "--name", name, "--callers"];
        let all = [&new[..], &[callers.to_str().unwrap()], more].concat();
        grantgate(&all).trim().to_owned()
    }

    /// Refused for this reason: answered so, recorded once, counted once, and not sent on.
    async fn refused(&self, what: &str, brought: &Brought, status: u16, reason: &str) {
        let (sent, counted) = (self.sent(), self.counted(reason).await);
        let records = self.recorded(reason);
        assert_eq!(brought.status(&self.gateway).await, Some(status), "{what}");
        assert_eq!(self.sent(), sent, "{what} reached Seam");
        assert_eq!(self.counted(reason).await, counted + 1, "{what}");
        crate::support::until(what, || self.recorded(reason) == records + 1).await;
    }

    /// How many requests all of Seam has seen.
    fn sent(&self) -> usize {
        self.seams.iter().map(|seam| seam.requests().len()).sum()
    }

    /// Requests that were answered for this reason, of whomever.
    async fn counted(&self, reason: &str) -> u64 {
        let (_, text) = self.gateway.admin("/metrics").await;
        let of_reason = format!("decision=\"deny\",reason=\"{reason}\"}} ");
        let lines = text.lines().filter_map(|line| line.split_once(&of_reason));
        lines.map(|(_, count)| count.parse::<u64>().unwrap()).sum()
    }

    fn recorded(&self, reason: &str) -> usize {
        let records = self.site.records();
        let is_it = |record: &&Value| {
            record["reason"] == reason
                && ["authn.failure", "grant.decision"].contains(&record["event"].as_str().unwrap())
        };
        records.iter().filter(is_it).count()
    }

    /// No handshake, so no answer; and a record of why.
    async fn no_handshake(&self, what: &str, brought: &Brought) {
        let (sent, records) = (self.sent(), self.recorded("certificate-refused"));
        assert_eq!(brought.status(&self.gateway).await, None, "{what}");
        assert_eq!(self.sent(), sent, "{what} reached Seam");
        crate::support::until(what, || self.recorded("certificate-refused") > records).await;
    }

    async fn granted(&self, what: &str, brought: &Brought) {
        let sent = self.sent();
        assert_eq!(brought.status(&self.gateway).await, Some(200), "{what}");
        assert_eq!(self.sent(), sent + 1, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scheme_in_every_state() {
    let world = World::new().await;
    let soon = jiff_after(2);
    let short = world.own("short", &["--expires", &soon]);
    let revocable = world.own("revocable", &[]);
    let personal = world.own("personal", &["--form", "pat"]);
    world.gateway.reload.reload().await;
    let own = world.token(&world.site.token);
    let jwt = |claims: &Value| world.token(&world.signer.token(claims));
    let certificate = world.certificate(world.authority.issue(7));
    let open = [world.token(&revocable), jwt(&claims()), certificate.clone()];

    let (bare_pat, bearer) = (world.token(&personal), jwt(&claims()));
    let pat = bare_pat.to(HQ);

    // Valid; and two that name the same caller.
    let valid =
        [("token", &own), ("access token", &pat), ("jwt", &bearer), ("certificate", &certificate)];
    for (what, brought) in valid {
        world.granted(what, brought).await;
    }
    let agreeing = world.both(&world.site.token, world.authority.issue(8));
    world.granted("token and certificate of one caller", &agreeing).await;

    // Expired.
    crate::support::until("the token is over", || now_is_after(&soon)).await;
    world.refused("token, expired", &world.token(&short), 401, "token-expired").await;
    let over = jwt(&with("exp", json!(from_now(-60))));
    world.refused("jwt, expired", &over, 401, "jwt-expired").await;
    let over = world.authority.issue_with(9, |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    world.no_handshake("certificate, expired", &world.certificate(over)).await;

    // Not yet.
    let early = jwt(&with("nbf", json!(from_now(600))));
    world.refused("jwt, not yet", &early, 401, "jwt-not-yet").await;
    let early = world.authority.issue_with(10, |params| {
        params.not_before = rcgen::date_time_ymd(2098, 1, 1);
        params.not_after = rcgen::date_time_ymd(2099, 1, 1);
    });
    world.no_handshake("certificate, not yet", &world.certificate(early)).await;

    // For somebody else, and by somebody else.
    let elsewhere = jwt(&with("aud", json!("another")));
    world.refused("jwt, audience", &elsewhere, 401, "jwt-audience").await;
    let forged = world.token(&Signer::new("k", "ES256").token(&claims()));
    world.refused("jwt, key", &forged, 401, "jwt-signature").await;
    let unknown = world.token(&format!("seam_gg_{}", "A".repeat(43)));
    world.refused("token, unknown", &unknown, 401, "token-unknown").await;
    std::fs::create_dir_all(world.site.path("other")).unwrap();
    let stranger = Authority::new_in(&world.site, "other/ca.pem").issue(7);
    world.no_handshake("certificate, authority", &world.certificate(stranger)).await;

    // Of two callers.
    for (what, token) in
        [("token", world.site.token.clone()), ("jwt", world.signer.token(&claims()))]
    {
        let both = world.both(&token, world.of_facilities());
        world.refused(&format!("{what}, conflicting"), &both, 401, "credentials-conflict").await;
    }

    other_workspaces(&world, &valid).await;
    world.refused("access token alone", &bare_pat, 400, "workspace-missing").await;
    frozen_and_suspended(&world, &valid.map(|(_, brought)| brought)).await;
    revoked(&world, &open).await;
    world.gateway.stop().await;
    assert!(!of_event(&world.site.records(), "order.change").is_empty());
}

/// The second of its own, one of somebody else's, and one that nobody has.
async fn other_workspaces(world: &World, all: &[(&str, &Brought)]) {
    for (what, brought) in all {
        let (of_lab, what) = (world.seams[1].requests().len(), format!("{what}, workspace"));
        world.granted(&what, &brought.to(LAB)).await;
        assert_eq!(world.seams[1].requests().len(), of_lab + 1, "{what}");
        for id in [ATTIC, "44444444-0000-4000-8000-000000000004"] {
            world.refused(&what, &brought.to(id), 404, "workspace-unknown").await;
        }
    }
    assert_eq!(world.seams[2].requests().len(), 0);
}

/// Whoever it is and however it is proven.
async fn frozen_and_suspended(world: &World, all: &[&Brought]) {
    let (site, gateway) = (&world.site, &world.gateway);
    let place = Place {
        file: site.path("orders.json"),
        log: site.path("audit"),
        exception_max: jiff::SignedDuration::from_hours(1),
    };
    let signed = || Signature { at: jiff::Timestamp::now(), by: "ada".into(), why: "test".into() };
    let hour = place.exception_max;
    let freeze = || OrderKind::Freeze(Scope::Everything);
    let given = edit(&place, |file| file.give(freeze(), None, signed(), hour)).unwrap();
    until_frozen(gateway, 1).await;
    for brought in all {
        world.refused("frozen", brought, 403, "frozen").await;
    }
    edit(&place, |file| file.lift(given, signed())).unwrap();
    until_frozen(gateway, 0).await;
    let callers = site.path("callers.toml");
    let callers = callers.to_str().unwrap();
    grantgate(&["caller", "suspend", "visitor-desk", "--reason", "test", "--callers", callers]);
    gateway.reload.reload().await;
    for brought in all {
        world.refused("suspended", brought, 401, "caller-suspended").await;
    }
    grantgate(&["caller", "resume", "visitor-desk", "--callers", callers]);
    gateway.reload.reload().await;
    for brought in all {
        world.granted("resumed", brought).await;
    }
}

async fn until_frozen(gateway: &Gateway, count: u8) {
    let line = format!("grantgate_orders_in_force{{kind=\"freeze\"}} {count}\n");
    for _ in 0..500 {
        if gateway.admin("/metrics").await.1.contains(&line) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("never: {line}");
}

/// On connections that are open.
async fn revoked(world: &World, open: &[Brought; 3]) {
    let [token, jwt, certificate] = open;
    for brought in open {
        world.granted("before it is revoked", brought).await;
    }
    let callers = world.site.path("callers.toml");
    let revoke = ["caller", "revoke", "visitor-desk", "--token", "revocable", "--callers"];
    grantgate(&[&revoke[..], &[callers.to_str().unwrap()]].concat());
    let text = std::fs::read_to_string(&callers).unwrap();
    std::fs::write(&callers, text.replace("subject = \"desk-app\"", "subject = \"other\""))
        .unwrap();
    let list = world.authority.revocation_list(&[7], 2100);
    std::fs::write(world.site.path("certs/callers.crl"), list).unwrap();
    world.gateway.reload.reload().await;
    world.refused("token, revoked", token, 401, "token-unknown").await;
    world.refused("jwt, unmapped", jwt, 401, "jwt-unmapped").await;
    world.refused("certificate, revoked", certificate, 401, "certificate-withdrawn").await;
}

fn jiff_after(seconds: i64) -> String {
    let then = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_secs(seconds));
    format!("{:.0}", then.unwrap())
}

fn now_is_after(text: &str) -> bool {
    jiff::Timestamp::now() > text.parse::<jiff::Timestamp>().unwrap()
}
