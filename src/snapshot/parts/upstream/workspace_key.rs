//! The workspace key: read from its file or the environment, and looked at for the usual
//! slips before anything is sent with it. No message has anything of it.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::authn::{Callers, TokenForm};
use crate::config::{CredentialKind, CredentialSettings, SecretSource};
use crate::domain::{Problem, Secret};
use crate::snapshot::source::{File, not_read};

/// The key and where it came from. It must not be a caller's token.
pub(super) fn workspace_key(
    credential: &CredentialSettings,
    file: Option<File>,
    callers: Option<&Callers>,
) -> Result<(String, Secret), Vec<Problem>> {
    let kind = credential.kind;
    let variable = match kind {
        CredentialKind::ApiKey => "SEAM_API_KEY",
        CredentialKind::PersonalAccessToken => "SEAM_PERSONAL_ACCESS_TOKEN",
    };
    let (origin, text) = match (&credential.source, file) {
        (SecretSource::Value(secret), _) => {
            (format!("environment variable {variable}"), secret.expose().to_owned())
        }
        (SecretSource::File(path), file) => {
            let missing = || vec![not_read(&path.display().to_string())];
            let File { shown: origin, bytes } = file.ok_or_else(missing)?;
            let bytes = bytes.map_err(|problem| vec![problem])?;
            let text = str::from_utf8(&bytes).map_err(|_| {
                let text = "the workspace key is not UTF-8: save it as plain text";
                vec![Problem::of_file(origin.clone(), text)]
            })?;
            (origin, text.to_owned())
        }
    };
    let text = Zeroizing::new(text);
    let key = text.trim_end();
    let wrong = |text: &str| vec![Problem::of_file(origin.clone(), text)];
    if callers.is_some_and(|callers| callers.accepts_token(key)) {
        return Err(wrong(
            "the workspace key is also a caller's token; make the caller a token of its own",
        ));
    }
    match slip(key, kind) {
        Some(text) => Err(wrong(text)),
        None => Ok((origin, Secret::new(key.to_owned()))),
    }
}

/// What is wrong with a text as a key, and what to do; none when it looks like one.
fn slip(key: &str, kind: CredentialKind) -> Option<&'static str> {
    let found = around(key).or_else(|| another(key));
    if found.is_some() {
        return found;
    }
    if placeholder(key) {
        return Some("holds a placeholder: put the key there that Seam Console shows");
    }
    match (kind, key.starts_with("seam_at")) {
        (CredentialKind::ApiKey, true) => Some(
            "holds a personal access token (`seam_at…`), not an API key: name the file in \
             `personal_access_token_file` and set the workspace's id, or use \
             SEAM_PERSONAL_ACCESS_TOKEN and SEAM_WORKSPACE_ID",
        ),
        (CredentialKind::PersonalAccessToken, false) => Some(
            "holds no personal access token, which begins with `seam_at`: an API key belongs \
             into `api_key_file` or SEAM_API_KEY",
        ),
        (CredentialKind::ApiKey, false) | (CredentialKind::PersonalAccessToken, true) => None,
    }
}

/// The key may be there, with something around it.
fn around(key: &str) -> Option<&'static str> {
    let mut lines = key.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next()?;
    if key.starts_with('\u{feff}') {
        return Some("begins with a byte order mark: save it as UTF-8 without one");
    }
    if is_assignment(first) {
        return Some(
            "holds a line of an environment file (`NAME=key`): leave only what comes after the \
             `=`, without quotes",
        );
    }
    if first.starts_with("-----BEGIN") {
        return Some("holds a PEM block: the workspace key is a text that begins with `seam_`");
    }
    if first.starts_with(['{', '[']) && !first.starts_with("{{") {
        return Some("holds JSON: leave only the key itself");
    }
    if lines.next().is_some() {
        return Some("holds several lines: leave only the one with the key");
    }
    let quote = |c: char| matches!(c, '"' | '\'' | '`' | '\u{2018}'..='\u{201f}');
    if first.starts_with(quote) || first.ends_with(quote) {
        return Some("holds quotes around the key: take them away");
    }
    let word = first.split(char::is_whitespace).next().unwrap_or_default();
    if word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("authorization:") {
        return Some("holds a header: leave only the key, which comes after `Bearer`");
    }
    let name = word.strip_suffix(':').filter(|_| word.len() < first.len());
    if name.is_some_and(is_name) {
        return Some("holds `name: key`: leave only the key itself");
    }
    (key.len() != first.len() || first.contains(char::is_whitespace))
        .then_some("has white space before the key or in it: take it away")
}

/// It is something else, and plainly so.
fn another(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        return Some("is empty: it must hold the workspace key, which begins with `seam_`");
    }
    if TokenForm::ALL.iter().any(|form| key.starts_with(form.prefix())) {
        return Some(
            "holds a caller's token of grantgate (`seam_gg_…`), not the workspace key: that one \
             is made in Seam Console",
        );
    }
    if key.starts_with("seam_cst") {
        return Some("holds a client session token (`seam_cst…`), not an API key");
    }
    if key.starts_with("seam_pk") {
        return Some("holds a publishable key (`seam_pk…`), not an API key");
    }
    if key.starts_with("ey") {
        return Some("holds a JSON Web Token (`ey…`), not an API key");
    }
    if key.starts_with("seam_") || placeholder(key) {
        return None;
    }
    if is_base64_of_key(key) {
        return Some(
            "holds the base64 of a key, as in the `data` of a Kubernetes Secret: decode it with \
             `base64 -d`",
        );
    }
    Some("holds no workspace key: one begins with `seam_`")
}

/// A text out of an example, or of a template that was not filled in. A real key may have
/// any of these words in it, so only the whole text counts.
fn placeholder(key: &str) -> bool {
    if key.starts_with(['<', '$', '%']) || key.contains("{{") || key.contains('…') {
        return true;
    }
    let lower = key.to_ascii_lowercase();
    let word = lower.strip_prefix("seam_").unwrap_or(&lower);
    let words = [
        "changeme",
        "change_me",
        "change-me",
        "replaceme",
        "replace_me",
        "replace-me",
        "secret",
        "api_key",
        "apikey",
        "api-key",
        "key",
        "placeholder",
        "example",
        "todo",
        "tbd",
        "none",
        "null",
    ];
    words.contains(&word)
        || ["your_", "your-", "my_", "my-", "insert_", "insert-"]
            .iter()
            .any(|w| word.starts_with(w))
        || word.chars().all(|c| matches!(c, 'x' | '*' | '.' | '-' | '_' | '0'))
}

/// `NAME=value`, also after `export`.
fn is_assignment(line: &str) -> bool {
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    line.split_once('=').is_some_and(|(name, value)| {
        // An `=` at the end may be padding of a key.
        is_name(name.trim_end()) && !name.starts_with("seam_") && !value.trim().is_empty()
    })
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

fn is_base64_of_key(key: &str) -> bool {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [&STANDARD, &URL_SAFE].into_iter().any(|alphabet| {
        let decoded = GeneralPurpose::new(alphabet, config).decode(key).map(Zeroizing::new);
        decoded.is_ok_and(|text| text.starts_with(b"seam_") || text.starts_with(b"SEAM_"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_seam_issues_is_accepted() {
        let padded = "seam_abc=";
        for key in ["seam_test2bMS_94SrGUXuNR2JmJkjtvBQDg5c", "seam_apikey1_token", padded] {
            assert_eq!(slip(key, CredentialKind::ApiKey), None, "{key}");
        }
        let token = "seam_at5x_2bMS94SrGUXuNR2JmJkjtvBQDg5c";
        assert_eq!(slip(token, CredentialKind::PersonalAccessToken), None);
    }

    #[test]
    fn each_slip_has_a_text_that_names_it_and_does_not_have_the_key() {
        const REST: &str = "2bMS_94SrGUXuNR2JmJkjtvBQDg5c";
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("seam_{REST}\n"));
        let cases = [
            ("SEAM_API_KEY=seam_%", "environment file"),
            ("export SEAM_API_KEY='seam_%'", "environment file"),
            ("SEAM_API_KEY=seam_%\nSEAM_WORKSPACE_ID=1", "environment file"),
            ("\"seam_%\"", "quotes around"),
            ("'seam_%'", "quotes around"),
            ("\u{201c}seam_%\u{201d}", "quotes around"),
            ("seam_%\nseam_other", "several lines"),
            ("seam_at%", "`personal_access_token_file`"),
            ("seam_cst1%", "client session token"),
            ("seam_pk1%", "publishable key"),
            ("seam_gg_%", "a caller's token of grantgate"),
            ("eyJhbGciOi.%", "JSON Web Token"),
            ("Bearer seam_%", "a header"),
            ("Authorization: Bearer seam_%", "a header"),
            ("api_key: seam_%", "`name: key`"),
            ("{\"api_key\":\"seam_%\"}", "JSON"),
            (" seam_%", "white space"),
            ("seam_ %", "white space"),
            ("\u{feff}seam_%", "byte order mark"),
            ("-----BEGIN PRIVATE KEY-----\n%", "PEM block"),
            ("%", "begins with `seam_`"),
            ("", "is empty"),
            ("  \n ", "is empty"),
            (encoded.as_str(), "base64 of a key"),
            ("changeme", "placeholder"),
            ("seam_your_api_key", "placeholder"),
            ("seam_…", "placeholder"),
            ("seam_xxxxxxxxxxxx", "placeholder"),
            ("<your key>", "white space"),
            ("<key>", "placeholder"),
            ("${SEAM_API_KEY}", "placeholder"),
            ("{{seam_key}}", "placeholder"),
        ];
        for (key, part) in cases {
            let key = key.replace('%', REST);
            let text = slip(key.trim_end(), CredentialKind::ApiKey).unwrap_or("accepted");
            assert!(text.contains(part), "{key}: {text}");
            assert!(!text.contains(REST) && !text.contains(&encoded), "{text}");
        }
        let text = slip(&format!("seam_{REST}"), CredentialKind::PersonalAccessToken).unwrap();
        assert!(text.contains("`api_key_file`"), "{text}");
    }
}
