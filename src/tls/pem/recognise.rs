//! What a file holds in place of what was asked for, and the command that helps.

use crate::tls::der::{
    BIT_STRING, CONTEXT_0, GENERALIZED_TIME, INTEGER, OCTET_STRING, OID, SEQUENCE, Signed,
    UTC_TIME, Value,
};

/// What a reader asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Certificates,
    PrivateKey,
    RevocationLists,
}

impl Wanted {
    /// For messages.
    pub(super) const fn noun(self) -> &'static str {
        match self {
            Self::Certificates => "certificate",
            Self::PrivateKey => "private key",
            Self::RevocationLists => "certificate revocation list",
        }
    }
}

/// What there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Certificate,
    /// With OpenSSL's trust settings, or under a label of before RFC 7468.
    OtherCertificate,
    PrivateKey,
    EncryptedKey,
    DsaKey,
    OpenSshKey,
    PuttyKey,
    PublicKey,
    CurveParameters,
    DhParameters,
    Request,
    RevocationList,
    Pkcs7,
    Pkcs12,
    JavaKeystore,
    Other,
}

/// In which form it is there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Pem,
    Der,
    /// PEM beside what was asked for.
    Beside,
}

impl Kind {
    /// By the label of a PEM block.
    pub(super) fn of_label(label: &str) -> Self {
        match label {
            "CERTIFICATE" => Self::Certificate,
            "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" | "X.509 CERTIFICATE" => {
                Self::OtherCertificate
            }
            "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => Self::PrivateKey,
            "ENCRYPTED PRIVATE KEY" => Self::EncryptedKey,
            "DSA PRIVATE KEY" => Self::DsaKey,
            "OPENSSH PRIVATE KEY" => Self::OpenSshKey,
            "PUBLIC KEY" | "RSA PUBLIC KEY" | "SSH2 PUBLIC KEY" => Self::PublicKey,
            "EC PARAMETERS" => Self::CurveParameters,
            "DH PARAMETERS" | "X9.42 DH PARAMETERS" => Self::DhParameters,
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => Self::Request,
            "X509 CRL" => Self::RevocationList,
            "PKCS7" | "PKCS #7 SIGNED DATA" | "CMS" => Self::Pkcs7,
            _ => Self::Other,
        }
    }

    /// By the bytes of a file that has no PEM block.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let text = bytes.trim_ascii();
        if bytes.starts_with(&[0xfe, 0xed, 0xfe, 0xed]) || bytes.starts_with(&[0xce; 4]) {
            return Some(Self::JavaKeystore);
        }
        if text.starts_with(b"PuTTY-User-Key-File") {
            return Some(Self::PuttyKey);
        }
        if text.starts_with(b"ssh-") || text.starts_with(b"ecdsa-sha2-") {
            return Some(Self::PublicKey);
        }
        // PKCS #12 is BER: some programs leave the length open.
        if bytes.starts_with(&[SEQUENCE, 0x80, INTEGER, 1, 3]) {
            return Some(Self::Pkcs12);
        }
        Self::of_der(bytes)
    }

    fn of_der(bytes: &[u8]) -> Option<Self> {
        if let Some(signed) = Signed::of(bytes) {
            return Self::of_signed(signed.content);
        }
        let values = Value::of(bytes).filter(|value| value.tag == SEQUENCE)?.children();
        let tags: Vec<u8> = values.iter().map(|value| value.tag).collect();
        let number = values.first().filter(|value| value.tag == INTEGER).map(|v| v.contents);
        let has_oid = |at: usize| values.get(at).is_some_and(|value| value.first(OID).is_some());
        match (number, tags.as_slice()) {
            (Some([3]), [_, SEQUENCE, ..]) if has_oid(1) => Some(Self::Pkcs12),
            (Some([0 | 1]), [_, SEQUENCE, OCTET_STRING, ..]) if has_oid(1) => {
                Some(Self::PrivateKey)
            }
            (Some([1]), [_, OCTET_STRING, ..]) => Some(Self::PrivateKey),
            (Some([0]), [_, INTEGER, ..]) if values.len() == 9 => Some(Self::PrivateKey),
            (Some([0]), [_, INTEGER, ..]) if values.len() == 6 => Some(Self::DsaKey),
            (None, [SEQUENCE, OCTET_STRING]) if has_oid(0) => Some(Self::EncryptedKey),
            (None, [SEQUENCE, BIT_STRING]) if has_oid(0) => Some(Self::PublicKey),
            (None, [OID, CONTEXT_0]) => Some(Self::Pkcs7),
            _ => None,
        }
    }

    /// What is signed tells a certificate from a request and a list.
    fn of_signed(content: Value<'_>) -> Option<Self> {
        let tags: Vec<u8> = content.children().iter().map(|value| value.tag).collect();
        let is_time = |tag: &u8| matches!(*tag, UTC_TIME | GENERALIZED_TIME);
        match tags.as_slice() {
            [CONTEXT_0, ..] | [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE, ..] => {
                Some(Self::Certificate)
            }
            [INTEGER, SEQUENCE, SEQUENCE, CONTEXT_0, ..] => Some(Self::Request),
            [INTEGER, SEQUENCE, SEQUENCE, time, ..] | [SEQUENCE, SEQUENCE, time, ..]
                if is_time(time) =>
            {
                Some(Self::RevocationList)
            }
            _ => None,
        }
    }

    /// What to say where `wanted` was asked for; it goes on from a subject such as a file.
    pub(super) fn instead_of(self, wanted: Wanted, form: Form, file: &str) -> String {
        use Wanted as W;
        let der = if form == Form::Der { " -inform DER" } else { "" };
        match (self, wanted, form) {
            (Self::Certificate, W::Certificates, _) => {
                format!("is DER, not PEM: convert it with `openssl x509{der} -in {file} -out NEW`")
            }
            (Self::PrivateKey, W::PrivateKey, _) => {
                format!("is DER, not PEM: convert it with `openssl pkey{der} -in {file} -out NEW`")
            }
            (Self::RevocationList, W::RevocationLists, _) => {
                format!("is DER, not PEM: convert it with `openssl crl{der} -in {file} -out NEW`")
            }
            (Self::OtherCertificate, W::Certificates, _) => format!(
                "is a certificate in a form of OpenSSL's own: write plain ones with `openssl \
                 crl2pkcs7 -nocrl -certfile {file} | openssl pkcs7 -print_certs -out NEW`"
            ),
            (Self::EncryptedKey, W::PrivateKey, _) => format!(
                "is an encrypted private key, and the gateway asks for no passphrase: write it \
                 without one by `openssl pkey{der} -in {file} -out NEW`, and give NEW mode 0600"
            ),
            (Self::Pkcs7, W::Certificates, _) => format!(
                "is PKCS #7 (.p7b): take the certificates out with `openssl pkcs7{der} \
                 -print_certs -in {file} -out NEW`"
            ),
            (Self::Pkcs12, W::PrivateKey, _) => format!(
                "is PKCS #12 (.p12, .pfx), not PEM: take the key out with `openssl pkcs12 -in \
                 {file} -nocerts -nodes -out NEW`, and give NEW mode 0600"
            ),
            (Self::Pkcs12, _, _) => format!(
                "is PKCS #12 (.p12, .pfx), not PEM: take the certificates out with `openssl \
                 pkcs12 -in {file} -nokeys -out NEW`"
            ),
            (Self::JavaKeystore, _, _) => format!(
                "is a Java keystore, not PEM: convert it with `keytool -importkeystore \
                 -srckeystore {file} -destkeystore NEW.p12 -deststoretype PKCS12`, then take out \
                 of NEW.p12 what is needed with `openssl pkcs12`"
            ),
            (Self::PrivateKey | Self::EncryptedKey, W::Certificates, Form::Beside) => format!(
                "is in a file of certificates, which others may read: write the certificates \
                 alone with `openssl crl2pkcs7 -nocrl -certfile {file} | openssl pkcs7 \
                 -print_certs -out NEW`, and the key with `openssl pkey -in {file} -out NEWKEY`"
            ),
            (Self::Certificate, W::PrivateKey, Form::Beside) => format!(
                "is in the file of the private key: write the key alone with `openssl pkey -in \
                 {file} -out NEW`, give NEW mode 0600, and keep certificates in a file of their own"
            ),
            _ => self.misplaced(wanted),
        }
    }

    /// No command turns it into what was asked for.
    fn misplaced(self, wanted: Wanted) -> String {
        let swapped = "; were two files or settings taken for each other?";
        let (is, what_to_do) = match (self, wanted) {
            (Self::Certificate | Self::OtherCertificate, Wanted::RevocationLists) => (
                "a certificate",
                "; the authority publishes its list, often at an address that the certificates \
                 have under `CRL Distribution Points`",
            ),
            (Self::Certificate | Self::OtherCertificate, _) => ("a certificate", swapped),
            (Self::PrivateKey | Self::EncryptedKey, _) => ("a private key", swapped),
            (Self::DsaKey, Wanted::PrivateKey) => ("a DSA key", NEW_KEY),
            (Self::DsaKey, _) => ("a DSA key", swapped),
            (Self::OpenSshKey | Self::PuttyKey, Wanted::PrivateKey) => {
                ("a key for SSH, in a form of its own", NEW_KEY)
            }
            (Self::OpenSshKey | Self::PuttyKey, _) => ("a key for SSH", ""),
            (Self::PublicKey, Wanted::PrivateKey) => {
                ("a public key", "; the private key is the other half, made together with it")
            }
            (Self::PublicKey, _) => ("a public key", ""),
            (Self::CurveParameters, _) => ("the name of a curve", " and holds no key"),
            (Self::DhParameters, _) => {
                ("parameters of a key exchange", ", which TLS 1.3 does not need: take them out")
            }
            (Self::Request, Wanted::Certificates) => (
                "a certificate signing request (CSR)",
                ": send it to the authority, and put the certificate that it returns here",
            ),
            (Self::Request, _) => ("a certificate signing request (CSR)", swapped),
            (Self::RevocationList, _) => ("a revocation list", swapped),
            (Self::Pkcs7, _) => ("PKCS #7 (.p7b), which holds certificates", swapped),
            (Self::Pkcs12 | Self::JavaKeystore | Self::Other, _) => ("something else", ""),
        };
        format!("is {is}, not a {}{what_to_do}", wanted.noun())
    }
}

/// What to do about a key that cannot be used.
pub(in crate::tls) const NEW_KEY: &str = "; make one that TLS has with `openssl genpkey -algorithm EC \
    -pkeyopt ec_paramgen_curve:P-256 -out NEW`, and get a certificate for it";
