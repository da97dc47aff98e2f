//! People who sign, and the gateways that believe them.

use super::*;

/// Which the visitor desk may not grant.
pub const OFFICE: &str = "e4a7c9b2-18d3-4e6f-a5b0-3c2d1e0f9a8b";

const NAME: &str = "example.org/doors";
const KEYS: [&str; 3] = ["alice", "bob", "carol"];

/// Authors of bundles, with a database.
pub struct Authors {
    pub site: Site,
    pub server: Postgres,
    keys: Vec<String>,
}

impl Authors {
    /// With a key for each, of which two must sign; none where there is no server here.
    pub async fn new() -> Option<Self> {
        let site = Site::new();
        let server = database(&site).await?;
        let path = |name: &str| site.path(name).display().to_string();
        let key = |name: &&str| {
            let out = path(&format!("{name}.key"));
            grantgate(&["audit", "keygen", name, "--out", &out]).trim().to_owned()
        };
        // Its cases say that the desk may not do what these tests allow it.
        std::fs::remove_dir_all(site.path("policies/tests")).unwrap();
        let authors = Self { keys: KEYS.iter().map(key).collect(), site, server };
        for role in ["publisher", "reader"] {
            let file = authors.site.path(&format!("{role}.toml"));
            let text = std::fs::read_to_string(&file).unwrap();
            std::fs::write(&file, format!("{text}[bundle]\n{}", authors.trust())).unwrap();
        }
        Some(authors)
    }

    pub fn trust(&self) -> String {
        format!("name = \"{NAME}\"\nkeys = {:?}\nsignatures_min = 2\n", self.keys)
    }

    pub fn path(&self, name: &str) -> String {
        self.site.path(name).display().to_string()
    }

    /// The site, and others like it, take bundles from now on.
    pub fn follow(&self, site: &Site) {
        let config = site.path("grantgate.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        let text = text.replace("[policy.bundle]\n", &format!("[policy.bundle]\n{}", self.trust()));
        std::fs::write(config, text).unwrap();
    }

    pub fn run(&self, command: &str, arguments: &[&str]) -> (i32, String, String) {
        let file = self.path("publisher.toml");
        run(&[&["policy", command], arguments, &["--database", &file]].concat())
    }

    /// A command that names a database.
    pub fn order(&self, arguments: &[&str]) -> (i32, String, String) {
        run(&[arguments, &["--database", &self.path("publisher.toml")]].concat())
    }

    pub fn done(&self, command: &str, arguments: &[&str]) -> String {
        let (code, out, error) = self.run(command, arguments);
        assert_eq!(code, 0, "{command}: {out}{error}");
        out
    }

    pub fn push_with(&self, more: &[&str]) -> (i32, String, String) {
        let [model, rules, callers, entrances, tests, key] = [
            "policies/model.conf",
            "policies/policy.csv",
            "callers.toml",
            "policies/entrances.csv",
            "policies/tests",
            "alice.key",
        ]
        .map(|name| self.path(name));
        let files = [
            "--model",
            &model,
            "--rules",
            &rules,
            "--callers",
            &callers,
            "--entrances",
            &entrances,
            "--tests",
            &tests,
            "--key",
            &key,
            "--why",
            "a test",
        ];
        self.run("push", &[&files, more].concat())
    }

    /// Proposes the site's files, and gives the bundle's name.
    pub fn push(&self) -> String {
        let (code, out, error) = self.push_with(&[]);
        assert_eq!(code, 0, "{out}{error}");
        out.lines().last().unwrap().to_owned()
    }

    /// Proposes the files and has them signed.
    pub fn signed(&self) -> String {
        let id = self.push();
        self.done("approve", &[&id, "--key", &self.path("bob.key")]);
        id
    }

    /// Has new rules in force, however they come.
    pub fn publish(&self) -> String {
        let id = self.signed();
        let (code, _, error) = self.run("promote", &[&id, "--wait", "0"]);
        assert!(code == 0 || code == 2, "{error}");
        id
    }

    /// Adds or takes away a rule.
    pub fn allow_office(&self, allow: bool) {
        let file = self.site.path("policies/policy.csv");
        let text = std::fs::read_to_string(&file).unwrap();
        let rule = format!("p, caller:visitor-desk, entrance:{OFFICE}, grant, allow\n");
        let text = text.replace(&rule, "");
        std::fs::write(&file, if allow { format!("{text}{rule}") } else { text }).unwrap();
    }

    /// Sites that take bundles from now on, and begin with the newest.
    pub fn lead(&self, sites: &[&Site]) {
        for site in sites {
            self.follow(site);
            self.seed(site);
        }
    }

    /// A bundle that the gateway has before it first speaks to the database.
    pub fn seed(&self, site: &Site) {
        let seed = site.path("seed");
        let _ = std::fs::remove_dir_all(&seed);
        self.done("pull", &["--out", seed.to_str().unwrap()]);
        let config = site.path("grantgate.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        let named = "[policy.bundle]\nseed_directory = \"seed\"\n";
        std::fs::write(config, text.replace("[policy.bundle]\n", named)).unwrap();
    }
}

pub async fn status_of(site: &Site, gateway: &Gateway, entrance: &str) -> u16 {
    post(&site.client(), gateway, &site.token, fresh_grant(entrance)).await.status().as_u16()
}

pub async fn bundle_of(gateway: &Gateway) -> Value {
    let status: Value = serde_json::from_str(&gateway.admin("/status").await.1).unwrap();
    status["bundle"].clone()
}

/// Until this bundle is in force, or one is refused for this reason.
pub async fn until_bundle(gateway: &Gateway, number: u64, refused: Option<&str>) {
    for _ in 0..1_000 {
        let bundle = bundle_of(gateway).await;
        let why = bundle["refused"]["why"].as_str();
        let is_so = match refused {
            Some(said) => why.is_some_and(|why| why.contains(said)),
            None => why.is_none(),
        };
        if bundle["number"] == number && is_so {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{number}, {refused:?}: {}", bundle_of(gateway).await);
}
