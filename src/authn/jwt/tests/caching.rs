//! What is remembered of a token holds no longer than the token, its key and the callers.

use super::*;

fn counts(site: &Site) -> (usize, u64, u64) {
    let counts = site.issuers.cached();
    (counts.tokens, counts.hits, counts.misses)
}

#[test]
fn a_known_token_is_not_verified_again() {
    let signer = Signer::new("k", "ES256");
    let site = Site::new(&[&signer]);
    let token = signer.token(&claims());
    for round in 0..3 {
        assert_eq!(site.ask(&token).as_deref(), Ok("desk jwt:idp"));
        assert_eq!(counts(&site), (1, round, 1));
    }
    // Neither bad tokens nor those of nobody take room.
    let _ = site.ask(&signer.token(&with("sub", json!("nobody"))));
    let _ = site.ask(&format!("{token}A"));
    assert_eq!(counts(&site), (1, 2, 3));
    let end = from_now(600 + 29);
    let at = |second| Timestamp::from_second(second).unwrap();
    assert!(site.ask_with(&token, None, at(end)).is_ok());
    assert_eq!(site.ask_with(&token, None, at(end + 2)), Err(Reason::JwtExpired));
}

#[test]
fn other_callers_and_other_keys_take_effect_at_once() {
    let (signer, next) = (Signer::new("k", "ES256"), Signer::new("k", "ES256"));
    let mut site = Site::new(&[&signer]);
    let token = signer.token(&claims());
    assert_eq!(site.ask(&token).as_deref(), Ok("desk jwt:idp"));
    // The caller is gone.
    let all = site.callers;
    let fewer = CALLERS.replace("desk-app\"\n\n", "desk-app-2\"\n\n");
    site.callers = Callers::parse("callers.toml", fewer.as_bytes()).unwrap();
    assert_eq!(site.ask(&token), Err(Reason::JwtUnmapped));
    site.callers = all;
    assert_eq!(site.ask(&token).as_deref(), Ok("desk jwt:idp"));
    // Another key of the same name, and the old one together with a new one.
    let replaced = |site: &Site, signers: &[&Signer]| {
        let [Issuer { rules, keys: IssuerKeys::File(before) }] = site.issuers.all() else {
            panic!()
        };
        let text = jwks(signers);
        let keys = KeySet::parse(text.as_bytes(), &rules.algorithms, Some(before)).unwrap();
        let keys = IssuerKeys::File(Arc::new(keys));
        Issuers::new(vec![Issuer { rules: rules.clone(), keys }], Some(&site.issuers))
    };
    let newer = Signer::new("k2", "ES256");
    site.issuers = replaced(&site, &[&signer, &newer]);
    let (_, hits, _) = counts(&site);
    assert!(site.ask(&token).is_ok());
    assert_eq!(counts(&site).1, hits + 1, "the same key in a new set: still known");
    site.issuers = replaced(&site, &[&next]);
    assert_eq!(site.ask(&token), Err(Reason::JwtSignature));
    site.issuers = replaced(&site, &[&newer]);
    assert_eq!(site.ask(&token), Err(Reason::JwtKeyUnknown));
}

#[test]
fn the_cache_is_bounded_and_makes_room() {
    let signer = Signer::new("k", "EdDSA");
    let site = Site::new(&[&signer]);
    let tokens = 11_000;
    for number in 0..tokens {
        let mut claims = claims();
        claims["jti"] = json!(number);
        assert!(site.ask(&signer.token(&claims)).is_ok());
    }
    let (kept, ..) = counts(&site);
    assert!((8_000..=TOKENS_MAX).contains(&kept), "{kept}");
    // A newcomer is kept, in whichever row.
    for number in tokens..tokens + 20 {
        let mut claims = claims();
        claims["jti"] = json!(number);
        let token = signer.token(&claims);
        let (_, hits, _) = counts(&site);
        assert!(site.ask(&token).is_ok() && site.ask(&token).is_ok());
        assert_eq!(counts(&site).1, hits + 1);
    }
}

/// Keys that are fetched: none yet, good, too old.
#[test]
fn keys_serve_for_a_bounded_time() {
    let signer = Signer::new("k", "ES256");
    let of = |stale_max: Duration| {
        let fetched = Arc::new(FetchedKeys::new(stale_max));
        let keys = IssuerKeys::Fetched(fetched.clone());
        let issuer = Issuer { rules: Arc::new(rules("main", ISS)), keys };
        (Site::of(vec![issuer]), fetched)
    };
    let set = || {
        let keys = KeySet::parse(jwks(&[&signer]).as_bytes(), JwsAlgorithm::ALL, None);
        Some(Arc::new(keys.unwrap()))
    };
    let (site, fetched) = of(Duration::from_secs(60));
    let token = signer.token(&claims());
    assert_eq!(site.ask(&token), Err(Reason::JwtIssuerUnavailable));
    let awaits = |site: &Site, token: &str, reason| {
        let awaited = site.issuers.awaited(&bearer(token), reason);
        awaited.is_some_and(|keys| Arc::ptr_eq(&keys, &fetched))
    };
    assert!(awaits(&site, &token, Reason::JwtIssuerUnavailable), "the first fetch is awaited");
    fetched.begin();
    fetched.end(None, now());
    assert!(!awaits(&site, &token, Reason::JwtIssuerUnavailable), "it has failed");
    fetched.begin();
    fetched.end(set(), now());
    assert!(site.ask(&token).is_ok());
    // A failure takes nothing away.
    fetched.end(None, now());
    assert!(site.ask(&token).is_ok());
    // A name that no key has asks for one fetch, and not for another.
    let other = Signer::new("other", "ES256").token(&claims());
    for expected in [true, false] {
        assert_eq!(site.ask(&other), Err(Reason::JwtKeyUnknown));
        assert_eq!(awaits(&site, &other, Reason::JwtKeyUnknown), expected);
        assert!(!awaits(&site, &other, Reason::JwtSignature));
        fetched.begin();
        fetched.end(None, now());
    }

    let (site, fetched) = of(Duration::ZERO);
    fetched.end(set(), now());
    assert_eq!(site.ask(&token), Err(Reason::JwtIssuerUnavailable), "too old, whatever is known");
}

/// A token names its issuer: another one's fetch is nothing to it.
#[test]
fn only_the_keys_of_its_own_issuer_are_awaited() {
    let signer = Signer::new("k", "ES256");
    let fetched = |name: &str, iss: &str| {
        let keys = Arc::new(FetchedKeys::new(Duration::from_secs(60)));
        let rules = Arc::new(rules(name, iss));
        (Issuer { rules, keys: IssuerKeys::Fetched(keys.clone()) }, keys)
    };
    let ((main, own), (second, other)) = (fetched("main", ISS), fetched("second", "second"));
    let site = Site::of(vec![main, second, issuer(rules("file", "file"), &[&signer])]);
    let awaited = |token: &str| {
        let found = site.issuers.awaited(&bearer(token), Reason::JwtIssuerUnavailable)?;
        Some([&own, &other].map(|keys| Arc::ptr_eq(keys, &found)))
    };
    let of = |iss: &str| signer.token(&with("iss", json!(iss)));
    assert_eq!(awaited(&of(ISS)), Some([true, false]));
    assert_eq!(awaited(&of("second")), Some([false, true]));
    own.end(None, now());
    assert_eq!(awaited(&of(ISS)), None, "although another's are on their way");
    assert_eq!(awaited(&of("second")), Some([false, true]));
    for nobodys in [of("file"), of("https://unknown.example/"), "seam_gg_x".into(), "a.b.c".into()]
    {
        assert_eq!(awaited(&nobodys), None, "{nobodys}");
    }
}
