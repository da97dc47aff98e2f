//! Certificates for development: short-lived, made on the spot.
//!
//! Two authorities: one for the servers (gateway and sandbox), one for callers'
//! client certificates. Authority keys are not kept: nothing can be issued later.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// How long development certificates are valid.
const VALID_DAYS: i64 = 90;

/// A certificate and its key, as PEM texts.
pub struct IssuedPem {
    /// The certificate.
    pub certificate: String,
    /// The private key (PKCS #8). Secret.
    pub key: String,
}

/// Everything that a gateway, a sandbox and one caller need to talk TLS.
pub struct DevelopmentPki {
    /// The authority that callers and the gateway trust for servers.
    pub servers_ca: String,
    /// The authority that the gateway trusts for callers.
    pub callers_ca: String,
    /// The gateway's own certificate, for `localhost`, `127.0.0.1` and `::1`.
    pub server: IssuedPem,
    /// The sandbox's certificate, for the same names and `sandbox`, as other containers know it.
    pub sandbox: IssuedPem,
    /// A client certificate for the SPIFFE id given to [`DevelopmentPki::generate`].
    pub caller: IssuedPem,
}

impl DevelopmentPki {
    /// Makes it all anew.
    ///
    /// # Errors
    /// When the machine has no randomness, or `caller_spiffe_id` is no URI.
    pub fn generate(caller_spiffe_id: &str) -> Result<Self, rcgen::Error> {
        let servers = Authority::new("grantgate development servers")?;
        let callers = Authority::new("grantgate development callers")?;
        let uri = SanType::URI(caller_spiffe_id.try_into()?);
        let mut sandbox = loopback_names()?;
        sandbox.push(SanType::DnsName("sandbox".try_into()?));
        Ok(Self {
            server: servers.issue("grantgate", loopback_names()?, SERVER)?,
            sandbox: servers.issue("grantgate sandbox", sandbox, SERVER)?,
            caller: callers.issue("grantgate caller", vec![uri], CLIENT)?,
            servers_ca: servers.pem,
            callers_ca: callers.pem,
        })
    }
}

const SERVER: ExtendedKeyUsagePurpose = ExtendedKeyUsagePurpose::ServerAuth;
const CLIENT: ExtendedKeyUsagePurpose = ExtendedKeyUsagePurpose::ClientAuth;

fn loopback_names() -> Result<Vec<SanType>, rcgen::Error> {
    Ok(vec![
        SanType::DnsName("localhost".try_into()?),
        SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
        SanType::IpAddress(std::net::Ipv6Addr::LOCALHOST.into()),
    ])
}

/// A certificate authority that lives as long as this value.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = dated(CertificateParams::default());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    fn issue(
        &self,
        name: &str,
        names: Vec<SanType>,
        purpose: ExtendedKeyUsagePurpose,
    ) -> Result<IssuedPem, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = dated(CertificateParams::default());
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(IssuedPem { certificate, key: key.serialize_pem() })
    }
}

/// Valid from yesterday on, for clocks that differ.
fn dated(mut params: CertificateParams) -> CertificateParams {
    let now = Timestamp::now();
    let day = |days: i64| {
        let time = now.checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(now);
        let date = TimeZone::UTC.to_datetime(time).date();
        let part = |n: i8| u8::try_from(n).unwrap_or(1);
        rcgen::date_time_ymd(i32::from(date.year()), part(date.month()), part(date.day()))
    };
    params.not_before = day(-1);
    params.not_after = day(VALID_DAYS);
    params
}
