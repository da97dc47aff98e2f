use rcgen::{CertificateParams, KeyPair};

use super::*;

/// Three certificates, each as it is issued: 1 + n + 1 lines, with a line end.
fn certificate() -> String {
    let key = KeyPair::generate().unwrap();
    CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap().pem()
}

fn join(one: &str, two: &str) -> String {
    [one, two].concat()
}

fn file(bytes: &[u8]) -> PemFile<'_> {
    PemFile { name: "chain.pem", bytes }
}

/// The lines in which certificates begin, or the problem.
fn read(text: impl AsRef<[u8]>) -> Result<Vec<u32>, String> {
    certificates(file(text.as_ref()))
        .map(|found| found.iter().map(|placed| placed.line).collect())
        .map_err(|problem| problem.to_string())
}

#[test]
fn what_is_written_by_other_programs_is_read_whole() {
    let (one, two) = (certificate(), certificate());
    let lines = u32::try_from(one.lines().count()).unwrap();
    let both = [1, 1 + lines];
    let showcerts = format!(
        "CONNECTED(00000003)\ndepth=1 CN = x\nverify error:num=20:unable to get\n---\nCertificate \
         chain\n 0 s:CN = x\n   i:CN = y\n{one} 1 s:CN = y\n   i:CN = y\n{two}---\nServer \
         certificate\nsubject=CN = x\n---\nDONE\n"
    );
    let bags = format!("Bag Attributes\n    localKeyID: 54 69 6D\nsubject=CN = x\n{one}{two}\n");
    for (name, text, expected) in [
        ("as issued", join(&one, &two), both.to_vec()),
        ("CRLF", join(&one, &two).replace('\n', "\r\n"), both.to_vec()),
        ("CR", join(&one, &two).replace('\n', "\r"), both.to_vec()),
        ("trailing blanks", join(&one, &two).replace('\n', " \t\n"), both.to_vec()),
        ("no line end at the end", join(&one, &two).trim_end().to_owned(), both.to_vec()),
        ("empty lines between", format!("{one}\n\n{two}\n"), vec![1, 3 + lines]),
        ("s_client -showcerts", showcerts, vec![8, 10 + lines]),
        ("pkcs12", bags, vec![4, 4 + lines]),
    ] {
        assert_eq!(read(&text).as_deref(), Ok(&expected[..]), "{name}");
    }
}

/// Every boundary may be damaged in any of these ways, and no certificate is lost silently.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn what_is_not_read_whole_is_refused_with_its_line() {
    let (one, two) = (certificate(), certificate());
    let lines = one.lines().count();
    let both = join(&one, &two);
    let body = one.lines().nth(1).unwrap();
    let last = one.lines().nth(lines - 2).unwrap();
    let end = "-----END CERTIFICATE-----";
    let begin = "-----BEGIN CERTIFICATE-----";
    let glued = join(one.trim_end(), &two);
    let place = |line: usize| format!("chain.pem:{line}: ");
    let wide: Vec<u8> = both.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, text, at, part) in [
        (
            "no line end between files",
            glued,
            place(lines),
            "the 2nd certificate begins on the line",
        ),
        ("byte order mark", format!("\u{feff}{both}"), place(1), "byte order mark, which hides"),
        (
            "byte order mark within",
            format!("{one}\u{feff}{two}"),
            place(lines + 1),
            "the 2nd certificate does not begin at the start of a line, and would not be read: \
             take away the byte order mark",
        ),
        (
            "indented",
            both.replace(begin, &format!("  {begin}")),
            place(1),
            "the 1st certificate does not begin at the start of a line, and would not be read: \
             take away the white space",
        ),
        (
            "after a text",
            format!("{one}0 s:CN=x {two}"),
            place(lines + 1),
            "the 2nd certificate does not begin at the start",
        ),
        (
            "cut off",
            both.trim_end().strip_suffix(end).unwrap().to_owned(),
            place(lines + 1),
            "the 2nd certificate, which begins in line",
        ),
        ("no end", both.replacen(end, "", 1), place(lines + 1), "has no end: another block"),
        ("no beginning", both.replacen(begin, "", 1), place(2), "a `-----BEGIN …-----` line"),
        (
            "neither",
            both.replacen(begin, "", 1).replacen(end, "", 1),
            place(2),
            "holds base64 outside of a PEM block",
        ),
        ("only an end", format!("{one}{end}\n"), place(lines + 1), "has no `-----BEGIN"),
        (
            "four hyphens",
            both.replacen("-----BEGIN", "----BEGIN", 1),
            place(1),
            "looks like the first or last line",
        ),
        (
            "other hyphens",
            both.replacen("-----BEGIN CERTIFICATE-----", "—BEGIN CERTIFICATE—", 1),
            place(1),
            "looks like the first or last line",
        ),
        (
            "three hyphens after",
            both.replacen("CERTIFICATE-----", "CERTIFICATE---", 1),
            place(1),
            "must be alone on their lines",
        ),
        (
            "text after the end",
            both.replacen(end, &format!("{end} # leaf"), 1),
            place(lines),
            "must be alone on their lines",
        ),
        ("lost line ends", both.replace('\n', " "), place(1), "has lost its line ends"),
        ("lost line ends", both.replace('\n', "\\n"), place(1), "has lost its line ends"),
        (
            "another name at the end",
            both.replacen("END CERTIFICATE", "END X509 CRL", 1),
            place(lines),
            "the two lines must name the same",
        ),
        (
            "junk in the block",
            both.replacen(body, &format!("{body}#"), 1),
            place(2),
            "characters in it that are not base64",
        ),
        (
            "a line is missing",
            both.replacen(&format!("{body}\n"), "", 1),
            place(1),
            "the 1st certificate, which begins in line 1, is damaged",
        ),
        (
            "a character is missing",
            both.replacen(last, last.get(1..).unwrap(), 1),
            place(1),
            "is damaged",
        ),
        (
            "more in the block",
            both.replacen(last, &format!("{body}\n{last}"), 1),
            place(1),
            "is damaged",
        ),
        ("nothing in the block", format!("{begin}\n{end}\n{one}"), place(1), "is damaged"),
        (
            "header lines",
            one.replacen('\n', "\nComment: leaf\n\n", 1),
            place(1),
            "has header lines",
        ),
        ("binary beside it", format!("{one}\0\u{1}"), place(lines + 1), "is not text"),
        (
            "only a text",
            "see the wiki".to_owned(),
            "chain.pem: ".to_owned(),
            "holds no certificate",
        ),
        ("nothing", " \r\n".to_owned(), "chain.pem: ".to_owned(), "is empty"),
    ] {
        let error = read(&text).expect_err(name);
        assert!(error.starts_with(&at) && error.contains(part), "{name}: {error}");
    }
    for marked in [wide.clone(), [vec![0xff, 0xfe], wide].concat()] {
        let error = read(marked).unwrap_err();
        assert!(error.contains("is UTF-16"), "{error}");
    }
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, both);
    assert!(read(encoded).unwrap_err().contains("the base64 of a PEM file"));
}

#[test]
fn a_file_holds_one_kind() {
    let (one, key) = (certificate(), KeyPair::generate().unwrap().serialize_pem());
    let line = one.lines().count() + 1;
    let key_first = join(&key, &one);
    for (name, text, at, part) in [
        ("a key first", &key_first, 1, "is in a file of certificates, which others may read"),
        ("a key last", &join(&one, &key), line, "is in a file of certificates"),
        ("a key alone", &key, 1, "is a private key, not a certificate; were two files"),
        (
            "another block",
            &format!("{one}-----BEGIN ECHCONFIG-----\nAA==\n-----END ECHCONFIG-----\n"),
            line,
            "`ECHCONFIG` is not read here",
        ),
    ] {
        let error = read(text).expect_err(name);
        let at = format!("chain.pem:{at}: ");
        assert!(error.starts_with(&at) && error.contains(part), "{name}: {error}");
    }
    let keys = |text: &str| private_key(file(text.as_bytes())).map_err(|p| p.to_string());
    assert!(keys(&key).is_ok());
    let parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    assert!(keys(&format!("{parameters}{key}")).is_ok());
    for (name, text, part) in [
        ("two keys", format!("{key}{key}"), "is a second private key"),
        ("a certificate beside", format!("{key}{one}"), "is in the file of the private key"),
        ("a certificate", one.clone(), "is a certificate, not a private key; were two files"),
        ("parameters", parameters.to_owned(), "and holds no key"),
    ] {
        let error = keys(&text).expect_err(name);
        assert!(error.contains(part), "{name}: {error}");
    }
}

#[test]
fn files_of_other_programs_are_recognised() {
    let block = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    let keys = |bytes: &[u8]| private_key(file(bytes)).unwrap_err().to_string();
    let java = [&[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2][..], &[0; 20]].concat();
    for (name, bytes, part) in [
        (
            "OpenSSH",
            block("OPENSSH PRIVATE KEY").into_bytes(),
            "a key for SSH, in a form of its own",
        ),
        ("PuTTY", b"PuTTY-User-Key-File-3: ssh-ed25519\n".to_vec(), "a key for SSH"),
        ("a key for authorized_keys", b"ssh-ed25519 AAAA desk\n".to_vec(), "is a public key"),
        ("a public key of RSA", block("RSA PUBLIC KEY").into_bytes(), "is a public key"),
        ("a Java keystore", java, "`keytool -importkeystore -srckeystore chain.pem"),
        ("PKCS #12 of open length", b"\x30\x80\x02\x01\x03\x30\x80".to_vec(), "is PKCS #12"),
        ("a key exchange", block("DH PARAMETERS").into_bytes(), "TLS 1.3 does not need"),
        ("OpenPGP", block("PGP PRIVATE KEY BLOCK").into_bytes(), "is not read here"),
    ] {
        let error = keys(&bytes);
        assert!(error.contains(part), "{name}: {error}");
    }
}

/// However a key is damaged, the message has nothing of it.
#[test]
fn no_message_has_anything_of_a_key() {
    let key = KeyPair::generate().unwrap().serialize_pem();
    let body: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    let whole = key.trim_end();
    for text in [
        whole.replace('\n', ""),
        whole.replace('\n', " "),
        format!("x{whole}"),
        whole.replace("-----END", "-----END-----END"),
        whole.replace("KEY-----\n", "KEY\n"),
        whole.replace("-----\n", "----\n"),
        whole.replace("\n-----END", "-----END"),
        whole.replacen('\n', "\n!", 1),
        whole.replace("-----BEGIN PRIVATE KEY-----\n", ""),
        whole.replace("-----END PRIVATE KEY-----", ""),
        whole.lines().rev().collect::<Vec<_>>().join("\n"),
    ] {
        let error = private_key(file(text.as_bytes())).unwrap_err().to_string();
        let leaks = body
            .as_bytes()
            .windows(6)
            .any(|part| error.contains(std::str::from_utf8(part).unwrap()));
        assert!(!leaks, "{error}");
    }
}

proptest::proptest! {
    /// As many certificates are read as there are beginnings, or none at all.
    #[test]
    fn what_begins_is_read_or_refused(
        cut in 0_usize..2000, remove in 0_usize..80, insert in proptest::option::of(".{0,3}"),
    ) {
        static BOTH: std::sync::OnceLock<String> = std::sync::OnceLock::new();
        let both = BOTH.get_or_init(|| join(&certificate(), &certificate()));
        let cut = cut % both.len();
        let end = (cut + remove).min(both.len());
        let text = format!("{}{}{}", &both[..cut], insert.unwrap_or_default(), &both[end..]);
        if let Ok(found) = read(&text) {
            // What is lost as a whole, with its boundaries, was never there.
            let begins = text.matches("BEGIN").count();
            proptest::prop_assert_eq!(found.len(), begins, "{}", text);
        }
    }
}

#[test]
fn a_boundary_in_small_letters_is_not_passed_over() {
    let whole = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    for (from, to) in [("BEGIN CERTIFICATE", "Begin Certificate"), ("BEGIN", "begin")] {
        let text = whole.replace(from, to);
        let error = blocks(file(text.as_bytes())).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("five hyphens"), "{error}");
    }
}
