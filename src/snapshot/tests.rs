use std::collections::BTreeMap;
use std::path::Path;

use parking_lot::Mutex;
use zeroize::Zeroizing;

use super::*;
use crate::config::Environment;
use crate::domain::CallerId;
use crate::pki::DevelopmentPki;

/// A set of files by their names, as one that is sent over a network would be: no path of
/// this machine leads to any of them.
struct Set(Mutex<BTreeMap<&'static str, String>>);

impl Source for Set {
    fn read(&self, wanted: &Wanted<'_>) -> Option<File> {
        let shown = format!("set 43: {}", wanted.name);
        let bytes = match self.0.lock().get(wanted.name) {
            Some(text) => Ok(Zeroizing::new(text.clone().into_bytes())),
            None if wanted.is_optional => return None,
            None => Err(Problem::of_file(&*shown, "is not in the set")),
        };
        Some(File { shown, bytes })
    }

    fn watched<'s>(&self, _: &Wanted<'s>) -> Option<&'s Path> {
        None
    }
}

const RULES: &str = include_str!("../../policies/policy.csv");

fn set() -> Set {
    let pki = DevelopmentPki::generate("spiffe://example.org/front/visitor-desk").unwrap();
    Set(Mutex::new(BTreeMap::from([
        ("certificate.pem", pki.server.certificate.clone()),
        ("private.key", pki.server.key.clone()),
        ("callers.toml", include_str!("../cli/templates/callers.toml").to_owned()),
        ("model.conf", include_str!("../../policies/model.conf").to_owned()),
        ("policy.csv", RULES.to_owned()),
        ("workspace.key", "seam_test2bMS_94SrGUXuNR2JmJkjtvBQDg5c\n".to_owned()),
        ("candidate.csv", RULES.replace("deny", "allow")),
    ])))
}

fn settings() -> Settings {
    let text = "[listener]\ncertificate_file = \"/none/c\"\nprivate_key_file = \"/none/k\"\n\
                [upstream]\napi_key_file = \"/none/s\"\n\
                [policy]\ncandidate_rules_file = \"/none/t\"\n[audit]\ndirectory = \"/none/a\"\n";
    crate::config::load(Path::new("/none/g.toml"), text, &Environment::new()).unwrap()
}

fn again(set: &Set, before: &Snapshot, digests: &Digests) -> (Vec<&'static str>, Built) {
    let settings = settings();
    let (inputs, now) = Inputs::read(&settings, set, None);
    let parts = now.changed_from(digests);
    let built = build(&settings, (inputs, now), None, Some((before, digests)), &Orders::default());
    (parts, built.map_err(|unloaded| unloaded.problems).unwrap())
}

#[test]
fn a_snapshot_can_come_from_files_that_have_no_path() {
    let first = load(&settings(), Arc::new(set())).map_err(|it| it.problems).unwrap();
    assert!(
        first
            .snapshot
            .callers
            .all()
            .iter()
            .any(|caller| { caller.id == CallerId::parse("visitor-desk").unwrap() })
    );
    first.trial.unwrap().load();
    assert!(matches!(first.snapshot.trial(), Some(Trial::Judged(_))));

    let broken = set();
    broken.0.lock().insert("policy.csv", "p, nonsense\n".to_owned());
    broken.0.lock().remove("workspace.key");
    let unloaded = load(&settings(), Arc::new(broken)).err().unwrap();
    let said: Vec<String> = unloaded.problems.iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|text| text.starts_with("set 43: policy.csv:1")), "{said:#?}");
    assert!(said.contains(&"set 43: workspace.key: is not in the set".to_owned()), "{said:#?}");
    assert!(unloaded.certificates.is_some(), "nothing is wrong with them");
}

/// What a part holds (connections, sessions, a loaded policy) must not be lost for a change of
/// another part; and what depends on a changed part is made again.
#[test]
fn parts_are_carried_over_where_their_files_are_the_same() {
    let set = set();
    let (inputs, digests) = Inputs::read(&settings(), &set, None);
    let built = build(&settings(), (inputs, digests), None, None, &Orders::default());
    let old = built.map_err(|unloaded| unloaded.problems).unwrap().snapshot;
    let same = |new: &Snapshot| {
        let trials = (old.trial.as_ref().unwrap(), new.trial.as_ref().unwrap());
        [
            Arc::ptr_eq(&old.certificates, &new.certificates),
            Arc::ptr_eq(&old.callers, &new.callers),
            Arc::ptr_eq(&old.policy, &new.policy),
            trials.0.is(trials.1),
            Arc::ptr_eq(&old.names, &new.names),
            Arc::ptr_eq(&old.workspaces, &new.workspaces),
        ]
    };
    let header = "entrance_id,display_name,acs_system_id\n";
    for (file, change, parts, carried) in [
        ("policy.csv", "# later\n", ["policy"], [true, true, false, false, true, true]),
        ("callers.toml", "# later\n", ["callers"], [true, false, false, false, true, true]),
        ("candidate.csv", "# later\n", ["candidate"], [true, true, true, false, true, true]),
        ("entrances.csv", header, ["entrances"], [true, true, true, true, false, true]),
        ("workspace.key", "\n", ["upstream"], [true, true, true, true, true, false]),
        ("certificate.pem", "# later\n", ["certificates"], [false, true, true, true, true, true]),
    ] {
        let before = set.0.lock().get(file).cloned();
        set.0.lock().entry(file).or_default().push_str(change);
        let (changed, built) = again(&set, &old, &digests);
        assert_eq!(changed, parts, "{file}");
        assert_eq!(same(&built.snapshot), carried, "{file}");
        assert_eq!(built.trial.is_some(), !carried[3], "{file}: what is new is to be loaded");
        match before {
            Some(text) => set.0.lock().insert(file, text),
            None => set.0.lock().remove(file),
        };
    }
}

#[test]
fn names_with_a_mistake_keep_those_from_before_and_only_warn() {
    let set = set();
    let name = "d23d7180-c1ee-4bbe-8630-05df5031ce35";
    let text = format!(
        "entrance_id,display_name,acs_system_id\n\
         {name},gate,3c5e9a1f-7b20-4d68-9e41-a0f2b6c8d713\n"
    );
    set.0.lock().insert("entrances.csv", text);
    let (inputs, digests) = Inputs::read(&settings(), &set, None);
    let built = build(&settings(), (inputs, digests), None, None, &Orders::default());
    let old = built.map_err(|unloaded| unloaded.problems).unwrap().snapshot;
    set.0.lock().insert("entrances.csv", "nonsense\n".to_owned());
    let (parts, built) = again(&set, &old, &digests);
    assert_eq!(parts, ["entrances"]);
    assert!(!built.warnings.is_empty());
    assert_eq!(built.snapshot.name_of(EntranceId::parse(name).unwrap()), Some("gate"));
}
