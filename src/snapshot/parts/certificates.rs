//! The listeners' side of TLS, out of the files that the settings name.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::ServerConfig;

use crate::config::{RemoteAdminSettings, Settings};
use crate::domain::Problem;
use crate::snapshot::files::{AdminInputs, Bytes, Inputs};
use crate::snapshot::keep;
use crate::tls::{
    ClientCertificates, ClientFiles, Finding, Identity, Inspection, PemFile, Side, inspect_server,
    server_config,
};

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

/// What is wrong with the certificates alone, when other files keep a snapshot from being
/// loaded. Files that cannot be used are not among it: loading has told of them.
#[must_use]
pub fn certificate_findings(settings: &Settings, now: Timestamp) -> Vec<Finding> {
    let loaded = certificates(settings, &Inputs::read(settings));
    loaded.map(|certificates| certificates.findings(now)).unwrap_or_default()
}

/// Loads them.
pub(in crate::snapshot) fn certificates(
    settings: &Settings,
    inputs: &Inputs,
) -> Result<Certificates, Vec<Problem>> {
    let listener = &settings.listener;
    let mut problems = Vec::new();
    let clients = match (&listener.clients, &inputs.client_ca) {
        (Some(setting), Some(authorities)) => {
            let lists = setting.crl_file.as_deref().zip(inputs.client_crl.as_ref());
            let files = ((setting.ca_file.as_path(), authorities), lists);
            keep(&mut problems, clients(files, Side::Callers, setting.required)).map(Some)
        }
        _ => Some(None),
    };
    let chain = (listener.certificate_file.as_path(), &inputs.chain);
    let key = (listener.private_key_file.as_path(), &inputs.private_key);
    let server = keep(&mut problems, identity(chain, key));
    let admin = match (&settings.admin.remote, &inputs.admin) {
        (Some(setting), Some(files)) => keep(&mut problems, admin(setting, files)).map(Some),
        _ => Some(None),
    };
    let (Some(clients), Some((chain, identity)), Some(admin)) = (clients, server, admin) else {
        return Err(problems);
    };
    let clients_of_admin = admin.as_ref().map(|admin| &admin.clients);
    let known = clients.iter().chain(clients_of_admin).flat_map(|one| one.authorities());
    let known: Vec<_> = known.cloned().collect();
    let hosts: Vec<String> = listener.hostnames.iter().map(ToString::to_string).collect();
    let mut parts = vec![inspect_server(chain.file(), &identity, Side::Callers, &hosts, &known)];
    parts.extend(clients.as_ref().map(|clients| clients.inspection().clone()));
    let tls = config(&chain, &identity, clients.as_ref())?;
    let mut admin_tls = None;
    if let Some(Admin { chain, identity, clients }) = &admin {
        admin_tls = Some(config(chain, identity, Some(clients))?);
        parts.push(inspect_server(chain.file(), identity, Side::Admin, &[], &known));
        parts.push(clients.inspection().clone());
    }
    let inspection = Inspection::of(parts);
    let expiries = inspection.expiries();
    Ok(Certificates { tls, admin_tls, clients, expiries, inspection })
}

/// A file's name and contents.
struct Read<'a> {
    name: String,
    bytes: &'a [u8],
}

impl Read<'_> {
    fn file(&self) -> PemFile<'_> {
        PemFile { name: &self.name, bytes: self.bytes }
    }
}

type Input<'a> = (&'a Path, &'a Bytes);

fn read((path, bytes): Input<'_>) -> Result<Read<'_>, Problem> {
    let bytes = bytes.as_ref().map_err(Clone::clone)?;
    Ok(Read { name: path.display().to_string(), bytes })
}

fn identity<'a>(chain: Input<'a>, key: Input<'a>) -> Result<(Read<'a>, Identity), Vec<Problem>> {
    match (read(chain), read(key)) {
        (Ok(chain), Ok(key)) => {
            let identity = Identity::from_pem(chain.file(), key.file())?;
            Ok((chain, identity))
        }
        (chain, key) => Err(chain.err().into_iter().chain(key.err()).collect()),
    }
}

fn clients(
    (authorities, lists): (Input<'_>, Option<Input<'_>>),
    side: Side,
    required: bool,
) -> Result<ClientCertificates, Vec<Problem>> {
    match (read(authorities), lists.map(read).transpose()) {
        (Ok(authorities), Ok(lists)) => {
            let lists = lists.as_ref().map(Read::file);
            let files = ClientFiles { authorities: authorities.file(), lists };
            ClientCertificates::new(files, side, required)
        }
        (authorities, lists) => Err(authorities.err().into_iter().chain(lists.err()).collect()),
    }
}

/// The remote admin listener's side.
struct Admin<'a> {
    chain: Read<'a>,
    identity: Identity,
    clients: ClientCertificates,
}

/// A client must have a certificate.
fn admin<'a>(
    setting: &'a RemoteAdminSettings,
    files: &'a AdminInputs,
) -> Result<Admin<'a>, Vec<Problem>> {
    let mut problems = Vec::new();
    let chain = (setting.certificate_file.as_path(), &files.chain);
    let key = (setting.private_key_file.as_path(), &files.private_key);
    let own = keep(&mut problems, identity(chain, key));
    let authorities = (setting.client_ca_file.as_path(), &files.client_ca);
    let clients = keep(&mut problems, clients((authorities, None), Side::Admin, true));
    match (own, clients) {
        (Some((chain, identity)), Some(clients)) => Ok(Admin { chain, identity, clients }),
        _ => Err(problems),
    }
}

fn config(
    chain: &Read<'_>,
    identity: &Identity,
    clients: Option<&ClientCertificates>,
) -> Result<Arc<ServerConfig>, Vec<Problem>> {
    let config = server_config(identity, clients);
    config.map(Arc::new).map_err(|error| vec![error.into_problem(&chain.name)])
}
