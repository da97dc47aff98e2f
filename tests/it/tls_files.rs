//! TLS files as people have them: glued, converted, encrypted, of other kinds. Made by
//! OpenSSL, and each one taken to `grantgate check`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::authority::Authority;
use crate::support::process::can;
use crate::support::{Site, check};

/// Runs commands in the directory of certificates.
fn sh(site: &Site, script: &str) {
    let output = Command::new("sh")
        .args(["-ec", script])
        .current_dir(site.path("certs"))
        .env("RANDFILE", "/dev/null")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {text}");
}

fn write_secret(path: &Path, text: impl AsRef<[u8]>) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

const CRL: (&str, &str) = ("GRANTGATE__LISTENER__CLIENT_CRL_FILE", "certs/callers.crl");
const CA: (&str, &str) = ("GRANTGATE__LISTENER__CLIENT_CA_FILE", "certs/callers-ca.pem");

/// `printf '%s' "$(cat leaf.pem)" > a; cat a intermediate.pem > chain.pem`
#[test]
fn files_joined_without_a_line_end_are_not_read_in_part() {
    let site = Site::new();
    let authority = Authority::new(&site);
    std::fs::write(site.path("certs/callers.crl"), authority.revocation_list(&[7], 2100)).unwrap();
    assert_eq!(check(&site, &[CRL]).0, Some(0));
    for (file, noun) in [
        ("certs/server.pem", "certificate"),
        ("certs/callers-ca.pem", "certificate"),
        ("certs/servers-ca.pem", "certificate"),
        ("certs/callers.crl", "revocation list"),
    ] {
        let whole = String::from_utf8(site.read(file)).unwrap();
        let lines = whole.lines().count();
        for (how, glued, at, part) in [
            (
                "no line end",
                [whole.trim_end(), &whole].concat(),
                lines,
                format!("the 2nd {noun} begins on the line on which the block before it ends"),
            ),
            (
                "byte order mark",
                format!("\u{feff}{whole}"),
                1,
                "begins with a byte order mark, which hides the first block".to_owned(),
            ),
            (
                "cut off",
                format!("{whole}{}", whole.lines().take(3).collect::<Vec<_>>().join("\n")),
                lines + 1,
                format!("the 2nd {noun}, which begins in line {}, is cut off", lines + 1),
            ),
        ] {
            std::fs::write(site.path(file), glued).unwrap();
            let (code, text) = check(&site, &[CRL]);
            assert_eq!(code, Some(3), "{file}, {how}: {text}");
            let place = format!("{file}:{at}: ");
            assert!(text.contains(&place) && text.contains(&part), "{file}, {how}: {text}");
        }
        std::fs::write(site.path(file), whole).unwrap();
    }
    assert_eq!(check(&site, &[CRL]).0, Some(0), "as they were");
}

/// Every other reader of PEM goes the same way.
#[test]
fn no_reader_of_certificates_reads_in_part() {
    let site = Site::new();
    let whole = String::from_utf8(site.read("certs/servers-ca.pem")).unwrap();
    std::fs::write(site.path("certs/glued.pem"), [whole.trim_end(), &whole].concat()).unwrap();
    let glued = site.path("certs/glued.pem");
    let glued = glued.to_str().unwrap();
    let remote = [
        ("GRANTGATE__ADMIN__REMOTE__ADDRESS", "127.0.0.1:0"),
        ("GRANTGATE__ADMIN__REMOTE__CERTIFICATE_FILE", "certs/server.pem"),
        ("GRANTGATE__ADMIN__REMOTE__PRIVATE_KEY_FILE", "certs/server.key"),
        ("GRANTGATE__ADMIN__REMOTE__CLIENT_CA_FILE", "certs/callers-ca.pem"),
    ];
    assert_eq!(check(&site, &remote).0, Some(0));
    let with = |name, more: &[(&'static str, &'static str)]| {
        let mut all = more.to_vec();
        all.retain(|(other, _)| *other != name);
        (name, all)
    };
    let export = [("GRANTGATE__AUDIT__EXPORT__URL", "https://collector.example/v1/logs")];
    let traces = [("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example")];
    for (name, more) in [
        with("GRANTGATE__ADMIN__REMOTE__CERTIFICATE_FILE", &remote),
        with("GRANTGATE__ADMIN__REMOTE__CLIENT_CA_FILE", &remote),
        with("GRANTGATE__UPSTREAM__CA_FILE", &[]),
        with("GRANTGATE__AUDIT__EXPORT__CA_FILE", &export),
        with("OTEL_EXPORTER_OTLP_CERTIFICATE", &traces),
    ] {
        let environment: Vec<_> = more.into_iter().chain([(name, glued)]).collect();
        let (code, text) = check(&site, &environment);
        let part = "the 2nd certificate begins on the line on which the block before it ends";
        assert!(code == Some(3) && text.contains(part), "{name}: {text}");
        assert!(text.contains("certs/glued.pem:"), "{name}: {text}");
    }
}

#[test]
fn the_two_files_of_a_pair_are_told_apart() {
    let site = Site::new();
    let (pem, key) = (site.read("certs/server.pem"), site.read("certs/server.key"));
    // The name of a file is in the problem that is about it.
    let of = |text: &str, file: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with("error: "));
        lines.filter(|line| line.contains(&format!("{file}:"))).map(str::to_owned).collect()
    };
    write_secret(&site.path("certs/server.pem"), &key);
    write_secret(&site.path("certs/server.key"), &pem);
    let (code, text) = check(&site, &[]);
    assert_eq!(code, Some(3), "{text}");
    for (file, part) in [
        ("server.pem", "is a private key, not a certificate; were two files"),
        ("server.key", "is a certificate, not a private key; were two files"),
    ] {
        assert!(of(&text, file).concat().contains(part), "{file}: {text}");
    }

    write_secret(&site.path("certs/server.pem"), &pem);
    write_secret(&site.path("certs/server.key"), Site::new().read("certs/server.key"));
    let (_, text) = check(&site, &[]);
    let part = "the private key does not belong to the certificate in";
    assert!(of(&text, "server.key").concat().contains(part), "{text}");
    assert!(of(&text, "server.pem").is_empty(), "{text}");

    write_secret(&site.path("certs/server.key"), &key);
    let reversed = [site.read("certs/servers-ca.pem"), pem].concat();
    std::fs::write(site.path("certs/server.pem"), reversed).unwrap();
    let (_, text) = check(&site, &[]);
    let part = "is in the wrong order: the private key belongs to the 2nd certificate";
    assert!(of(&text, "server.pem").concat().contains(part), "{text}");
    assert!(of(&text, "server.key").is_empty(), "{text}");
}

/// How OpenSSL makes a file, what is said of it, and whether the command that is said makes
/// one that is accepted.
struct Case {
    file: &'static str,
    made_by: &'static str,
    said: &'static str,
    mended: bool,
}

const fn case(file: &'static str, made_by: &'static str, said: &'static str) -> Case {
    Case { file, made_by, said, mended: false }
}

const fn mended(file: &'static str, made_by: &'static str, said: &'static str) -> Case {
    Case { file, made_by, said, mended: true }
}

const KEYS: &[Case] = &[
    mended(
        "server.key",
        "openssl pkcs8 -topk8 -in good.key -passout pass:word -out server.key",
        "is an encrypted private key, and the gateway asks for no passphrase: write it without \
         one by `openssl pkey -in ",
    ),
    mended(
        "server.key",
        "openssl ec -aes128 -in good.key -passout pass:word -out server.key",
        "is an encrypted private key",
    ),
    mended(
        "server.key",
        "openssl pkcs8 -topk8 -in good.key -passout pass:word -outform DER -out server.key",
        "is an encrypted private key",
    ),
    mended(
        "server.key",
        "openssl pkey -in good.key -outform DER -out server.key",
        "is DER, not PEM",
    ),
    mended("server.key", "openssl ec -in good.key -outform DER -out server.key", "is DER, not PEM"),
    mended(
        "server.key",
        "openssl pkcs12 -export -in server.pem -inkey good.key -passout pass:word -out server.key",
        "is PKCS #12 (.p12, .pfx), not PEM: take the key out with `openssl pkcs12 -in ",
    ),
    case(
        "server.key",
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 -out server.key",
        "holds a key on the curve secp256k1; P-256, P-384 and P-521 are accepted; make one",
    ),
    case(
        "server.key",
        "openssl ecparam -genkey -name secp256k1 -out server.key",
        "holds a key on the curve secp256k1",
    ),
    case(
        "server.key",
        "openssl ecparam -genkey -name secp256k1 -param_enc explicit -out server.key",
        "described in full instead of named",
    ),
    case("server.key", "openssl genpkey -algorithm ED448 -out server.key", "holds an Ed448 key"),
    case("server.key", "openssl genpkey -algorithm X25519 -out server.key", "which cannot sign"),
    case(
        "server.key",
        "openssl genrsa -out server.key 1024",
        "holds an RSA key of 1024 bits; 2048 to 8192 are accepted",
    ),
    case(
        "server.key",
        "openssl genrsa -traditional -out server.key 1024",
        "holds an RSA key of 1024 bits",
    ),
    case(
        "server.key",
        "openssl dsaparam -out params 1024 && openssl gendsa -out server.key params",
        "holds a DSA key",
    ),
    case("server.key", "openssl pkey -in good.key -pubout -out server.key", "is a public key"),
    case(
        "server.key",
        "openssl req -new -key good.key -subj /CN=x -out server.key",
        "is a certificate signing request (CSR), not a private key",
    ),
    case("server.key", "openssl ecparam -name prime256v1 -out server.key", "and holds no key"),
    case("server.key", ": > server.key", "is empty"),
];

const CERTIFICATES: &[Case] = &[
    mended(
        "server.pem",
        "openssl x509 -in good.pem -outform DER -out server.pem",
        "is DER, not PEM",
    ),
    mended(
        "server.pem",
        "openssl pkcs12 -export -in good.pem -inkey good.key -passout pass:word -out server.pem",
        "is PKCS #12 (.p12, .pfx), not PEM: take the certificates out",
    ),
    mended(
        "server.pem",
        "openssl crl2pkcs7 -nocrl -certfile good.pem -out server.pem",
        "is PKCS #7 (.p7b): take the certificates out",
    ),
    mended(
        "server.pem",
        "openssl crl2pkcs7 -nocrl -certfile good.pem -outform DER -out server.pem",
        "is PKCS #7 (.p7b): take the certificates out",
    ),
    mended(
        "server.pem",
        "openssl x509 -in good.pem -trustout -addtrust serverAuth -out server.pem",
        "is a certificate in a form of OpenSSL's own",
    ),
    mended(
        "server.pem",
        "cat good.key good.pem > server.pem",
        "is in a file of certificates, which others may read",
    ),
    case(
        "server.pem",
        "openssl req -new -key good.key -subj /CN=x -out server.pem",
        "is a certificate signing request (CSR), not a certificate: send it to the authority",
    ),
    case(
        "server.pem",
        "openssl req -new -key good.key -subj /CN=x -outform DER -out server.pem",
        "is a certificate signing request (CSR), not a certificate",
    ),
    case(
        "server.pem",
        "openssl req -new -key good.key -subj /CN=x -out csr && \
         openssl x509 -req -in csr -signkey good.key -days 9 -out server.pem",
        "the certificate is X.509 version 1, which has no room for the names of hosts",
    ),
    case("server.pem", ": > server.pem", "is empty: it must hold a certificate in PEM form"),
    mended(
        "callers-ca.pem",
        "openssl x509 -in callers-ca.pem -outform DER -out x && mv x callers-ca.pem",
        "is DER, not PEM",
    ),
    mended(
        "callers.crl",
        "openssl crl -in callers.crl -outform DER -out x && mv x callers.crl",
        "is DER, not PEM: convert it with `openssl crl -inform DER",
    ),
    case(
        "callers.crl",
        "cp callers-ca.pem callers.crl",
        "is a certificate, not a certificate revocation list; the authority publishes its list",
    ),
    case(
        "callers-ca.pem",
        "cp callers.crl callers-ca.pem",
        "is a revocation list, not a certificate",
    ),
];

/// A site with a revocation list, whose own pair is kept as `good.pem` and `good.key`.
fn prepared() -> Site {
    let site = Site::new();
    let authority = Authority::new(&site);
    std::fs::write(site.path("certs/callers.crl"), authority.revocation_list(&[7], 2100)).unwrap();
    sh(&site, "cp server.pem good.pem; cp server.key good.key");
    site
}

#[test]
fn each_other_kind_of_file_has_a_text_of_its_own_and_the_command_in_it_works() {
    if !can("openssl", &["version"]) {
        return;
    }
    for Case { file, made_by, said, mended } in KEYS.iter().chain(CERTIFICATES) {
        let site = prepared();
        let path = site.path(&format!("certs/{file}"));
        let path = path.to_str().unwrap();
        sh(&site, &format!("({made_by}) && chmod 600 {file}"));
        let (code, text) = check(&site, &[CRL, CA]);
        assert_eq!(code, Some(3), "{made_by}: {text}");
        let line = text.lines().find(|line| line.starts_with(&format!("error: {path}:")));
        let line = line.unwrap_or_else(|| panic!("{made_by}: {file} is not named: {text}"));
        assert!(line.contains(said), "{made_by}: {line}");
        if !mended {
            continue;
        }
        // The command asks for the passphrase where there is one.
        let command = line.split('`').nth(1).unwrap();
        let asks = command.contains("openssl pkey") || command.contains("pkcs12");
        let password = if asks { " -passin pass:word" } else { "" };
        sh(&site, &format!("{command}{password} && mv NEW {file} && chmod 600 {file}"));
        let (code, text) = check(&site, &[CRL, CA]);
        assert_eq!(code, Some(0), "{command}: {text}");
    }
}

/// It has been given as one; nothing in it could say so.
#[test]
fn an_authority_may_be_of_version_1() {
    if !can("openssl", &["version"]) {
        return;
    }
    let site = prepared();
    sh(
        &site,
        "openssl req -new -key good.key -subj /CN=old -out csr; openssl x509 -req -in csr -days 90 \
         -signkey good.key -out callers-ca.pem; openssl x509 -in callers-ca.pem -noout -text | \
         grep -q 'Version: 1 '",
    );
    let (code, text) = check(&site, &[CA]);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn keys_that_openssl_makes_for_tls_are_accepted() {
    if !can("openssl", &["version"]) {
        return;
    }
    for made_by in [
        "openssl ecparam -genkey -name prime256v1 -out server.key",
        "openssl ecparam -genkey -name secp384r1 -out server.key",
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521 -out server.key",
        "openssl genpkey -algorithm ED25519 -out server.key",
        "openssl genrsa -out server.key 2048",
        "openssl genrsa -traditional -out server.key 2048",
    ] {
        let site = prepared();
        sh(
            &site,
            &format!(
                "{made_by}; chmod 600 server.key; openssl req -new -x509 -key server.key -days 90 \
                 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
                 -addext basicConstraints=critical,CA:FALSE \
                 -addext extendedKeyUsage=serverAuth -text -out server.pem"
            ),
        );
        let (code, text) = check(&site, &[CRL]);
        assert_eq!(code, Some(0), "{made_by}: {text}");
        assert!(!text.contains("server.pem"), "{made_by}: nothing to say of it: {text}");
    }
}
