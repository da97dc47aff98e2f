//! Bundles of every kind of key, and each mistake in one.

use rcgen::{CertificateParams, KeyPair, PublicKeyData as _, SignatureAlgorithm};
use serde_json::{Value as Made, json};

use super::*;

fn authority(algorithm: &'static SignatureAlgorithm) -> (KeyPair, Vec<u8>) {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let der = params.self_signed(&key).unwrap().der().to_vec();
    (key, der)
}

/// The key of an authority as a bundle has it.
fn jwk((key, der): &(KeyPair, Vec<u8>)) -> Made {
    let url = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let raw = key.der_bytes();
    let mut made = match key.algorithm() {
        of if *of == rcgen::PKCS_ED25519 => json!({"kty": "OKP", "crv": "Ed25519", "x": url(raw)}),
        of if *of == rcgen::PKCS_RSA_SHA256 => {
            let numbers = Value::of(raw).unwrap().children();
            let number = |n: usize| url(shortest(numbers[n].contents));
            json!({"kty": "RSA", "n": number(0), "e": number(1)})
        }
        _ => {
            let (x, y) = raw[1..].split_at((raw.len() - 1) / 2);
            let curve = match x.len() {
                32 => "P-256",
                48 => "P-384",
                _ => "P-521",
            };
            json!({"kty": "EC", "crv": curve, "x": url(x), "y": url(y)})
        }
    };
    made["use"] = "x509-svid".into();
    made["x5c"] = json!([STANDARD.encode(der)]);
    made
}

fn read(text: &str) -> Result<Bundle, String> {
    let file = PemFile { name: "b.json", bytes: text.as_bytes() };
    let shown =
        |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
    Bundle::read(file).map_err(|problems| shown(problems).join("\n"))
}

/// One key in each line from the second on.
fn set(keys: &[Made]) -> String {
    let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
    format!(
        "{{\"spiffe_sequence\": 7, \"spiffe_refresh_hint\": 300, \"keys\": [\n{}]}}",
        keys.join(",\n")
    )
}

#[test]
fn the_authorities_are_those_for_certificates() {
    let made = [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ]
    .map(authority);
    let mut keys: Vec<Made> = made.iter().map(jwk).collect();
    // Between them a key for tokens, with the `kid` that it must have.
    keys.insert(
        1,
        json!({"use": "jwt-svid", "kid": "1", "kty": "EC", "crv": "P-256", "x": "", "y": ""}),
    );
    let bundle = read(&set(&keys)).unwrap();
    assert_eq!(bundle.doubt, None);
    let lines: Vec<u32> = bundle.authorities.iter().map(|placed| placed.line).collect();
    assert_eq!(lines, [2, 4, 5, 6, 7]);
    for (placed, (_, der)) in bundle.authorities.iter().zip(&made) {
        assert_eq!(placed.item.as_ref(), der);
    }
}

#[test]
fn what_is_to_be_ignored_is_and_is_said() {
    let good = jwk(&authority(&rcgen::PKCS_ECDSA_P256_SHA256));
    let with = |member: &str, value: Made| {
        let mut made = good.clone();
        made[member] = value;
        made
    };
    let without = |member: &str| {
        let mut made = good.clone();
        made.as_object_mut().unwrap().remove(member).unwrap();
        made
    };
    for (odd, said) in [
        (without("use"), "key 2 has no `use`"),
        (with("use", "sig".into()), "key 2 has a `use` that is not known"),
        // The values are case-sensitive.
        (with("use", "X509-SVID".into()), "key 2 has a `use` that is not known"),
        (with("kty", "AKP".into()), "key 2 is of a kind that is not known"),
        (with("crv", "secp256k1".into()), "key 2 is of a kind that is not known"),
        (without("x5c"), "key 2 has no certificate in `x5c`"),
        (with("x5c", json!([])), "key 2 has no certificate in `x5c`"),
    ] {
        let bundle = read(&set(&[good.clone(), odd.clone()])).unwrap();
        assert_eq!(bundle.authorities.len(), 1, "{said}");
        let doubt = bundle.doubt.unwrap().to_string();
        assert!(doubt.starts_with("b.json:3: 1 of 2 keys of the bundle are not used"), "{doubt}");
        assert!(doubt.ends_with(said), "{doubt}");
        // And alone it is no bundle.
        let alone = read(&set(&[odd])).unwrap_err();
        assert!(alone.contains("b.json: the bundle has no key for certificates"), "{alone}");
    }
    let many = [vec![good.clone()], vec![without("use"); 9]].concat();
    let doubt = read(&set(&many)).unwrap().doubt.unwrap().to_string();
    assert!(
        doubt.contains("9 of 10 keys") && doubt.ends_with("key 5 has no `use`, and 5 more"),
        "{doubt}"
    );
}

#[test]
fn a_mistake_in_a_key_is_said_with_its_line() {
    let kinds = [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519, &rcgen::PKCS_RSA_SHA256];
    let made = kinds.map(authority);
    let other = kinds.map(authority);
    let good = jwk(&made[0]);
    let x5c = |certificates: Made| {
        let mut made = good.clone();
        made["x5c"] = certificates;
        made
    };
    let text = good["x5c"][0].as_str().unwrap().to_owned();
    let der = &made[0].1;
    let with = |member: &str, value: &str| {
        let mut made = good.clone();
        made[member] = value.into();
        made
    };
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    let cut = STANDARD.encode(&der[..der.len() - 1]);
    let mut cases = vec![
        (x5c(json!([text, text])), "has more than one certificate"),
        (x5c(json!(text)), "is not a list of strings"),
        (x5c(json!([1])), "is not a list of strings"),
        (x5c(json!([URL_SAFE_NO_PAD.encode([255, 254, 253])])), "not base64 with padding"),
        (x5c(json!([format!("{text}=")])), "not base64 with padding"),
        (x5c(json!([format!("{text}\n")])), "not base64 with padding"),
        (x5c(json!([pem])), "not base64 with padding"),
        (x5c(json!([cut])), "is damaged"),
        (x5c(json!([STANDARD.encode([der.as_slice(), &[0]].concat())])), "is damaged"),
        (x5c(json!([""])), "is damaged"),
        (x5c(json!([STANDARD.encode([0x30, 0])])), "is no certificate"),
        (with("x", "AAAA"), "have different keys"),
        (with("crv", "P-384"), "have different keys"),
        (with("x", "="), "not in base64url"),
        (with("d", "AAAA"), "is a private key"),
        (json!(["a"]), "is not an object"),
        (json!({"use": "x509-svid"}), "has no `kty`"),
        (json!({"use": 1}), "should be a string"),
    ];
    for (own, other) in made.iter().zip(&other) {
        let mut swapped = jwk(own);
        swapped["x5c"] = jwk(other)["x5c"].clone();
        cases.push((swapped, "have different keys"));
    }
    // Of one kind in the key, of another in the certificate.
    let mut kinds = jwk(&made[1]);
    kinds["x5c"] = jwk(&made[2])["x5c"].clone();
    cases.push((kinds, "have different keys"));
    for (wrong, said) in cases {
        let found = read(&set(&[good.clone(), wrong])).unwrap_err();
        assert!(
            found.starts_with("b.json:3: key 2 of the bundle ") && found.contains(said),
            "{found}"
        );
        assert!(!found.contains('\n') && !found.contains("AAAA"), "{found}");
    }
    let two = read(&set(&[json!(1), good.clone(), json!(2)])).unwrap_err();
    assert_eq!(two.lines().count(), 2, "every mistake at once: {two}");
}

#[test]
fn what_is_no_bundle_is_refused_as_a_whole() {
    let good = jwk(&authority(&rcgen::PKCS_ED25519)).to_string();
    let big = format!("{{\"keys\":[{good}],\"a\":\"{}\"}}", "x".repeat(BUNDLE_BYTES_MAX));
    let many = format!("{{\"keys\":[{}]}}", vec!["1"; KEYS_MAX + 1].join(","));
    for (text, said) in [
        ("-----BEGIN CERTIFICATE-----\nMIIB\n", "b.json: is PEM, not a SPIFFE bundle"),
        ("", "EOF"),
        ("[]", "not an object"),
        ("{\n\"keys\": [],\n\"keys\": []}", "b.json:3:"),
        ("{\n\"keys\": [],\n\"keys\": []}", "a member occurs twice"),
        ("{\"keys\": null}", "has no list `keys`"),
        ("{}", "has no list `keys`"),
        ("{\"keys\": []}", "has no key for certificates"),
        ("{\"keys\": [], \"spiffe_sequence\": \"1\"}", "`spiffe_sequence` of the bundle is not an"),
        ("{\"keys\": [], \"spiffe_refresh_hint\": 1.5}", "`spiffe_refresh_hint` of the bundle"),
        ("{\"keys\": [[[[[[[1]]]]]]]}", "too deeply nested"),
        (&many, "has 257 keys; at most 256"),
        (&big, "is larger than 1048576 bytes"),
    ] {
        let found = read(text).unwrap_err();
        assert!(found.starts_with("b.json:") && found.contains(said), "{said}: {found}");
    }
    // Twice in one key is twice as well, and the last is not taken.
    let doubled = good.replacen('{', "{\"kty\":\"EC\",", 1);
    let found = read(&format!("{{\"keys\":[{doubled}]}}")).unwrap_err();
    assert!(found.contains("a member occurs twice"), "{found}");
    let latin = Bundle::read(PemFile { name: "b.json", bytes: b"{\"\xe9\":1}" }).unwrap_err();
    assert!(latin[0].text.contains("not UTF-8"), "{latin:?}");
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = Bundle::read(PemFile { name: "b", bytes: &bytes });
        let x5c = STANDARD.encode(&bytes);
        let text = format!(
            "{{\"keys\":[{{\"use\":\"x509-svid\",\"kty\":\"RSA\",\"n\":\"AQ\",\"e\":\"AQ\",\"x5c\":[\"{x5c}\"]}}]}}"
        );
        let _ = read(&text);
    }
}
