//! Sections 2 and 3 of RFC 8725, and what else a hostile token can be.

use super::*;

const DESK: &str = "desk jwt:idp";

#[test]
fn tokens_of_every_algorithm_are_accepted_as_others_make_them() {
    for algorithm in JwsAlgorithm::CODES {
        let signer = Signer::new("k", algorithm);
        let site = Site::new(&[&signer]);
        assert_eq!(site.ask(&signer.token(&claims())).as_deref(), Ok(DESK), "{algorithm}");
    }
    // The other implementation signs, and verifies what this one signs.
    for (alg, theirs) in [
        ("ES256", jsonwebtoken::Algorithm::ES256),
        ("ES384", jsonwebtoken::Algorithm::ES384),
        ("EdDSA", jsonwebtoken::Algorithm::EdDSA),
    ] {
        let signer = Signer::new("k", alg);
        let site = Site::new(&[&signer]);
        let key = match alg {
            "EdDSA" => jsonwebtoken::EncodingKey::from_ed_der(&signer.pkcs8()),
            _ => jsonwebtoken::EncodingKey::from_ec_der(&signer.pkcs8()),
        };
        let mut header = jsonwebtoken::Header::new(theirs);
        header.kid = Some("k".into());
        let token = jsonwebtoken::encode(&header, &claims(), &key).unwrap();
        assert_eq!(site.ask(&token).as_deref(), Ok(DESK), "{alg}");
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(signer.jwk()).unwrap();
        let key = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
        let mut validation = jsonwebtoken::Validation::new(theirs);
        validation.set_audience(&[AUD]);
        jsonwebtoken::decode::<Value>(&signer.token(&claims()), &key, &validation).unwrap();
    }
}

/// RFC 8725, sections 2.1 and 3.1: the algorithm is the issuer's and the key's.
#[test]
fn a_header_does_not_choose_the_algorithm() {
    let (ec, rsa) = (Signer::new("ec", "ES256"), Signer::new("rsa", "RS256"));
    let site = Site::new(&[&ec, &rsa]);
    let header = |alg: &str, kid: &str| json!({"alg": alg, "kid": kid});
    for alg in ["none", "None", "nOnE", "", "HS256", "HS384", "HS512", "ES512", "RSA-OAEP"] {
        let token = ec.token_with(&header(alg, "ec"), &claims());
        let (message, _) = token.rsplit_once('.').unwrap();
        // Signed with the public key for a secret, and not signed at all.
        for key in [ec.public(), rsa.public(), ec.jwk().to_string().into_bytes()] {
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
            let tag = aws_lc_rs::hmac::sign(&key, message.as_bytes());
            let token = format!("{message}.{}", b64(tag));
            assert_eq!(site.ask(&token), Err(Reason::JwtAlgorithm), "{alg}");
        }
        assert_eq!(site.ask(&format!("{message}.")), Err(Reason::JwtAlgorithm), "{alg}");
    }
    // One key's algorithm with another key, and one that the key's `alg` does not allow.
    for (signer, alg, kid) in [(&ec, "ES256", "rsa"), (&rsa, "RS256", "ec"), (&rsa, "PS256", "rsa")]
    {
        let token = signer.token_with(&header(alg, kid), &claims());
        assert_eq!(site.ask(&token), Err(Reason::JwtAlgorithm), "{alg} {kid}");
    }
    let token = ec.token_with(&json!({"alg": ["ES256"], "kid": "ec"}), &claims());
    assert_eq!(site.ask(&token), Err(Reason::JwtMalformed));
    // Not one of the issuer's, although the key could.
    let only_rsa = IssuerRules { algorithms: vec![JwsAlgorithm::Rs256], ..rules("main", ISS) };
    let site = Site::of(vec![issuer(only_rsa, &[&rsa])]);
    assert_eq!(site.ask(&ec.token(&claims())), Err(Reason::JwtAlgorithm));
    assert_eq!(site.ask(&rsa.token(&claims())).as_deref(), Ok(DESK));
}

/// RFC 8725, sections 2.9, 3.9 and 3.10: no key and no address comes from a token.
#[test]
fn a_header_brings_no_key() {
    let (own, attacker) = (Signer::new("k", "ES256"), Signer::new("k", "ES256"));
    let site = Site::new(&[&own]);
    let usual = json!({"alg": "ES256", "kid": "k", "typ": "JWT"});
    for (name, value) in [
        ("jwk", attacker.jwk()),
        ("jku", json!("https://attacker.example/jwks.json")),
        ("x5u", json!("https://attacker.example/x.pem")),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("epk", json!({})),
        ("typ", json!("dpop+jwt")),
        ("typ", json!("secevent+jwt")),
        ("typ", json!(1)),
        ("kid", json!(7)),
        ("kid", json!("x".repeat(257))),
    ] {
        let mut header = usual.clone();
        header[name] = value;
        for signer in [&own, &attacker] {
            let token = signer.token_with(&header, &claims());
            assert_eq!(site.ask(&token), Err(Reason::JwtMalformed), "{header}");
        }
    }
    // A key's name is compared, and nothing else is done with it.
    for kid in ["", "../../etc/passwd", "k' OR '1'='1", "k\u{0}", "K", "https://a.example", "k "] {
        let token = own.token_with(&json!({"alg": "ES256", "kid": kid}), &claims());
        assert_eq!(site.ask(&token), Err(Reason::JwtKeyUnknown), "{kid}");
    }
    assert_eq!(site.ask(&attacker.token(&claims())), Err(Reason::JwtSignature));
    // What is harmless is ignored, as RFC 7515, section 4 has it.
    for (name, value) in [("x5t", json!("abc")), ("cty", json!("x")), ("ver", json!(1))] {
        let mut header = usual.clone();
        header[name] = value;
        assert_eq!(site.ask(&own.token_with(&header, &claims())).as_deref(), Ok(DESK), "{name}");
    }
    for kind in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"] {
        let header = json!({"alg": "ES256", "kid": "k", "typ": kind});
        assert_eq!(site.ask(&own.token_with(&header, &claims())).as_deref(), Ok(DESK), "{kind}");
    }
}

#[test]
fn a_signature_is_whole_and_of_the_key() {
    let signer = Signer::new("k", "ES256");
    let site = Site::new(&[&signer]);
    let token = signer.token(&claims());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let wrong = |signature: &str| site.ask(&format!("{message}.{signature}"));
    // CVE-2022-21449: r = s = 0; then its neighbours.
    let mut bytes = vec![vec![0_u8; 64], vec![0xff; 64], vec![0; 63], vec![0; 65], Vec::new()];
    let mut flipped = super::base64url(signature).unwrap();
    flipped[40] ^= 1;
    bytes.extend([flipped[..32].to_vec(), flipped]);
    // DER in place of the two numbers.
    bytes.push(vec![0x30, 6, 2, 1, 1, 2, 1, 1]);
    for signature in bytes {
        assert_eq!(wrong(&b64(&signature)), Err(Reason::JwtSignature), "{signature:?}");
    }
    // Signed is all of it.
    let other = signer.token(&with("sub", json!("rota-app")));
    let (other, _) = other.rsplit_once('.').unwrap();
    assert_eq!(site.ask(&format!("{other}.{signature}")), Err(Reason::JwtSignature));
    // No character of it can be another.
    for place in (0..token.len()).filter(|place| token.as_bytes()[*place] != b'.') {
        let other = if token.as_bytes()[place] == b'A' { "B" } else { "A" };
        let changed = format!("{}{other}{}", &token[..place], &token[place + 1..]);
        assert!(site.ask(&changed).is_err(), "{place}: {changed}");
    }
    assert_eq!(site.ask(&token).as_deref(), Ok(DESK), "and the token itself is good");
}

/// RFC 7515, section 7.1 and RFC 8725, section 2.6.
#[test]
fn a_token_has_one_form() {
    let signer = Signer::new("k", "ES256");
    let site = Site::new(&[&signer]);
    let token = signer.token(&claims());
    let parts: Vec<&str> = token.split('.').collect();
    let [header, body, signature] = parts[..] else { panic!() };
    // 64 bytes end with four unused bits: other values of them are the same bytes.
    let last = signature.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let other = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
    let loose = format!("{}{other}", &signature[..signature.len() - 1]);
    for (text, expected) in [
        (format!("{header}.{body}.{loose}"), Reason::JwtMalformed),
        (format!("{token}=="), Reason::JwtMalformed),
        (format!("{header}.{body}.{signature}."), Reason::CredentialMalformed),
        (format!("{header}.{body}"), Reason::TokenUnknown),
        ("a.b".to_owned(), Reason::TokenUnknown),
        (format!("{header}..{signature}"), Reason::JwtMalformed),
        (format!(".{body}.{signature}"), Reason::JwtMalformed),
        ("..".to_owned(), Reason::JwtMalformed),
        (
            format!("{header}.{body}.{}", signature.replace('-', "+").replace('_', "/") + "+"),
            Reason::JwtMalformed,
        ),
        (token[1..].to_owned(), Reason::JwtMalformed),
        // Five parts are an encrypted token.
        (format!("{header}.{body}.{body}.{body}.{signature}"), Reason::CredentialMalformed),
        (format!("seam_{token}"), Reason::CredentialMalformed),
    ] {
        assert_eq!(site.ask(&text), Err(expected), "{text}");
    }
    let mut short = token.clone();
    while short.len() > signature.len() {
        short.pop();
        assert!(site.ask(&short).is_err(), "{short}");
    }
}

#[test]
fn sizes_and_depths_are_bounded() {
    let signer = Signer::new("k", "ES256");
    let site = Site::new(&[&signer]);
    let long = |bytes: usize| signer.token(&with("x", json!("y".repeat(bytes))));
    assert_eq!(site.ask(&long(5_500)).as_deref(), Ok(DESK));
    assert_eq!(site.ask(&long(6_500)), Err(Reason::CredentialMalformed));
    let deep = |depth: usize| {
        let nested = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let text = claims().to_string().replacen('{', &format!("{{\"x\":{nested},"), 1);
        signer.token_of(r#"{"alg":"ES256","kid":"k"}"#, &text)
    };
    assert_eq!(site.ask(&deep(7)).as_deref(), Ok(DESK));
    assert_eq!(site.ask(&deep(8)), Err(Reason::JwtMalformed));
    assert_eq!(site.ask(&deep(2_500)), Err(Reason::JwtMalformed));
    let many = signer.token(&with("x", json!(vec![1; 600])));
    assert_eq!(site.ask(&many), Err(Reason::JwtMalformed));
}

/// RFC 8725, section 2.7 and RFC 7519, section 4: what two readers take for two things.
#[test]
fn ambiguous_json_is_refused() {
    let signer = Signer::new("k", "ES256");
    let site = Site::new(&[&signer]);
    let usual = r#"{"alg":"ES256","kid":"k"}"#;
    let text = claims().to_string();
    let inside = &text[1..];
    for (header, claims) in [
        (usual, format!(r#"{{"sub":"rota-app",{inside}"#)),
        (usual, format!(r#"{{"s\u0075b":"rota-app",{inside}"#)),
        (usual, format!(r#"{{"x":{{"a":1,"a":2}},{inside}"#)),
        (r#"{"alg":"ES256","alg":"none","kid":"k"}"#, text.clone()),
        (r#"{"alg":"ES256","kid":"k","kid":"k"}"#, text.clone()),
        (usual, format!("{text}{text}")),
        (usual, format!("\u{feff}{text}")),
        (usual, format!("[{text}]")),
        (usual, "null".to_owned()),
        (usual, String::new()),
        ("[]", text.clone()),
        ("{}", text.clone()),
        (r#"{"kid":"k"}"#, text.clone()),
    ] {
        let token = signer.token_of(header, &claims);
        assert_eq!(site.ask(&token), Err(Reason::JwtMalformed), "{header} {claims}");
    }
}

/// RFC 8725, section 2.8: a token of one issuer is not another's.
#[test]
fn issuers_are_not_substituted() {
    let (one, two) = (Signer::new("k", "ES256"), Signer::new("k", "ES256"));
    let second = "https://second.example";
    let site = Site::of(vec![
        issuer(rules("main", ISS), &[&one]),
        issuer(rules("second", second), &[&two]),
    ]);
    assert_eq!(site.ask(&one.token(&claims())).as_deref(), Ok(DESK));
    assert_eq!(
        site.ask(&two.token(&with("iss", json!(second)))).as_deref(),
        Ok("second jwt:elsewhere")
    );
    assert_eq!(site.ask(&two.token(&claims())), Err(Reason::JwtSignature));
    assert_eq!(site.ask(&one.token(&with("iss", json!(second)))), Err(Reason::JwtSignature));
    for iss in ["https://issuer.example", "https://ISSUER.example/", "https://issuer.example//", ""]
    {
        let token = one.token(&with("iss", json!(iss)));
        assert_eq!(site.ask(&token), Err(Reason::JwtIssuerUnknown), "{iss}");
    }
    for iss in [Value::Null, json!([ISS]), json!(1)] {
        assert_eq!(site.ask(&one.token(&with("iss", iss))), Err(Reason::JwtClaims));
    }
    let none = Site::of(Vec::new());
    assert_eq!(none.ask(&one.token(&claims())), Err(Reason::JwtIssuerUnknown));
}

#[test]
fn every_claim_is_checked() {
    let signer = Signer::new("k", "EdDSA");
    let site = Site::new(&[&signer]);
    use Reason as R;
    for (name, value, expected) in [
        ("exp", Value::Null, R::JwtClaims),
        ("exp", json!("2099-01-01"), R::JwtClaims),
        ("exp", json!(from_now(600).to_string()), R::JwtClaims),
        ("exp", json!(-1), R::JwtClaims),
        ("exp", json!({}), R::JwtClaims),
        ("exp", json!(0), R::JwtExpired),
        ("exp", json!(from_now(-31)), R::JwtExpired),
        ("nbf", json!(from_now(35)), R::JwtNotYet),
        ("iat", json!(from_now(35)), R::JwtNotYet),
        ("nbf", json!("now"), R::JwtClaims),
        ("aud", Value::Null, R::JwtAudience),
        ("aud", json!("grantgate2"), R::JwtAudience),
        ("aud", json!("Grantgate"), R::JwtAudience),
        ("aud", json!([]), R::JwtAudience),
        ("aud", json!(["a", "b"]), R::JwtAudience),
        ("aud", json!([AUD, 1]), R::JwtAudience),
        ("aud", json!([[AUD]]), R::JwtAudience),
        ("aud", json!({ "x": AUD }), R::JwtAudience),
        ("sub", Value::Null, R::JwtUnmapped),
        ("sub", json!("desk-app "), R::JwtUnmapped),
        ("sub", json!("Desk-App"), R::JwtUnmapped),
        ("sub", json!(["desk-app"]), R::JwtClaims),
    ] {
        let token = signer.token(&with(name, value.clone()));
        assert_eq!(site.ask(&token), Err(expected), "{name} {value}");
    }
    for (name, value) in [
        ("exp", json!(from_now(-25))),
        ("exp", json!(f64::from(i32::try_from(from_now(60) - 1_000_000_000).unwrap()) + 1e9 + 0.5)),
        ("nbf", json!(from_now(25))),
        ("nbf", Value::Null),
        ("iat", Value::Null),
        ("aud", json!(["x", AUD])),
        ("aud", json!("https://doors.example")),
    ] {
        let token = signer.token(&with(name, value.clone()));
        assert_eq!(site.ask(&token).as_deref(), Ok(DESK), "{name} {value}");
    }
    let day = Some(Duration::from_secs(3_600));
    let short = IssuerRules { lifetime_max: day, ..rules("main", ISS) };
    let site = Site::of(vec![issuer(short, &[&signer])]);
    assert_eq!(site.ask(&signer.token(&claims())).as_deref(), Ok(DESK));
    let long = signer.token(&with("exp", json!(from_now(4_000))));
    assert_eq!(site.ask(&long), Err(Reason::JwtClaims), "it lives for too long");
}

/// RFC 8705, section 3.
#[test]
fn a_bound_token_is_nothing_without_its_certificate() {
    let signer = Signer::new("k", "ES256");
    let site = Site::new(&[&signer]);
    let (own, digest) = certificate("spiffe://example.org/desk");
    let (other, _) = certificate("spiffe://example.org/desk");
    let (elsewhere, of_elsewhere) = certificate("spiffe://example.org/mesh");
    let bound = signer.token(&with("cnf", json!({"x5t#S256": digest})));
    // Twice: the second time from the cache.
    for _ in 0..2 {
        assert_eq!(site.ask_with(&bound, Some(&own), now()).as_deref(), Ok(DESK));
        assert_eq!(site.ask_with(&bound, Some(&other), now()), Err(Reason::JwtBinding));
        assert_eq!(site.ask_with(&bound, None, now()), Err(Reason::JwtBinding));
    }
    let mesh = signer.token(&with("cnf", json!({"x5t#S256": of_elsewhere})));
    assert_eq!(site.ask_with(&mesh, Some(&elsewhere), now()).as_deref(), Ok(DESK));
    for cnf in [
        json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
        json!({"x5t#S256": digest, "jkt": "x"}),
        json!({"x5t#S256": format!("{digest}=")}),
        json!({"x5t#S256": "abc"}),
        json!({"x5t#S256": [digest]}),
        json!({"jwk": {}}),
        json!({"kid": "x"}),
        json!({}),
        json!([]),
        json!("x"),
        json!(false),
    ] {
        let token = signer.token(&with("cnf", cnf.clone()));
        assert_eq!(site.ask_with(&token, Some(&own), now()), Err(Reason::JwtBinding), "{cnf}");
    }
}
