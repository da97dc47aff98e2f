//! JWK Sets, good and bad.

use super::*;

fn parse(keys: Value) -> KeySet {
    let text = json!({ "keys": keys }).to_string();
    KeySet::parse(text.as_bytes(), JwsAlgorithm::ALL, None).unwrap()
}

/// A key with a change; null takes the member out.
fn changed(signer: &Signer, name: &str, value: Value) -> Value {
    let mut jwk = signer.jwk();
    let members = jwk.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.into(), value);
    }
    jwk
}

#[test]
fn only_keys_that_can_verify_are_kept() {
    let (ec, rsa) = (Signer::new("ec", "ES256"), Signer::new("rsa", "RS256"));
    let ed = Signer::new("ed", "EdDSA");
    let mut weak = vec![0xff_u8; 128];
    weak[127] = 0xfd;
    for (jwk, is_mistake, why) in [
        (json!({"kty": "oct", "k": b64("secret")}), true, "is a private or shared key"),
        (changed(&ec, "d", json!("x")), true, "is a private or shared key"),
        (changed(&rsa, "p", json!("x")), true, "is a private or shared key"),
        (changed(&rsa, "n", json!(b64(&weak))), true, "less than 2048"),
        (changed(&rsa, "n", json!(b64(vec![0xff; 1025]))), true, "more than 8192 bits"),
        (changed(&rsa, "e", json!(b64([1]))), true, "exponent"),
        (changed(&rsa, "e", json!(b64([1, 0, 0]))), true, "exponent"),
        (changed(&rsa, "e", Value::Null), true, "missing or not in base64url"),
        (changed(&rsa, "alg", json!("ES256")), true, "does not fit its kind"),
        (changed(&rsa, "alg", json!("HS256")), false, "of a kind that is not used here"),
        (changed(&rsa, "alg", json!("RSA-OAEP")), false, "of a kind that is not used here"),
        (changed(&rsa, "use", json!("enc")), false, "is not for signatures"),
        (changed(&rsa, "key_ops", json!(["encrypt"])), false, "is not for signatures"),
        (changed(&rsa, "key_ops", json!("verify")), true, "`key_ops`"),
        (changed(&ec, "x", json!(b64([7; 32]))), true, "no valid key"),
        (changed(&ec, "x", json!(b64([7; 31]))), true, "another length"),
        (changed(&ec, "y", json!("!")), true, "base64url"),
        (changed(&ec, "crv", json!("secp256k1")), false, "of a kind that is not used here"),
        (changed(&ec, "crv", json!("P-384")), true, "another length"),
        (changed(&ec, "crv", Value::Null), false, "of a kind that is not used here"),
        (changed(&ec, "kty", Value::Null), true, "has no `kty`"),
        (changed(&ec, "kty", json!("AKP")), false, "of a kind that is not used here"),
        (changed(&ec, "kid", json!(1)), true, "should be a string"),
        (changed(&ec, "kid", json!("")), true, "empty or too long"),
        (changed(&ed, "x", json!(b64([7; 33]))), true, "another length"),
        (json!("x"), true, "is not an object"),
    ] {
        let set = parse(json!([jwk, ed.jwk()]));
        assert_eq!(set.len(), 1, "the other key is kept: {jwk}");
        let [left_out] = set.left_out() else { panic!("{jwk}") };
        assert_eq!((left_out.number, left_out.is_mistake), (1, is_mistake), "{jwk}");
        assert!(left_out.why.contains(why), "{jwk}: {}", left_out.why);
    }
    let set = parse(json!([ec.jwk(), changed(&rsa, "kid", json!("ec")), ec.jwk()]));
    assert_eq!(set.len(), 2, "one name for two kinds of key, and no doubt which is meant");
    assert_eq!(set.left_out()[0].why, "has the `kid` of another key");
    assert!(parse(json!([])).is_empty());
}

#[test]
fn a_document_is_a_jwk_set_or_nothing_of_it_is_used() {
    let ec = Signer::new("ec", "ES256").jwk();
    let many = json!({"keys": vec![ec.clone(); 65]}).to_string();
    let large = json!({"keys": [], "x": "y".repeat(JWKS_BYTES_MAX)}).to_string();
    let twice = format!(r#"{{"keys":[],"keys":[{ec}]}}"#);
    for (text, expected) in [
        ("<!doctype html><title>Sign in</title>", "not JSON"),
        ("", "not JSON"),
        ("[]", "not an object"),
        ("{}", "no list `keys`"),
        (r#"{"keys":{}}"#, "no list `keys`"),
        (&twice, "a member occurs twice"),
        (&many, "65 keys; at most 64"),
        (&large, "larger than"),
    ] {
        let found = KeySet::parse(text.as_bytes(), JwsAlgorithm::ALL, None).err().unwrap();
        assert!(found.contains(expected), "{found}");
    }
    let metadata = |iss: &str| json!({"issuer": iss, "jwks_uri": "https://a/k"}).to_string();
    assert_eq!(jwks_uri(metadata(ISS).as_bytes(), ISS).as_deref(), Ok("https://a/k"));
    for text in
        [metadata("https://issuer.example"), "{}".into(), format!(r#"{{"issuer":"{ISS}"}}"#)]
    {
        assert!(jwks_uri(text.as_bytes(), ISS).is_err(), "{text}");
    }
}

/// A key without `alg` serves the algorithms of its kind that the issuer may use.
#[test]
fn a_key_without_a_name_or_an_algorithm() {
    let rsa = Signer::new("rsa", "RS256");
    let mut bare = rsa.jwk();
    for name in ["alg", "use", "kid"] {
        bare.as_object_mut().unwrap().remove(name);
    }
    let rules = IssuerRules {
        algorithms: vec![JwsAlgorithm::Rs256, JwsAlgorithm::Ps384],
        ..rules("main", ISS)
    };
    let text = json!({"keys": [bare]}).to_string();
    let keys = KeySet::parse(text.as_bytes(), &rules.algorithms, None).unwrap();
    let keys = IssuerKeys::File(Arc::new(keys));
    let site = Site::of(vec![Issuer { rules: Arc::new(rules), keys }]);
    for (alg, expected) in [
        ("RS256", Ok("desk jwt:idp")),
        ("PS384", Ok("desk jwt:idp")),
        ("RS384", Err(Reason::JwtAlgorithm)),
    ] {
        let token = rsa.token_with(&json!({ "alg": alg }), &claims());
        assert_eq!(site.ask(&token).as_deref().map_err(|e| *e), expected, "{alg}");
    }
    let named = rsa.token(&claims());
    assert_eq!(site.ask(&named), Err(Reason::JwtKeyUnknown), "a name that no key has");
    // With a second key the sender would choose.
    let (one, two) = (Signer::new("a", "ES256"), Signer::new("b", "ES256"));
    let site = Site::new(&[&one, &two]);
    let token = one.token_with(&json!({"alg": "ES256"}), &claims());
    assert_eq!(site.ask(&token), Err(Reason::JwtKeyUnknown));
}
