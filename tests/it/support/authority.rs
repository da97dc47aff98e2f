//! An authority for client certificates that can revoke them.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, Issuer, KeyPair, PublicKeyData as _};

use super::Site;

/// The moment this many days from now. (The type is of a crate that is not named.)
#[macro_export]
macro_rules! days_from_now {
    ($days:expr) => {
        rcgen::date_time_ymd(1970, 1, 1) + $crate::support::authority::since_epoch($days)
    };
}

/// From 1970 until this many days from now.
pub fn since_epoch(days: i64) -> Duration {
    let now = i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    Duration::from_secs((now + days * 86_400).try_into().unwrap())
}

/// Trusted by the site it was made for.
pub struct Authority(Issuer<'static, KeyPair>, String);

impl Authority {
    /// For callers, in place of the development authority.
    pub fn new(site: &Site) -> Self {
        Self::new_in(site, "certs/callers-ca.pem")
    }

    /// For whoever trusts this file.
    pub fn new_in(site: &Site, file: &str) -> Self {
        Self::named(site, file, "rcgen self signed cert")
    }

    /// The same under a name.
    pub fn named(site: &Site, file: &str, name: &str) -> Self {
        Self::with(site, file, |params| {
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
        })
    }

    /// The same with a change.
    pub fn with(site: &Site, file: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages =
            vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
        change(&mut params);
        let pem = params.self_signed(&key).unwrap().pem();
        std::fs::write(site.path(file), &pem).unwrap();
        Self(Issuer::new(params, key), pem)
    }

    /// One that this one has signed, with a change.
    pub fn intermediate(&self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages =
            vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(rcgen::DnType::CommonName, "intermediate");
        change(&mut params);
        let pem = params.signed_by(&key, &self.0).unwrap().pem();
        Self(Issuer::new(params, key), pem)
    }

    /// Its certificate.
    pub fn pem(&self) -> &str {
        &self.1
    }

    /// Its key as a SPIFFE bundle has it.
    pub fn jwk(&self) -> serde_json::Value {
        let (x, y) = self.0.key().der_bytes()[1..].split_at(32);
        let base64 = self.1.lines().filter(|line| !line.starts_with('-')).collect::<String>();
        assert!(STANDARD.decode(&base64).is_ok());
        serde_json::json!({
            "use": "x509-svid",
            "kty": "EC",
            "crv": "P-256",
            "x": URL_SAFE_NO_PAD.encode(x),
            "y": URL_SAFE_NO_PAD.encode(y),
            "x5c": [base64],
        })
    }

    /// A certificate for `visitor-desk`, and its key.
    pub fn issue(&self, serial: u64) -> (Vec<u8>, Vec<u8>) {
        self.issue_with(serial, |_| {})
    }

    /// The same with a change.
    pub fn issue_with(
        &self,
        serial: u64,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (Vec<u8>, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        let name = "spiffe://example.org/front/visitor-desk";
        params.subject_alt_names = vec![rcgen::SanType::URI(name.try_into().unwrap())];
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(serial.into());
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem().into_bytes(), key.serialize_pem().into_bytes())
    }

    /// A certificate for a server, and its key.
    pub fn issue_server(&self, name: &str, until: i32) -> (Vec<u8>, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem().into_bytes(), key.serialize_pem().into_bytes())
    }

    /// A list of revoked serial numbers that is good until the year `next_update`.
    pub fn revocation_list(&self, serials: &[u64], next_update: i32) -> String {
        self.list(serials, 1, |params| {
            params.next_update = rcgen::date_time_ymd(next_update, 1, 1);
        })
    }

    /// The list of this number, with a change.
    pub fn list(
        &self,
        serials: &[u64],
        number: u64,
        change: impl FnOnce(&mut rcgen::CertificateRevocationListParams),
    ) -> String {
        let revoked = |serial: &u64| rcgen::RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: rcgen::date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let mut params = rcgen::CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2020, 1, 1),
            next_update: rcgen::date_time_ymd(2100, 1, 1),
            crl_number: number.into(),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        change(&mut params);
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }
}
