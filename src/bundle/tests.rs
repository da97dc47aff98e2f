use proptest::prelude::*;

use super::*;
use crate::domain::{CallerId, DirectiveId, EntranceId, OrderKind, Scope, WorkspaceName};
use crate::note::{SigningKey, join};

fn key(name: &str) -> SigningKey {
    SigningKey::generate(name).unwrap().0
}

fn files() -> Contents {
    let file = |name: FileName| (name, format!("of {}", name.as_str()).into_bytes());
    FileName::ALL.iter().copied().map(file).collect()
}

fn bundle(number: u64) -> Bundle {
    Bundle {
        name: "example.org/doors".into(),
        number,
        parent: (number > 1).then(|| Digest::of(b"parent")),
        needs: Needs::FIRST,
        made: "2026-11-28T09:00:00Z".parse().unwrap(),
        by: "alice@example.org".into(),
        why: "DOOR-311: the night shift gets the loading dock".into(),
        files: files().iter().map(|(name, bytes)| Entry::of(*name, bytes)).collect(),
    }
}

fn note(text: &str, keys: &[&SigningKey]) -> String {
    let lines: Vec<String> = keys.iter().map(|key| key.signature(text)).collect();
    join(text, &lines)
}

fn trust(keys: &[&SigningKey], signatures_min: usize) -> Trust {
    let keys = keys.iter().map(|key| key.verifier().clone()).collect();
    Trust::new("example.org/doors".into(), keys, signatures_min).unwrap()
}

#[test]
fn a_text_is_written_and_read_in_one_way_only() {
    let text = bundle(43).to_string();
    assert_eq!(Bundle::parse(&text), Ok(bundle(43)));
    assert_eq!(Bundle::parse(&bundle(1).to_string()), Ok(bundle(1)));
    let line = |number: usize| text.lines().nth(number).unwrap();
    let policy = line(8);
    for (from, to) in [
        ("bundle 1", "bundle 2"),
        ("number 43", "number 043"),
        ("number 43", "number +43"),
        ("number 43", "number 0"),
        ("number 43", "number 1"),
        ("number 43", "number 9007199254740992"),
        ("sha256:", "SHA256:"),
        ("needs 0.1.0", "needs 0.1"),
        ("needs 0.1.0", "needs 0.1.00"),
        ("needs 0.1.0", "needs 0.1.0-rc.1"),
        ("09:00:00Z", "10:00:00+01:00"),
        ("09:00:00Z", "09:00:00.0Z"),
        ("by alice", "by al ice"),
        ("why DOOR", "why  DOOR"),
        ("loading dock", "loading dock "),
        ("loading dock", "loading\tdock"),
        ("loading dock", "loading \u{202e}dock"),
        ("loading dock", "loading dock\nfile model.conf"),
        ("file policy.csv", "file policy.exe"),
        ("file policy.csv ", "file policy.csv  "),
        (policy, ""),
        (policy, line(7)),
        ("dock\n", "dock\r\n"),
    ] {
        let altered = text.replacen(from, to, 1);
        assert_ne!(altered, text, "{from}");
        assert!(Bundle::parse(&altered).is_err(), "{to}");
    }
    let swapped = text.replace(policy, "?").replace(line(9), policy).replace('?', line(9));
    assert_eq!(Bundle::parse(&swapped), Err(Malformed::File(10)));
    for cut in 0..text.len() {
        let read = text.get(..cut).map(Bundle::parse);
        // Without its last files it is another bundle, which nobody has signed.
        assert!(read.is_none_or(|read| read.is_err() || cut > text.find("file entr").unwrap() - 1));
    }
}

/// Every signature line that is dropped, doubled or by others leaves too few.
#[test]
fn it_takes_so_many_different_keys() {
    let (alice, bob, carol, eve) = (key("alice@example.org"), key("bob"), key("carol"), key("eve"));
    let trust = trust(&[&alice, &bob, &carol], 2);
    let text = bundle(43).to_string();
    let signers = |keys: &[&SigningKey]| trust.accept(&note(&text, keys)).map(|s| s.signers.len());
    assert_eq!(signers(&[&alice, &bob]), Ok(2));
    assert_eq!(signers(&[&carol, &bob, &alice]), Ok(3));
    assert_eq!(signers(&[&alice, &eve, &carol]), Ok(2), "others are ignored");
    assert_eq!(signers(&[&alice]), Err(Untrusted::TooFew(1, 2)));
    assert_eq!(signers(&[&alice, &alice, &alice]), Err(Untrusted::TooFew(1, 2)));
    assert_eq!(signers(&[&alice, &eve]), Err(Untrusted::TooFew(1, 2)));
    assert!(matches!(signers(&[&bob, &carol]), Err(Untrusted::NotByAuthor(_))));
    assert!(matches!(signers(&[&eve]), Err(Untrusted::NotByAuthor(_))));
    let twin = key("bob");
    assert_eq!(signers(&[&alice, &twin]), Err(Untrusted::TooFew(1, 2)), "a name is no key");
    let other = note(&bundle(44).to_string(), &[&bob]);
    let stolen = format!("{}{}", note(&text, &[&alice]), other.rsplit_once("\n\n").unwrap().1);
    assert!(matches!(trust.accept(&stolen), Err(Untrusted::Note(_))), "of another text");
    assert!(matches!(trust.accept(&"a".repeat(NOTE_BYTES_MAX + 1)), Err(Untrusted::Long(_))));
}

/// Whoever may add lines cannot keep a bundle from being signed.
#[test]
fn lines_that_sign_nothing_are_left_out() {
    let (alice, bob, eve) = (key("alice@example.org"), key("bob"), key("eve"));
    let trust = trust(&[&alice, &bob], 2);
    let text = bundle(43).to_string();
    let good = [alice.signature(&text), bob.signature(&text)];
    let bad = [
        bob.signature("another text\n"),
        eve.signature(&text),
        alice.signature(&text),
        "nonsense\n".to_owned(),
        "\u{2014} bob\n\n\u{2014} bob".to_owned(),
        String::new(),
    ];
    for at in 0..=2 {
        let mut lines = good.to_vec();
        lines.splice(at..at, bad.clone());
        let signed = trust.gather(&text, &lines).unwrap();
        assert_eq!(signed.signers.len(), 2);
        assert!(trust.accept(&signed.note).is_ok());
    }
    assert!(trust.gather(&text, &bad[..2]).is_err());
    assert_eq!(trust.gather(&text, &bad).unwrap().signers, ["alice@example.org"]);
}

#[test]
fn a_bundle_of_another_name_or_for_a_newer_version_is_not_taken() {
    let alice = key("alice@example.org");
    let trust = trust(&[&alice], 1);
    let other = Bundle { name: "example.org/staging".into(), ..bundle(43) };
    let refused = trust.accept(&note(&other.to_string(), &[&alice]));
    assert!(matches!(refused, Err(Untrusted::OtherName(..))));
    let newer = Bundle { needs: Needs::parse("999.0.0").unwrap(), ..bundle(43) };
    let signed = note(&newer.to_string(), &[&alice]);
    assert!(matches!(trust.accept(&signed), Err(Untrusted::Newer(..))));
    assert!(trust.read(&signed).is_ok(), "it can be looked at");
    assert!(Needs::parse("0.10.0") > Needs::parse("0.9.9"));
    assert!(Needs::own() >= Needs::FIRST);
}

#[test]
fn keys_that_are_one_count_as_none() {
    let (alice, bob) = (key("alice"), key("bob"));
    let two = |one: &SigningKey, other: &SigningKey, min| {
        let keys = vec![one.verifier().clone(), other.verifier().clone()];
        Trust::new("a".into(), keys, min).map(drop)
    };
    assert!(two(&alice, &bob, 2).is_ok());
    assert!(matches!(two(&alice, &alice, 2), Err(TrustError::Same(..))));
    assert!(matches!(two(&alice, &key("alice"), 2), Err(TrustError::Same(..))));
    assert_eq!(two(&alice, &bob, 3), Err(TrustError::SignaturesMin(2)));
    assert_eq!(two(&alice, &bob, 0), Err(TrustError::SignaturesMin(2)));
}

#[test]
fn files_are_those_that_were_signed() {
    let bundle = bundle(43);
    assert_eq!(bundle.check(&files()), Ok(()));
    for name in FileName::ALL {
        let mut altered = files();
        altered.remove(name);
        assert_eq!(bundle.check(&altered), Err(NotWhole::Missing(name.as_str())));
        altered.insert(*name, b"other".to_vec());
        assert!(matches!(bundle.check(&altered), Err(NotWhole::Altered(..))));
    }
    let fewer = Bundle { files: bundle.files[..3].to_vec(), ..bundle };
    assert_eq!(fewer.check(&files()), Err(NotWhole::Unknown("entrances.csv".into())));
}

fn directive(what: Directed) -> Directive {
    let made = ("2026-11-28T09:00:00Z".parse().unwrap(), "alice@example.org".into());
    Directive::new("example.org/doors".into(), made, what, "token of visitor-desk stolen".into())
}

/// Whoever has one key cannot say something else under the name of an order of another's.
#[test]
fn an_order_has_the_name_of_what_it_says() {
    let freeze = directive(Directed::Given(OrderKind::Freeze(Scope::Everything), None));
    let drill = directive(Directed::Given(OrderKind::Drill(Scope::Everything), None));
    assert_ne!(freeze.id, drill.id);
    let other = Directive { id: freeze.id.clone(), ..drill };
    assert_eq!(Directive::parse(&other.to_string()), Err(Malformed::Form));
    assert_eq!(Directive::parse(&freeze.to_string()), Ok(freeze));
}

fn directives() -> Vec<Directed> {
    let desk = CallerId::parse("visitor-desk").unwrap();
    let lobby = EntranceId::parse("d23d7180-c1ee-4bbe-8630-05df5031ce35").unwrap();
    let until = Some("2026-11-28T11:00:00Z".parse().unwrap());
    let scopes = [
        Scope::Everything,
        Scope::Caller(desk.clone()),
        Scope::Zone("zone:server-room".into()),
        Scope::Entrance(lobby),
        Scope::Workspace(WorkspaceName::parse("north").unwrap()),
    ];
    let freezes =
        scopes.iter().cloned().map(|scope| Directed::Given(OrderKind::Freeze(scope), None));
    let drills =
        scopes.iter().cloned().map(|scope| Directed::Given(OrderKind::Drill(scope), until));
    let allow = Directed::Given(OrderKind::Exception(desk, lobby), until);
    freezes.chain(drills).chain([allow, Directed::Lifted(DirectiveId::of([9; 16]))]).collect()
}

#[test]
fn an_order_is_written_and_read_in_one_way_only() {
    for what in directives() {
        let own = directive(what);
        let text = own.to_string();
        assert_eq!(Directive::parse(&text), Ok(own));
        assert!(Bundle::parse(&text).is_err(), "it is no bundle");
        for (from, to) in [
            ("order 1", "order 2"),
            ("id 07", "id 0G"),
            ("id 07", "id 7"),
            (" by alice", " by al ice"),
            ("09:00:00Z", "09:00:00.0Z"),
            ("until ", "until  "),
            ("freeze everything", "freeze everybody"),
            ("caller visitor-desk", "caller Visitor-Desk"),
            ("zone zone:", "zone "),
            ("entrance d23", "entrance D23"),
            ("drill", "freeze-drill"),
            ("allow visitor-desk ", "allow visitor-desk  "),
            ("lift 09", "lift *"),
            ("stolen\n", "stolen"),
            ("stolen\n", "stolen\nmore\n"),
            ("why ", "why"),
        ] {
            let altered = text.replacen(from, to, 1);
            assert!(altered == text || Directive::parse(&altered).is_err(), "{altered}");
        }
    }
}

/// One may stop; to allow takes as many as a policy.
#[test]
fn what_allows_something_takes_as_many_as_a_bundle() {
    let (alice, bob, eve) = (key("alice@example.org"), key("bob"), key("eve"));
    let trust = trust(&[&alice, &bob], 2);
    for what in directives() {
        let own = directive(what);
        let text = own.to_string();
        let signed = |keys: &[&SigningKey]| trust.accept_directive(&note(&text, keys));
        assert!(signed(&[&alice, &bob]).is_ok());
        let allows =
            matches!(own.what, Directed::Lifted(_) | Directed::Given(OrderKind::Exception(..), _));
        assert_eq!(own.allows(), allows);
        assert_eq!(signed(&[&alice]).is_ok(), !allows, "{text}");
        assert!(signed(&[&bob]).is_err(), "not by who made it");
        assert!(signed(&[&eve]).is_err());
        let Directive { made, by, what, why, .. } = own;
        let other = Directive::new("example.org/staging".into(), (made, by), what, why);
        assert!(trust.accept_directive(&note(&other.to_string(), &[&alice, &bob])).is_err());
    }
}

proptest! {
    /// Whatever is offered in whatever order, the number in force never falls, and never has
    /// another text.
    #[test]
    fn numbers_only_rise(offers in proptest::collection::vec((1_u64..6, 0_u8..2), 0..40)) {
        let offer = |(number, text): (u64, u8)| Offer { number, digest: Digest::of(&[text]) };
        let mut in_force = offer((1, 0));
        for offered in offers.into_iter().map(offer) {
            let before = in_force;
            match before.beside(&offered) {
                Offered::Newer => in_force = offered,
                Offered::Same => prop_assert_eq!(offered, before),
                Offered::Older => prop_assert!(offered.number < before.number),
                Offered::Forked => prop_assert_ne!(offered.digest, before.digest),
            }
            prop_assert!(in_force == before || in_force.number > before.number);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[a-z0-9 :.\n\u{2014}]{0,200}") {
        let alice = key("alice");
        let _ = (Bundle::parse(&text), Directive::parse(&text));
        prop_assert!(trust(&[&alice], 1).accept(&text).is_err());
    }
}
