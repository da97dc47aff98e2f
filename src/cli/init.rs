//! `grantgate init`: a directory to start from.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, fail, note, say};
use crate::authn::{CallerToken, TokenForm};
use crate::files::create_new;
use crate::note::SigningKey;
use crate::pki::DevelopmentPki;

const CONFIG: &str = include_str!("templates/grantgate.toml");
const CALLERS: &str = include_str!("templates/callers.toml");
const MODEL: &str = include_str!("../../policies/model.conf");
const RULES: &str = include_str!("../../policies/policy.csv");
const CASES: &str = include_str!("../../policies/tests/sample.toml");
const ENTRANCES: &str = include_str!("../../policies/entrances.csv");

/// What the audit log is called until somebody makes a key with a better name.
const LOG_NAME: &str = "grantgate/audit";

/// The SPIFFE id in the development client certificate; the sample callers file has it.
pub(super) const CALLER_SPIFFE_ID: &str = "spiffe://example.org/front/visitor-desk";

#[derive(Args)]
#[command(after_help = "Example: grantgate init --dev-certs gateway\n\n\
    Nothing that exists is overwritten.")]
pub(super) struct Arguments {
    /// The directory to write to; made when it does not exist
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Also make a development PKI, and point the gateway at the sandbox
    #[arg(long)]
    dev_certs: bool,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let files = match files(arguments.dev_certs) {
        Ok(files) => files,
        Err(error) => return fail(error),
    };
    let directory = &arguments.directory;
    let existing: Vec<&str> =
        files.iter().map(|file| file.path).filter(|path| directory.join(path).exists()).collect();
    if !existing.is_empty() {
        let list = existing.join("`, `");
        return fail(format_args!(
            "`{}` has `{list}` already; nothing was written",
            directory.display()
        ));
    }
    if let Err(error) = write(directory, &files) {
        return fail(format_args!("`{}` cannot be written: {error}", directory.display()));
    }
    for file in &files {
        say(directory.join(file.path).display());
    }
    next_steps(directory, arguments.dev_certs);
    Exit::Done
}

fn next_steps(directory: &Path, dev_certs: bool) {
    let shown = directory.display();
    note("next:");
    if !dev_certs {
        note(format_args!("  put the certificate and key into {shown}/certs"));
        note(format_args!("  put the workspace key into {shown}/secrets/seam_api_key, mode 0600"));
    }
    note(format_args!("  grantgate caller new visitor-desk --callers {shown}/callers.toml"));
    note(format_args!("  grantgate check --config {shown}/grantgate.toml"));
    if dev_certs {
        note(format_args!("  (cd {shown} && grantgate sandbox)"));
    }
    note(format_args!("  grantgate entrances pull --config {shown}/grantgate.toml"));
    note(format_args!("  grantgate serve --config {shown}/grantgate.toml"));
    note(format_args!("give {shown}/audit_signing_key.pub to whoever is to verify the audit log"));
}

/// A file to write.
pub(super) struct NewFile {
    path: &'static str,
    text: String,
    secret: bool,
}

/// What a directory to start from consists of.
pub(super) fn files(dev_certs: bool) -> Result<Vec<NewFile>, Box<dyn std::error::Error>> {
    let public = |path, text: &str| NewFile { path, text: text.to_owned(), secret: false };
    let secret = |path, text: &str| NewFile { path, text: text.to_owned(), secret: true };
    let config = if dev_certs { development(CONFIG) } else { CONFIG.to_owned() };
    let mut files = vec![
        public("grantgate.toml", &config),
        public("callers.toml", CALLERS),
        public("policies/model.conf", MODEL),
        public("policies/policy.csv", RULES),
        public("policies/tests/sample.toml", CASES),
        public("policies/entrances.csv", ENTRANCES),
    ];
    // Without it nobody could verify the log: it costs nothing to have one from the start.
    let (signing, private) = SigningKey::generate(LOG_NAME)?;
    files.extend([
        secret("secrets/audit_signing_key", &private),
        public("audit_signing_key.pub", &format!("{}\n", signing.verifier())),
    ]);
    if dev_certs {
        let pki = DevelopmentPki::generate(CALLER_SPIFFE_ID)?;
        // Not a caller's token: the sandbox's workspace key, which is as random.
        let key =
            CallerToken::generate(TokenForm::ApiKey)?.expose().replace("seam_gg_", "seam_sandbox_");
        files.extend([
            public("certs/servers-ca.pem", &pki.servers_ca),
            public("certs/callers-ca.pem", &pki.callers_ca),
            public("certs/server.pem", &pki.server.certificate),
            secret("certs/server.key", &pki.server.key),
            public("certs/sandbox.pem", &pki.sandbox.certificate),
            secret("certs/sandbox.key", &pki.sandbox.key),
            public("certs/caller.pem", &pki.caller.certificate),
            secret("certs/caller.key", &pki.caller.key),
            secret("secrets/seam_api_key", &key),
        ]);
    }
    Ok(files)
}

/// The configuration with the sandbox as upstream and client certificates turned on.
fn development(config: &str) -> String {
    config
        .replace("# url = \"https://connect.getseam.com\"", "url = \"https://localhost:8444\"")
        .replace("# example: ca_file = \"certs/servers", "ca_file = \"certs/servers")
        .replace("# example: client_ca_file = \"certs/callers", "client_ca_file = \"certs/callers")
}

/// Writes the files. None may exist.
pub(super) fn write(directory: &Path, files: &[NewFile]) -> io::Result<()> {
    for part in ["", "policies/tests", "certs"] {
        std::fs::create_dir_all(directory.join(part))?;
    }
    let secrets = directory.join("secrets");
    if !secrets.exists() {
        DirBuilder::new().mode(0o700).create(secrets)?;
    }
    for file in files {
        let mode = if file.secret { 0o600 } else { 0o644 };
        let path = directory.join(file.path);
        create_new(&path, file.text.as_bytes(), mode)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    /// The template with the lines that begin so as if they did not.
    fn without(mark: &str, text: &str) -> String {
        let is_key = |rest: &&str| {
            let key = rest.split(" = ").next().unwrap_or_default();
            rest.contains(" = ") && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        };
        let line = |line: &str| line.strip_prefix(mark).filter(is_key).unwrap_or(line).to_owned();
        text.lines().map(|text| line(text) + "\n").collect()
    }

    const BUNDLE: &str = "ca_file = \"certs/example.org.pem\"";

    fn load(text: &str) -> config::Settings {
        config::load(Path::new("g.toml"), text, &config::Environment::new()).unwrap()
    }

    #[test]
    fn a_commented_line_is_the_default_and_an_example_is_valid() {
        // Of each table of which there may be several there is one; that of a workspace takes the
        // place of what `[upstream]` has.
        let (before, _, after) = around_workspace();
        let (files, _, rest) = around_bundle(after);
        let tables = format!("{before}{files}{rest}").replace("# [[", "[[");
        // The keys of a collector need one; an issuer, people and a trust domain have what they cannot
        // be without.
        let needed = [
            "url = ",
            "name = ",
            "issuer = ",
            "token_header = ",
            "proxies = ",
            "jwks_url = ",
            "audience = ",
            BUNDLE,
        ];
        let with_url = needed
            .iter()
            .fold(tables.clone(), |text, key| text.replace(&format!("# example: {key}"), key));
        let (few, all) = (load(&with_url), load(&without("# ", &with_url)));
        assert_eq!(format!("{few:?}"), format!("{all:?}"));

        let every = without("# example: ", &tables);
        let every = every.replace("# pseudonymise = \"off\"", "pseudonymise = \"on\"");
        // Either this or an API key.
        let every = every.replace("\napi_key_file", "\n# api_key_file");
        // One of two, and one of three.
        let every = every.replace("\nbundle_file", "\n# bundle_file");
        let every = every.replace("\ndiscovery_url", "\n# discovery_url");
        let every = every.replace("\njwks_file", "\n# jwks_file");
        let settings = load(&every);
        assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
        assert!(settings.admin.remote.is_some() && settings.listener.clients.is_some());
        assert!(settings.policy_candidate_rules_file.is_some());
        let domains = &settings.listener.clients.as_ref().unwrap().domains;
        assert!(domains.iter().any(|domain| domain.authorities.crl_file.is_some()));
        assert!(settings.issuers.iter().any(|issuer| issuer.lifetime_max.is_some()));
        let audit = settings.audit;
        assert!(audit.retention_age_max.is_some() && audit.retention_bytes_max.is_some());
        assert!(audit.anchor_file.is_some() && audit.pseudonym_key_file.is_some());
        assert!(audit.export.is_some_and(|export| export.headers_file.is_some()));
    }

    /// The template's table of a workspace, and what stands around it.
    fn around_workspace() -> (&'static str, &'static str, &'static str) {
        let (before, rest) = CONFIG.split_once("# [[workspace]]\n").unwrap();
        let at = rest.find("[policy]").unwrap();
        (before, &rest[..at], &rest[at..])
    }

    /// What stands before the table of bundles, that table, and what is behind it.
    fn around_bundle(text: &str) -> (&str, &str, &str) {
        let at = text.find("[policy.bundle]").unwrap();
        let end = text.find("[callers]").unwrap();
        (&text[..at], &text[at..end], &text[end..])
    }

    #[test]
    fn a_table_of_bundles_takes_the_place_of_files() {
        let (before, table, after) = around_bundle(CONFIG);
        let table = without("# example: ", table);
        let needed = ["name = \"north-1\"", "url = \"postgresql"];
        let needed = needed
            .iter()
            .fold(after.to_owned(), |text, key| text.replace(&format!("# example: {key}"), key));
        let of = |table: &str| load(&format!("{before}{table}{needed}")).policy_bundle.unwrap();
        let (few, all) = (of(&table), of(&without("# ", &table)));
        assert_eq!(format!("{few:?}"), format!("{all:?}"));
        assert_eq!((few.trust.name(), few.trust.signatures_min()), ("example.org/doors", 1));
        assert!(few.seed_directory.is_some());
    }

    #[test]
    fn a_table_of_a_workspace_takes_the_place_of_the_only_one() {
        let (before, table, after) = around_workspace();
        let table = without("# example: ", table);
        let table = table.replace("\npersonal_access_token_file", "\n# personal_access_token_file");
        let of = |table: &str| {
            let before = before.replace("\napi_key_file", "\n# api_key_file");
            load(&format!("{before}[[workspace]]\n{table}{after}")).upstream.workspaces
        };
        let (few, all) =
            (of(&table), of(&without("# ", &table.replace("# personal", "#personal"))));
        assert_eq!(few.len(), 1);
        assert!(few[0].is_default && few[0].ca_file.is_some() && few[0].name.is_some());
        assert_eq!(format!("{few:?}"), format!("{all:?}"));
    }

    #[test]
    fn the_development_configuration_points_at_the_sandbox() {
        let settings = load(&development(CONFIG));
        let workspace = &settings.upstream.workspaces[0];
        assert_eq!(workspace.url.as_str(), "https://localhost:8444/");
        assert!(workspace.ca_file.is_some() && settings.listener.clients.is_some());
    }
}
