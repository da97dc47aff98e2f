//! The listeners' side of TLS, out of the files that the settings name.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::ServerConfig;

use crate::config::{AuthoritySettings, ClientSettings, Settings, TrustDomainSettings};
use crate::domain::Problem;
use crate::snapshot::build::{Building, keep};
use crate::snapshot::inputs::Inputs;
use crate::snapshot::part::Part;
use crate::snapshot::source::{Wanted, not_read};
use crate::tls::{
    ClientCertificates, ClientFiles, DomainExpiry, DomainFiles, Finding, Identity, Inspection,
    PemFile, Side, inspect_server, server_config,
};

const CERTIFICATE: &str = "certificate.pem";
const PRIVATE_KEY: &str = "private.key";
const CLIENT_CA: &str = "client-ca.pem";
const CLIENT_CRL: &str = "client-crl.pem";
const ADMIN_CERTIFICATE: &str = "admin-certificate.pem";
const ADMIN_PRIVATE_KEY: &str = "admin-private.key";
const ADMIN_CLIENT_CA: &str = "admin-client-ca.pem";

pub(in crate::snapshot) const PART: Part = Part {
    name: "certificates",
    decides: true,
    files,
    show: |snapshot, metrics| {
        for (role, time) in &snapshot.certificates.expiries {
            metrics.certificate_expiry.with_label_values(&[role]).set(time.as_second());
        }
        for DomainExpiry { domain, kind, until } in &snapshot.certificates.domain_expiries {
            let shown = metrics.domain_expiry.with_label_values(&[domain.as_str(), kind]);
            shown.set(until.as_second());
        }
    },
};

fn files(settings: &Settings) -> Vec<Wanted<'_>> {
    let listener = &settings.listener;
    let mut wanted = vec![
        Wanted::plain(CERTIFICATE, &listener.certificate_file),
        Wanted::secret(PRIVATE_KEY, &listener.private_key_file),
    ];
    if let Some(clients) = &listener.clients {
        let general = clients.general.iter().map(|general| (general, CLIENT_CA, CLIENT_CRL));
        let domains = clients.domains.iter();
        let domains = domains.map(|of| (&of.authorities, &*of.ca_name, &*of.crl_name));
        for (of, ca_name, crl_name) in general.chain(domains) {
            wanted.push(Wanted::plain(ca_name, &of.ca_file));
            wanted.extend(of.crl_file.as_ref().map(|path| Wanted::plain(crl_name, path)));
        }
    }
    if let Some(remote) = &settings.admin.remote {
        wanted.extend([
            Wanted::plain(ADMIN_CERTIFICATE, &remote.certificate_file),
            Wanted::secret(ADMIN_PRIVATE_KEY, &remote.private_key_file),
            Wanted::plain(ADMIN_CLIENT_CA, &remote.client_ca_file),
        ]);
    }
    wanted
}

/// The listeners' side of TLS.
pub struct Certificates {
    /// For handshakes.
    pub tls: Arc<ServerConfig>,
    /// For handshakes of the remote admin listener.
    pub admin_tls: Option<Arc<ServerConfig>>,
    /// For connections that are open already.
    pub clients: Option<ClientCertificates>,
    /// When each kind of certificate or list expires.
    pub expiries: Vec<(&'static str, Timestamp)>,
    /// The same of each trust domain.
    pub domain_expiries: Vec<DomainExpiry>,
    inspection: Inspection,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").field("expiries", &self.expiries).finish_non_exhaustive()
    }
}

impl Certificates {
    /// What is wrong with them at this moment, or soon will be.
    #[must_use]
    pub fn findings(&self, now: Timestamp) -> Vec<Finding> {
        self.inspection.findings(now)
    }

    /// Tells the log of it: a gateway goes on with a certificate that has expired, since
    /// what else it serves is still served.
    pub fn warn(&self, now: Timestamp) {
        for finding in self.findings(now) {
            tracing::warn!("{}", finding.problem);
        }
    }
}

/// The certificates, with the TLS sessions that they hold where nothing changed.
pub(in crate::snapshot) fn build(on: &mut Building<'_>) -> Option<Arc<Certificates>> {
    if let Some(old) = on.unchanged(&PART) {
        return Some(old.certificates.clone());
    }
    let made = certificates(on.settings, &on.inputs);
    on.keep(made.map(Arc::new))
}

fn certificates(settings: &Settings, inputs: &Inputs) -> Result<Certificates, Vec<Problem>> {
    let listener = &settings.listener;
    let mut problems = Vec::new();
    let clients = listener.clients.as_ref().map(|clients| callers(clients, inputs));
    let clients = keep(&mut problems, clients.transpose());
    let server =
        keep(&mut problems, identity(read(inputs, CERTIFICATE), read(inputs, PRIVATE_KEY)));
    let admin = settings.admin.remote.as_ref().map(|_| admin(inputs));
    let admin = keep(&mut problems, admin.transpose());
    let (Some(clients), Some((chain, identity)), Some(admin)) = (clients, server, admin) else {
        return Err(problems);
    };
    let clients_of_admin = admin.as_ref().map(|admin| &admin.clients);
    let known = clients.iter().chain(clients_of_admin).flat_map(|one| one.authorities());
    let known: Vec<_> = known.cloned().collect();
    let hosts: Vec<String> = listener.hostnames.iter().map(ToString::to_string).collect();
    let mut parts = vec![inspect_server(chain, &identity, Side::Callers, &hosts, &known)];
    parts.extend(clients.as_ref().map(|clients| clients.inspection().clone()));
    let tls = config(chain, &identity, clients.as_ref())?;
    let mut admin_tls = None;
    if let Some(Admin { chain, identity, clients }) = &admin {
        admin_tls = Some(config(*chain, identity, Some(clients))?);
        parts.push(inspect_server(*chain, identity, Side::Admin, &[], &known));
        parts.push(clients.inspection().clone());
    }
    let inspection = Inspection::of(parts);
    let (expiries, domain_expiries) = (inspection.expiries(), inspection.domain_expiries());
    Ok(Certificates { tls, admin_tls, clients, expiries, domain_expiries, inspection })
}

fn read<'i>(inputs: &'i Inputs, name: &str) -> Result<PemFile<'i>, Problem> {
    let file = inputs.file(name).ok_or_else(|| not_read(name))?;
    let bytes = file.bytes.as_ref().map_err(Clone::clone)?;
    Ok(PemFile { name: &file.shown, bytes })
}

/// A file, or why there is none.
type Input<'i> = Result<PemFile<'i>, Problem>;

fn identity<'i>(chain: Input<'i>, key: Input<'i>) -> Result<(PemFile<'i>, Identity), Vec<Problem>> {
    match (chain, key) {
        (Ok(chain), Ok(key)) => {
            let identity = Identity::from_pem(chain, key)?;
            Ok((chain, identity))
        }
        (chain, key) => Err(chain.err().into_iter().chain(key.err()).collect()),
    }
}

fn authorities<'i>(
    authorities: Input<'i>,
    lists: Option<Input<'i>>,
) -> Result<ClientFiles<'i>, Vec<Problem>> {
    match (authorities, lists.transpose()) {
        (Ok(authorities), Ok(lists)) => Ok(ClientFiles { authorities, lists }),
        (authorities, lists) => Err(authorities.err().into_iter().chain(lists.err()).collect()),
    }
}

/// How callers are verified.
fn callers(settings: &ClientSettings, inputs: &Inputs) -> Result<ClientCertificates, Vec<Problem>> {
    let files = |of: &AuthoritySettings, ca_name, crl_name| {
        let lists = of.crl_file.as_ref().map(|_| read(inputs, crl_name));
        authorities(read(inputs, ca_name), lists)
    };
    let mut problems = Vec::new();
    let general = settings.general.as_ref().map(|of| files(of, CLIENT_CA, CLIENT_CRL));
    let general = keep(&mut problems, general.transpose());
    let mut domains = Vec::new();
    for domain in &settings.domains {
        let TrustDomainSettings { name, authorities, form, ca_name, crl_name } = domain;
        let files = keep(&mut problems, files(authorities, ca_name, crl_name));
        domains.extend(files.map(|files| DomainFiles { name: name.clone(), form: *form, files }));
    }
    // The rest is looked at as well: every mistake is said at once.
    let made = ClientCertificates::with_domains(
        general.flatten(),
        &domains,
        Side::Callers,
        settings.required,
    );
    match keep(&mut problems, made) {
        Some(made) if problems.is_empty() => Ok(made),
        _ => Err(problems),
    }
}

/// The remote admin listener's side.
struct Admin<'i> {
    chain: PemFile<'i>,
    identity: Identity,
    clients: ClientCertificates,
}

/// A client must have a certificate.
fn admin(inputs: &Inputs) -> Result<Admin<'_>, Vec<Problem>> {
    let mut problems = Vec::new();
    let own = identity(read(inputs, ADMIN_CERTIFICATE), read(inputs, ADMIN_PRIVATE_KEY));
    let own = keep(&mut problems, own);
    let files = authorities(read(inputs, ADMIN_CLIENT_CA), None);
    let clients = files.and_then(|files| ClientCertificates::new(files, Side::Admin, true));
    let clients = keep(&mut problems, clients);
    match (own, clients) {
        (Some((chain, identity)), Some(clients)) => Ok(Admin { chain, identity, clients }),
        _ => Err(problems),
    }
}

fn config(
    chain: PemFile<'_>,
    identity: &Identity,
    clients: Option<&ClientCertificates>,
) -> Result<Arc<ServerConfig>, Vec<Problem>> {
    let config = server_config(identity, clients);
    config.map(Arc::new).map_err(|error| vec![error.into_problem(chain.name)])
}
