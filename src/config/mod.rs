//! The configuration: one TOML file, overridden by the environment.
//!
//! Every problem is found in one go, each with file, line and key or with the name
//! of the environment variable. Unknown keys and unknown `GRANTGATE__…` variables are
//! problems, and so are values that nothing can ever match. Nothing here opens the files that
//! the settings name.

mod console;
mod read;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use crate::bundle::Trust;
use crate::database;
use crate::domain::{
    Budget, BundleForm, Host, JwsAlgorithm, Networks, Problem, Secret, TrustDomain, WhenAlone,
    WorkspaceId, WorkspaceName,
};
use crate::listener::ListenerLimits;
use crate::telemetry::LogFormat;
use crate::upstream::BreakerSettings;
pub use console::{ConsoleSettings, PeopleSettings};
pub use read::{
    Desk, DirectFiles, Environment, all_settings, environment_of, in_force, load, load_desk,
    log_format, read_desk,
};

/// All settings, checked.
#[derive(Debug)]
pub struct Settings {
    /// `[listener]`
    pub listener: ListenerSettings,
    /// `[admin]`
    pub admin: AdminSettings,
    /// `[console]`
    pub console: ConsoleSettings,
    /// `[upstream]`
    pub upstream: UpstreamSettings,
    /// `policy.model_file`
    pub policy_model_file: PathBuf,
    /// `policy.rules_file`
    pub policy_rules_file: PathBuf,
    /// Rules that are judged beside those in force and decide nothing.
    pub policy_candidate_rules_file: Option<PathBuf>,
    /// `policy.entrances_file`: names of entrances, for people. It need not exist.
    pub policy_entrances_file: PathBuf,
    /// `callers.file`
    pub callers_file: PathBuf,
    /// `[policy.bundle]`: all these files are in a bundle. The paths are those of its verified copy.
    pub policy_bundle: Option<BundleSettings>,
    /// `[[issuer]]`: whose JSON Web Tokens are accepted.
    pub issuers: Vec<IssuerSettings>,
    /// `[orders]`
    pub orders: OrdersSettings,
    /// `[idempotency]`
    pub idempotency: IdempotencySettings,
    /// `[audit]`
    pub audit: AuditSettings,
    /// `[limits]`, of connections
    pub connection_limits: ListenerLimits,
    /// `[limits]`, of requests
    pub limits: RequestLimits,
    /// `reload.poll_ms`: how often files are looked at even if nothing seems to change.
    pub reload_poll: Duration,
    /// `limits.stop_delay_ms`: from SIGTERM to the end of accepting.
    pub stop_delay: Duration,
    /// `log.format`
    pub log_format: LogFormat,
    /// `[database]`: where all gateways' records are found together.
    pub database: Option<DatabaseSettings>,
    /// `[replica]`: one of several.
    pub replica: Option<ReplicaSettings>,
    /// `log.level`
    pub log_level: tracing::Level,
    /// Every file that is named, by setting.
    pub files: Vec<NamedFile>,
    /// What deserves a second look but stops nothing.
    pub warnings: Vec<Problem>,
}

/// One setting, as the reader knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// `section.key`.
    pub path: String,
    /// What holds where it is not set, written as in the file.
    pub default: Option<String>,
    /// Whether there is no default and it must be set.
    pub required: bool,
    /// Whether it is of a table that there may be several of: no variable takes its place.
    pub repeated: bool,
}

impl Setting {
    /// The environment variable that takes its place.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("GRANTGATE__{}", self.path.to_ascii_uppercase().replace('.', "__"))
    }
}

/// A file that a setting names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// The setting.
    pub setting: String,
    /// The file.
    pub path: PathBuf,
    /// Whether other settings may name it too: PEM.
    pub shared: bool,
}

/// `[listener]`: where callers connect.
#[derive(Debug)]
pub struct ListenerSettings {
    /// The address to bind.
    pub address: SocketAddr,
    /// The certificate chain, leaf first, PEM.
    pub certificate_file: PathBuf,
    /// Its private key, PEM.
    pub private_key_file: PathBuf,
    /// Client certificates, when turned on.
    pub clients: Option<ClientSettings>,
    /// Host names that requests may name; empty allows any.
    pub hostnames: Vec<Host>,
    /// Threads that serve connections.
    pub workers: usize,
    /// Proxies whose connections begin with the header of the PROXY protocol.
    pub proxy_protocol_from: Networks,
    /// Proxies that are believed about where requests come from.
    pub forwarded_from: Networks,
    /// In which header these say so.
    pub forwarded_header: ForwardedHeader,
}

/// A header in which proxies say where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, which has no standard.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// `[admin]`: where metrics and health are served.
#[derive(Debug)]
pub struct AdminSettings {
    /// A loopback address, plain HTTP.
    pub address: SocketAddr,
    /// For other machines.
    pub remote: Option<RemoteAdminSettings>,
}

/// `[admin.remote]`: the same over TLS, to clients with a certificate only.
#[derive(Debug)]
pub struct RemoteAdminSettings {
    /// The address to bind.
    pub address: SocketAddr,
    /// The certificate chain, leaf first, PEM.
    pub certificate_file: PathBuf,
    /// Its private key, PEM.
    pub private_key_file: PathBuf,
    /// The authorities of those who may ask, PEM.
    pub client_ca_file: PathBuf,
}

/// Client certificates.
#[derive(Debug)]
pub struct ClientSettings {
    /// Authorities of every certificate that is of none of `domains`.
    pub general: Option<AuthoritySettings>,
    /// `[[trust_domain]]`: authorities that are believed about one trust domain each.
    pub domains: Vec<TrustDomainSettings>,
    /// Whether a client must have one.
    pub required: bool,
}

/// Authorities of client certificates.
#[derive(Debug)]
pub struct AuthoritySettings {
    /// Their certificates.
    pub ca_file: PathBuf,
    /// Their revocation lists, PEM.
    pub crl_file: Option<PathBuf>,
}

/// One `[[trust_domain]]`.
#[derive(Debug)]
pub struct TrustDomainSettings {
    /// Its name, as SPIFFE ids have it.
    pub name: TrustDomain,
    /// Its authorities.
    pub authorities: AuthoritySettings,
    /// How their file is written.
    pub form: BundleForm,
    /// What their certificates are called among the files of all parts.
    pub ca_name: String,
    /// And their lists.
    pub crl_name: String,
}

/// `[upstream]`: Seam.
#[derive(Debug)]
pub struct UpstreamSettings {
    /// Every `[[workspace]]`; or the one, without a name, that `[upstream]` itself describes.
    pub workspaces: Vec<WorkspaceSettings>,
    /// From the forward to the whole answer.
    pub deadline: Duration,
    /// To a connection with finished handshake.
    pub connect_timeout: Duration,
    /// When to stop asking for a while.
    pub breaker: BreakerSettings,
    /// How long after an unknown outcome Seam is asked about it; none: never.
    pub resolve_delay: Option<Duration>,
}

/// One workspace of Seam's.
#[derive(Debug)]
pub struct WorkspaceSettings {
    /// What everything here calls it; none where it is the only one and has no table.
    pub name: Option<WorkspaceName>,
    /// What Seam calls it. Where it has a name, it has an id.
    pub id: Option<WorkspaceId>,
    /// Whether requests that name none go there.
    pub is_default: bool,
    /// `https://host[:port]`, nothing else.
    pub url: reqwest::Url,
    /// How the gateway proves itself to Seam.
    pub credential: CredentialSettings,
    /// Trust only these authorities.
    pub ca_file: Option<PathBuf>,
    /// What the key is called among the files of all parts.
    pub key_name: String,
    /// And the authorities.
    pub ca_name: String,
}

/// Where the workspace key comes from.
#[derive(Debug)]
pub struct CredentialSettings {
    /// What it is.
    pub kind: CredentialKind,
    /// The key or token.
    pub source: SecretSource,
}

/// What proves the gateway to Seam.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// Of one workspace.
    ApiKey,
    /// Of a person, who may have several workspaces: the id of one goes with it.
    PersonalAccessToken,
}

/// A secret, or the file that holds it.
#[derive(Debug)]
pub enum SecretSource {
    /// From the environment.
    Value(Secret),
    /// The first line of a file.
    File(PathBuf),
}

/// `[orders]`: freezes and exceptions.
#[derive(Debug, Clone)]
pub struct OrdersSettings {
    /// The file that commands write; it need not exist.
    pub file: PathBuf,
    /// The longest that an exception may last.
    pub exception_max: jiff::SignedDuration,
}

/// `[idempotency]`: what is remembered of grants.
#[derive(Debug, Clone)]
pub struct IdempotencySettings {
    /// How long a key, and a grant whose outcome is unknown, are remembered.
    pub window: Duration,
    /// Keys of one caller; and as many of its grants whose outcome is unknown.
    pub keys_per_caller_max: usize,
    /// The same of all callers together.
    pub keys_max: usize,
    /// Whether keys count for all gateways of the database.
    pub shared: bool,
}

/// One `[[issuer]]`.
#[derive(Debug, Clone)]
pub struct IssuerSettings {
    /// What callers, metrics and the log call it.
    pub name: String,
    /// The exact `iss` of its tokens.
    pub issuer: String,
    /// Where its keys come from.
    pub keys: KeySource,
    /// One of these must be in a token's `aud`.
    pub audiences: Vec<String>,
    /// How its tokens may be signed.
    pub algorithms: Vec<JwsAlgorithm>,
    /// How far its clock may be away.
    pub leeway: Duration,
    /// How far away a token's end may be.
    pub lifetime_max: Option<Duration>,
}

/// Where the keys of an issuer come from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A JWK Set in a file, which is reloaded; its name among the files of all parts, and its
    /// path.
    File(String, PathBuf),
    /// They are fetched.
    Fetched(FetchSettings),
}

/// Fetching the keys of an issuer.
#[derive(Debug, Clone)]
pub struct FetchSettings {
    /// What is asked for.
    pub from: FetchFrom,
    /// Trust only these authorities.
    pub ca_file: Option<PathBuf>,
    /// How often keys are fetched, at least.
    pub refresh: Duration,
    /// How long keys serve after they were fetched, when the issuer is down.
    pub stale_max: Duration,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub enum FetchFrom {
    /// The issuer's metadata, which say where its keys are.
    Discovery(reqwest::Url),
    /// The JWK Set.
    Jwks(reqwest::Url),
}

/// `[audit]`: the audit log.
#[derive(Debug)]
pub struct AuditSettings {
    /// Its directory.
    pub directory: PathBuf,
    /// Decisions that may wait to be written; further ones are refused with 503.
    pub queue_records_max: usize,
    /// How long a request waits for its record before it is refused with 503.
    pub commit_wait: Duration,
    /// A segment of this many bytes is closed.
    pub segment_bytes_max: u64,
    /// So is one of this age.
    pub segment_age_max: Duration,
    /// The size of the write-ahead log in bytes; none without one.
    pub wal_bytes: Option<u64>,
    /// Whether closed segments are compressed.
    pub compress: bool,
    /// Closed segments older than this are removed.
    pub retention_age_max: Option<Duration>,
    /// So are the oldest while the log takes more bytes than this.
    pub retention_bytes_max: Option<u64>,
    /// Signs checkpoints.
    pub signing_key_file: Option<PathBuf>,
    /// Records without a checkpoint, at most.
    pub checkpoint_records_max: u64,
    /// Time without one, at most.
    pub checkpoint_interval: Duration,
    /// Checkpoints are appended to this file.
    pub anchor_file: Option<PathBuf>,
    /// A program and its arguments that is given each checkpoint.
    pub anchor_command: Vec<String>,
    /// Records a minute of those who were not authenticated; others are counted.
    pub strangers_per_minute_max: u32,
    /// Which requests that only read are recorded.
    pub reads: RecordedReads,
    /// The key that hides grantees; none when they are recorded as they are.
    pub pseudonym_key_file: Option<PathBuf>,
    /// Where records are sent to.
    pub export: Option<ExportSettings>,
}

/// Which requests that only read are recorded. Those that change something always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordedReads {
    /// All of them.
    All,
    /// Those that are refused.
    Denied,
}

/// `[database]`: a mirror of all gateways' logs.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// Where it is, and how to be known there.
    pub files: database::Files,
    /// Records that it has are kept here all the same while they are younger: it may fall back
    /// behind them.
    pub keep_confirmed: Duration,
    /// How often the heads of other gateways' logs are written into the log.
    pub witness_interval: Duration,
}

/// `[policy.bundle]`: policies are signed, and come from the database.
#[derive(Debug, Clone)]
pub struct BundleSettings {
    /// Who must have signed them.
    pub trust: Trust,
    /// Where verified copies are kept.
    pub directory: PathBuf,
    /// A bundle to begin with, as `grantgate policy pull` writes it.
    pub seed_directory: Option<PathBuf>,
    /// A gateway that has not heard of signed orders for so long refuses grants.
    pub isolation_max: Option<Duration>,
}

/// `[replica]`: one gateway of several.
#[derive(Debug, Clone)]
pub struct ReplicaSettings {
    /// What people call it.
    pub name: String,
}

/// `[audit.export]`: the collector that gets every record.
#[derive(Debug, Clone)]
pub struct ExportSettings {
    /// `https://…`, or `http://…` on this machine; with the path for logs.
    pub url: reqwest::Url,
    /// Trust only these authorities.
    pub ca_file: Option<PathBuf>,
    /// Headers for the collector, one `name: value` a line; a secret.
    pub headers_file: Option<PathBuf>,
    /// Records in one request.
    pub batch_records_max: usize,
    /// From a request to its whole answer.
    pub timeout: Duration,
}

/// The part of `[limits]` about requests.
#[derive(Debug, Clone)]
pub struct RequestLimits {
    /// The largest body, in bytes.
    pub body_bytes_max: usize,
    /// Header fields of a request.
    pub headers_max: usize,
    /// The whole body arrives within this.
    pub body_timeout: Duration,
    /// Requests in flight; further ones are refused with 503.
    pub requests_in_flight_max: usize,
    /// From the whole body to the answer.
    pub answer_deadline: Duration,
    /// Requests of one caller in flight; further ones are refused with 429.
    pub caller_requests_in_flight_max: usize,
    /// Requests of one caller a second, on average; further ones are refused with 429.
    pub caller_requests_per_second: NonZeroU32,
    /// Requests of one caller at once after a pause.
    pub caller_requests_burst: NonZeroU32,
    /// What a caller may grant on one day that has no budget of its own.
    pub caller_budget: Budget,
    /// Where rates and daily budgets of a caller hold for all gateways together: what becomes of its
    /// grants while the database does not answer.
    pub shared: Option<WhenAlone>,
    /// Failures to authenticate of one network a minute, and at once; 0 is no limit. Further
    /// ones are refused with 429.
    pub authentication_failures_per_minute: u32,
}
