//! Which logs count is said by those who sign policies, and by nobody who has only a password.

use super::authors::Authors;
use super::*;

struct Endorsing {
    authors: Authors,
    roster: String,
}

impl Endorsing {
    fn endorse(&self, by: &str, more: &[&str]) -> (i32, String) {
        let (key, file) = (self.authors.path(&format!("{by}.key")), "publisher.toml");
        let file = self.authors.path(file);
        let fixed = ["audit", "endorse", "--roster", &self.roster, "--key", &key];
        let (code, out, error) = run(&[&fixed[..], &["--database", &file], more].concat());
        (code, format!("{out}{error}"))
    }

    fn verify(&self, more: &[&str]) -> (i32, String, String) {
        let file = self.authors.path("reader.toml");
        let fixed = ["audit", "verify", "--database", &file, "--roster", &self.roster];
        run(&[&fixed[..], more].concat())
    }
}

/// The digits with which it is signed.
fn shown(said: &str) -> String {
    said.split("--digest ").nth(1).unwrap()[..32].to_owned()
}

/// Some grants of a gateway that is there no longer, all of them in the database, and its log's key.
async fn granted(site: &Site) -> String {
    let seam = Seam::start(site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    grants(site, &gateway, 3).await;
    gateway.stop().await;
    site.path("audit/signing.pub").display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_logs_that_enough_have_endorsed_count() {
    let Some(authors) = Authors::new().await else { return };
    let other = another(&authors.site, &authors.server);
    let [north, south] = [granted(&authors.site).await, granted(&other).await];
    let name = |file: &str| {
        let text = std::fs::read_to_string(file).unwrap();
        text.split('+').next().unwrap().to_owned()
    };
    let roster = authors.path("gateways.roster");
    let on = Endorsing { authors, roster };
    std::fs::write(&on.roster, "").unwrap();
    let (code, said) = on.endorse("alice", &[&north, "--why", "x"]);
    assert!(code == 1 && said.contains("gateways.roster"), "an empty file is no roster: {said}");
    std::fs::remove_file(&on.roster).unwrap();

    // One is not enough, neither in the file nor for the command.
    let (code, said) = on.endorse("alice", &[&north, &south]);
    assert!(code == 1 && said.contains("with --why"), "{said}");
    let (code, said) = on.endorse("alice", &[&north, &south, "--why", "the first two"]);
    assert!(code == 2 && said.contains("signed by alice (1 of 2), 2 log(s)"), "{said}");
    assert!(said.contains(&format!("new: {}", name(&south))), "{said}");
    let (code, _, error) = on.verify(&[]);
    assert!(code == 1 && error.contains("signed by 1 of the keys that are trusted"), "{error}");
    let digest = shown(&on.endorse("bob", &[]).1);
    assert!(on.endorse("alice", &["--digest", &digest]).1.contains("has signed it already"));
    let (code, said) = on.endorse("bob", &["--digest", "0123456789abcdef0123456789abcdef"]);
    assert!(code == 1 && said.contains("not what was looked at"), "{said}");
    let (code, said) = on.endorse("bob", &[]);
    assert!(code == 2 && shown(&said) == digest, "it is shown and not signed: {said}");
    let (code, said) = on.endorse("bob", &["--remove", &name(&south), "--why", "x"]);
    assert!(code == 1 && said.contains("has 1 of 2 signatures: have it signed before"), "{said}");
    // Behind a link, as where policies are checked out.
    std::fs::rename(&on.roster, on.authors.path("checked-out")).unwrap();
    std::os::unix::fs::symlink("checked-out", &on.roster).unwrap();
    let (code, said) = on.endorse("bob", &["--digest", &digest]);
    assert!(code == 0 && said.contains("signed by alice, bob (2 of 2)"), "{said}");
    assert_eq!(on.endorse("carol", &[]).0, 0, "signed by enough, and shown");
    assert!(std::fs::symlink_metadata(&on.roster).unwrap().is_symlink(), "the file behind it");
    let (code, out, error) = on.verify(&[]);
    assert_eq!((code, out.matches("\nverified: ").count()), (0, 2), "{out}{error}");
    assert!(error.contains(", signed by alice, bob: 2 log(s)"), "{error}");

    // Somebody who has the gateways' password, and a name like one of them.
    let rogue = Site::new();
    connect(&rogue, "north", (&on.authors.site, &on.authors.server));
    let stranger = granted(&rogue).await;
    let unendorsed = format!("{}: unendorsed: the roster does not have it\n", name(&stranger));
    let (code, out, _) = on.verify(&[]);
    assert!(code == 5 && out.contains(&unendorsed), "{out}");
    let (code, out, _) = on.verify(&["--format", "json"]);
    let found: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |log: &str| found.iter().find(|one| one["log"] == log).unwrap()["verified"].clone();
    let all = [&north, &south, &stranger].map(|file| of(&name(file)));
    assert_eq!((code, all), (5, [true.into(), true.into(), false.into()]));
    assert_eq!(on.verify(&["--replica", &name(&north)]).0, 0);

    // A log that the database hides, and one that does not count any more.
    let hidden = grantgate(&["audit", "keygen", "west/1", "--out", &on.authors.path("west")]);
    let change = [hidden.trim(), "--remove", &name(&south), "--why", "one more, and one less"];
    let (code, said) = on.endorse("bob", &change);
    assert!(code == 2 && said.contains("number 2\n") && said.contains("gone: south/"), "{said}");
    assert_eq!(on.endorse("carol", &["--digest", &shown(&said)]).0, 0);
    let (code, out, _) = on.verify(&[]);
    assert!(code == 4 && out.contains("west/1: the database has no such log"), "{out}");
    assert!(out.contains(&format!("{}: unendorsed", name(&south))), "{out}");
    let (code, said) = on.endorse("bob", &["--remove", "nobody/1", "--why", "x"]);
    assert!(code == 1 && said.contains("no log `nobody/1`"), "{said}");

    // Whoever can write the file alone changes nothing that anybody goes by.
    let text = std::fs::read_to_string(&on.roster).unwrap();
    let key = std::fs::read_to_string(&stranger).unwrap();
    let added = text.replacen("log west", &format!("log {}\nlog west", key.trim()), 1);
    for changed in [added, text.replacen("west/1", "west/2", 1), text.replace("— carol", "— alice")]
    {
        assert_ne!(changed, text);
        std::fs::write(&on.roster, changed).unwrap();
        let (code, _, error) = on.verify(&[]);
        assert!(code == 1 && error.contains("gateways.roster"), "{error}");
    }
}
