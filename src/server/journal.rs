//! What the audit log is opened with.

use std::path::Path;

use crate::audit::{JournalSettings, PseudonymKey};
use crate::config::AuditSettings;
use crate::domain::Problem;
use crate::files::read_secret;
use crate::note::{SigningKey, VerifierKey};

/// The journal's bounds and keys.
///
/// # Errors
/// A problem for each key file that is of no use.
pub fn journal_settings(audit: &AuditSettings) -> Result<JournalSettings, Vec<Problem>> {
    let signing = audit.signing_key_file.as_deref();
    let pseudonym = audit.pseudonym_key_file.as_deref();
    let signing = signing.map(|path| key(path, signing_key));
    let pseudonym = pseudonym
        .map(|path| key(path, |text| PseudonymKey::new(text).map_err(|error| error.to_string())));
    match (signing.transpose(), pseudonym.transpose()) {
        (Ok(signing_key), Ok(pseudonym_key)) => Ok(JournalSettings {
            queue_records_max: audit.queue_records_max,
            commit_wait: audit.commit_wait,
            segment_bytes_max: audit.segment_bytes_max,
            segment_age_max: audit.segment_age_max,
            checkpoint_records_max: audit.checkpoint_records_max,
            checkpoint_interval: audit.checkpoint_interval,
            strangers_per_minute_max: audit.strangers_per_minute_max,
            signing_key,
            pseudonym_key,
        }),
        (signing, pseudonym) => Err(signing.err().into_iter().chain(pseudonym.err()).collect()),
    }
}

fn key<K>(path: &Path, parse: impl FnOnce(&str) -> Result<K, String>) -> Result<K, Problem> {
    let problem = |text: String| Problem::of_file(path.display().to_string(), text);
    let bytes = read_secret(path)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| problem("is not UTF-8: a key is one line of text".into()))?;
    parse(text).map_err(problem)
}

fn signing_key(text: &str) -> Result<SigningKey, String> {
    SigningKey::parse(text).map_err(|error| match VerifierKey::parse(text) {
        Ok(_) => "is the public key, for those who verify: name the private one, which begins \
                  with `PRIVATE+KEY+`"
            .to_owned(),
        Err(_) => error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, load};

    #[test]
    fn the_wrong_half_of_a_key_and_what_is_no_text_are_told_apart() {
        let (key, _) = SigningKey::generate("example.org/doors").unwrap();
        let said = signing_key(&key.verifier().to_string()).unwrap_err();
        assert!(said.starts_with("is the public key, for those who verify"), "{said}");
        let said = signing_key("example.org/doors+00").unwrap_err();
        assert!(said.starts_with("not a private key"), "{said}");
        use std::os::unix::fs::PermissionsExt as _;
        let file = tempfile::NamedTempFile::new().unwrap();
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(file.path(), private).unwrap();
        std::fs::write(file.path(), [0xff; 40]).unwrap();
        let said = super::key(file.path(), signing_key).unwrap_err().text;
        assert!(said.starts_with("is not UTF-8"), "{said}");
    }

    #[test]
    fn the_journals_own_defaults_are_those_of_the_configuration() {
        let text = "[listener]\ncertificate_file = \"c\"\nprivate_key_file = \"k\"\n\
                    [upstream]\napi_key_file = \"s\"\n[audit]\ndirectory = \"audit\"\n";
        let settings = load(Path::new("g.toml"), text, &Environment::new()).unwrap();
        let journal = journal_settings(&settings.audit).unwrap();
        assert_eq!(format!("{journal:?}"), format!("{:?}", JournalSettings::default()));
    }
}
