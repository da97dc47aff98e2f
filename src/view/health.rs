//! What a running gateway says of itself under `/status`.

use serde::Serialize;

use super::orders::ShownOrder;

/// Its state as a whole.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The running build.
    pub version: &'static str,
    /// The commit that it was built from.
    pub commit: &'static str,
    /// When the process began.
    pub started: String,
    /// Whether requests are decided and recorded.
    pub ready: bool,
    /// Whether it is about to stop.
    pub draining: bool,
    /// What is in force.
    pub policy: PolicyInForce,
    /// The policy on trial, where there is one.
    pub candidate: Option<Trial>,
    /// The signed bundle in force, where policies come as such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Bundle>,
    /// Why the files are not what is in force.
    pub reload_failure: Option<ReloadFailure>,
    /// Freezes and exceptions in force.
    pub orders: Vec<OrderInForce>,
    /// Why the file of orders is not what is in force.
    pub orders_failure: Option<String>,
    /// Whether nothing is sent because Seam failed again and again.
    pub upstream_suspended: bool,
    /// The workspaces, where they have names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workspaces: Vec<Workspace>,
    /// The audit log's state in words.
    pub audit: String,
    /// The newest checkpoint.
    pub checkpoint: Option<Checkpoint>,
    /// Whose JSON Web Tokens are accepted.
    pub issuers: Vec<Issuer>,
    /// Where records are shipped to.
    pub export: Option<Shipping>,
    /// And to a database, where one is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Shipping>,
    /// When certificates expire.
    pub certificates: Vec<Expiry>,
    /// What is wrong with certificates.
    pub certificate_findings: Vec<CertificateFinding>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// `ok`, `warning` (shown; grants are still decided and recorded) or `failed` (no grant can go through).
    pub state: &'static str,
    /// What there is to say.
    pub text: String,
}

/// One workspace of Seam's.
#[derive(Debug, Serialize)]
pub struct Workspace {
    /// Its name in the settings.
    pub name: String,
    /// What Seam calls it.
    pub id: Option<String>,
    /// Where its requests are sent.
    pub host: String,
    /// Whether requests that name none go there.
    pub is_default: bool,
    /// Whether nothing is sent because Seam failed again and again.
    pub suspended: bool,
}

/// An issuer of tokens.
#[derive(Debug, Serialize)]
pub struct Issuer {
    /// Its name in the settings.
    pub name: String,
    /// Whether its tokens can be verified.
    pub usable: bool,
    /// How many keys it has, as far as is known.
    pub keys: usize,
    /// When they were fetched last; none where that never was, or they are in a file.
    pub fetched: Option<String>,
}

/// The policy in force.
#[derive(Debug, Serialize)]
pub struct PolicyInForce {
    /// The digest of model, rules and callers.
    pub revision: String,
    /// How many rules it has.
    pub rules: usize,
    /// How many callers there are.
    pub callers: usize,
    /// When it was loaded.
    pub loaded: String,
}

/// A signed bundle.
#[derive(Debug, Serialize)]
pub struct Bundle {
    /// Whose policy it is.
    pub name: String,
    /// Its number.
    pub number: u64,
    /// The digest of its text.
    pub digest: String,
    /// Whose keys signed it.
    pub signers: Vec<String>,
    /// One that the database offers and that is not taken.
    pub refused: Option<RefusedBundle>,
}

/// A bundle that is not taken.
#[derive(Debug, Serialize)]
pub struct RefusedBundle {
    /// Its number.
    pub number: u64,
    /// Why.
    pub why: String,
}

/// A policy on trial.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trial {
    /// It is judged: its digest.
    Revision(String),
    /// It is not judged, for these reasons.
    Problems(Vec<String>),
}

/// A reload that failed.
#[derive(Debug, Serialize)]
pub struct ReloadFailure {
    /// When.
    pub time: String,
    /// Why.
    pub problems: Vec<String>,
}

/// An order in force.
#[derive(Debug, Serialize)]
pub struct OrderInForce {
    /// The order.
    #[serde(flatten)]
    pub order: ShownOrder,
    /// Whether the audit log has it.
    pub recorded: bool,
}

/// A checkpoint of the audit log.
#[derive(Debug, Serialize)]
pub struct Checkpoint {
    /// How many records it covers.
    pub size: u64,
    /// The tree's root, in base64.
    pub root: String,
    /// The signed text; none where the log is not signed.
    pub text: Option<String>,
}

/// How far the records have come at a place that gets every one.
#[derive(Debug, Serialize)]
pub struct Shipping {
    /// That place.
    pub host: String,
    /// The next record to send.
    pub next_seq: u64,
    /// How many records wait.
    pub lag_records: u64,
    /// How old the oldest of them is.
    pub lag_seconds: f64,
    /// When a record was sent last.
    pub last_sent: Option<String>,
    /// Why none is sent.
    pub failure: Option<ShippingFailure>,
}

/// Records cannot be sent.
#[derive(Debug, Serialize)]
pub struct ShippingFailure {
    /// Since when.
    pub since: String,
    /// Why.
    pub text: String,
}

/// When a certificate expires.
#[derive(Debug, Serialize)]
pub struct Expiry {
    /// What it is for.
    pub role: String,
    /// When.
    pub expires: String,
}

/// Something wrong with a certificate.
#[derive(Debug, Serialize)]
pub struct CertificateFinding {
    /// How bad it is.
    pub severity: &'static str,
    /// The file.
    pub file: String,
    /// The line in it, where there is one.
    pub line: Option<u32>,
    /// What is wrong.
    pub text: String,
}
