//! An authority for client certificates that can revoke them.

use rcgen::{CertificateParams, Issuer, KeyPair};

use super::Site;

/// Trusted by the site it was made for.
pub struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// For callers, in place of the development authority.
    pub fn new(site: &Site) -> Self {
        Self::new_in(site, "certs/callers-ca.pem")
    }

    /// For whoever trusts this file.
    pub fn new_in(site: &Site, file: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages =
            vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).unwrap().pem();
        std::fs::write(site.path(file), pem).unwrap();
        Self(Issuer::new(params, key))
    }

    /// A certificate for `visitor-desk`, and its key.
    pub fn issue(&self, serial: u64) -> (Vec<u8>, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        let name = "spiffe://example.org/front/visitor-desk";
        params.subject_alt_names = vec![rcgen::SanType::URI(name.try_into().unwrap())];
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(serial.into());
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
        let revoked = |serial: &u64| rcgen::RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: rcgen::date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = rcgen::CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2020, 1, 1),
            next_update: rcgen::date_time_ymd(next_update, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }
}
