//! Who looks with a browser, and how they are known.

use std::path::PathBuf;

/// `[console]`: who looks at policy, decisions and evidence in a browser.
#[derive(Debug, Clone, Default)]
pub struct ConsoleSettings {
    /// Whether everybody on this machine may look, through `admin.address`.
    pub local: bool,
    /// Who may look, through `admin.remote`: names of certificates, as the callers file has them, and
    /// `jwt:` with what a token says of a person.
    pub viewers: Vec<String>,
    /// Who may freeze and except as well.
    pub operators: Vec<String>,
    /// Whose tokens say who a person is, behind a proxy that authenticates people.
    pub people: Option<PeopleSettings>,
    /// The file that names the database as a reader, to look at all gateways.
    pub database_file: Option<PathBuf>,
}

/// People that an authenticating proxy has let in.
#[derive(Debug, Clone)]
pub struct PeopleSettings {
    /// Names of the certificates of such proxies: nobody else brings a token.
    pub proxies: Vec<String>,
    /// The name of an `[[issuer]]`.
    pub issuer: String,
    /// The header that has the token.
    pub header: http::HeaderName,
    /// The claim that says who it is.
    pub claim: String,
}
