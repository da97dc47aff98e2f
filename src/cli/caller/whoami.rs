//! `grantgate caller whoami`: who a gateway takes a service for, without a grant.
//!
//! The credential never comes from the command line, which others can read. A token that is
//! not a caller's or an issuer's is not sent: on the gateway's own machine `SEAM_API_KEY` is the
//! workspace key.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use http::StatusCode;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::authn::{TokenForm, jwt};
use crate::cli::https::{self, Known};
use crate::cli::problems::printable;
use crate::cli::{Exit, Format, fail, note, report, runtime, say, say_json};
use crate::domain::{Problem, Secret, WorkspaceId, innermost};
use crate::files::read_secret;

const PATH: &str = "/grantgate/whoami";

/// The types of errors that are about who asks, and where.
const REFUSED: [&str; 3] = ["unauthorized", "invalid_input", "workspace_not_found"];

/// Longer than a gateway that is well ever takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// More than an answer or a token has, in bytes.
const BYTES_MAX: usize = 64 * 1024;

#[derive(Args)]
#[command(after_help = "Example: grantgate caller whoami --url https://gateway.internal:8443 \
    --ca servers-ca.pem --token-file token\n\n\
    Without --token-file and --certificate the token is that in SEAM_API_KEY or \
    SEAM_PERSONAL_ACCESS_TOKEN, as for Seam's SDKs.\n\n\
    Exit codes: 0 the gateway knows the caller, 2 it refuses the credential, 1 no answer, \
    3 a file is invalid.")]
pub(in crate::cli) struct Arguments {
    /// The gateway, as `https://host[:port]` [default: SEAM_ENDPOINT of the environment]
    #[arg(long, value_name = "URL", value_parser = url)]
    url: Option<reqwest::Url>,
    /// Authorities that the gateway's certificate may come from, PEM [default: the machine's]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A file that holds the caller's token or a JSON Web Token; `-` is standard input
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The caller's certificate chain, leaf first, PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// The id of the workspace, as an SDK sends it [default: SEAM_WORKSPACE_ID of the
    /// environment]
    #[arg(long, value_name = "ID", value_parser = workspace)]
    workspace: Option<WorkspaceId>,
    /// How to print what the gateway says
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// What the gateway said.
struct Said {
    status: StatusCode,
    body: Value,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    ask(arguments).unwrap_or_else(|exit| exit)
}

fn ask(arguments: &Arguments) -> Result<Exit, Exit> {
    let url = match &arguments.url {
        Some(url) => url.clone(),
        None => endpoint()?,
    };
    let token = token(arguments)?;
    let client = client(arguments).map_err(|problems| {
        report("error", &problems);
        Exit::Invalid
    })?;
    let runtime = runtime().map_err(fail)?;
    let workspace = match &arguments.workspace {
        Some(id) => Some(id.clone()),
        None => workspace_of_environment()?,
    };
    let (token, workspace) = (token.as_ref(), workspace.as_ref());
    let said = runtime.block_on(exchange(&client, &url, token, workspace)).map_err(fail)?;
    match said.status {
        StatusCode::OK if said.body.get("ok") == Some(&Value::Bool(true)) => {
            match arguments.format {
                Format::Json => say_json(&said.body),
                Format::Human => human(&said.body),
            }
            Ok(Exit::Done)
        }
        // Or not in a workspace that it names, or none.
        StatusCode::UNAUTHORIZED | StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND
            if REFUSED
                .iter()
                .any(|kind| said.body.pointer("/error/type") == Some(&json!(kind))) =>
        {
            note(format_args!("refused: {}", reason(&said)));
            note("the gateway's audit log has the cause under this request id");
            Ok(Exit::Different)
        }
        status => {
            Err(fail(format_args!("`{url}` answered with status {status}: {}", reason(&said))))
        }
    }
}

fn url(text: &str) -> Result<reqwest::Url, String> {
    let url = reqwest::Url::parse(text).map_err(|error| error.to_string())?;
    let bare = url.username().is_empty() && url.password().is_none();
    let ends = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let https = url.scheme() == "https" && url.has_host();
    (https && bare && ends)
        .then_some(url)
        .ok_or_else(|| "must be `https://host[:port]`, and nothing more".to_owned())
}

fn endpoint() -> Result<reqwest::Url, Exit> {
    let text = std::env::var("SEAM_ENDPOINT").map_err(|_| {
        note("error: which gateway? Give --url, or set SEAM_ENDPOINT");
        Exit::Usage
    })?;
    url(&text).map_err(|error| {
        note(format_args!("error: SEAM_ENDPOINT {error}"));
        Exit::Usage
    })
}

fn workspace(text: &str) -> Result<WorkspaceId, String> {
    WorkspaceId::parse(text).ok_or_else(|| "must be visible ASCII characters".to_owned())
}

fn workspace_of_environment() -> Result<Option<WorkspaceId>, Exit> {
    let Some(text) = std::env::var("SEAM_WORKSPACE_ID").ok().filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    workspace(&text).map(Some).map_err(|error| {
        note(format_args!("error: SEAM_WORKSPACE_ID {error}"));
        Exit::Usage
    })
}

/// The caller's token; none where it has a certificate only.
fn token(arguments: &Arguments) -> Result<Option<Secret>, Exit> {
    let (bytes, place) = match &arguments.token_file {
        Some(path) if path == Path::new("-") => {
            let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES_MAX));
            let read = io::stdin().take(BYTES_MAX as u64).read_to_end(&mut bytes);
            read.map_err(|error| fail(format_args!("standard input cannot be read: {error}")))?;
            (bytes, "standard input".to_owned())
        }
        Some(path) => {
            let bytes = read_secret(path).map_err(|problem| {
                report("error", &[problem]);
                Exit::Invalid
            })?;
            (bytes, format!("`{}`", path.display()))
        }
        None if arguments.certificate.is_some() => return Ok(None),
        None => {
            let names = ["SEAM_API_KEY", "SEAM_PERSONAL_ACCESS_TOKEN"].into_iter();
            let mut set = names.filter_map(|name| Some((std::env::var(name).ok()?, name)));
            match (set.next(), set.next()) {
                (Some((text, name)), None) => (Zeroizing::new(text.into_bytes()), name.to_owned()),
                (Some((_, first)), Some((_, second))) => {
                    note(format_args!("error: as whom? {first} and {second} are both set"));
                    return Err(Exit::Usage);
                }
                (None, _) => {
                    note("error: as whom? Give --token-file or --certificate, or set SEAM_API_KEY");
                    return Err(Exit::Usage);
                }
            }
        }
    };
    let text = std::str::from_utf8(&bytes).unwrap_or_default().trim();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    let own = TokenForm::ALL.iter().any(|form| text.starts_with(form.prefix()));
    // What begins with `seam_` may be a key of Seam's.
    let of_issuer = !text.starts_with("seam_") && jwt::has_form(text);
    if !(own || of_issuer) || !is_plain {
        let [key, personal] =
            [TokenForm::ApiKey, TokenForm::PersonalAccessToken].map(TokenForm::prefix);
        note(format_args!(
            "error: {place} holds neither a caller's token, which begins with `{key}` or \
             `{personal}`, nor a JSON Web Token; nothing was sent"
        ));
        return Err(Exit::Invalid);
    }
    Ok(Some(Secret::new(text.to_owned())))
}

fn client(arguments: &Arguments) -> Result<reqwest::Client, Vec<Problem>> {
    let identity = arguments.certificate.as_deref().zip(arguments.key.as_deref());
    https::client(&Known { ca: arguments.ca.as_deref(), ca_place: "--ca", identity }, PATIENCE)
}

async fn exchange(
    client: &reqwest::Client,
    url: &reqwest::Url,
    token: Option<&Secret>,
    workspace: Option<&WorkspaceId>,
) -> Result<Said, String> {
    let failed = |error: reqwest::Error| {
        let what = if error.is_timeout() { "did not answer in time" } else { "cannot be asked" };
        format!("`{url}` {what}: {}", innermost(&error.without_url()))
    };
    let mut asked = url.clone();
    asked.set_path(PATH);
    let mut request = client.get(asked);
    if let Some(token) = token {
        request = request.bearer_auth(token.expose());
    }
    if let Some(workspace) = workspace {
        request = request.header("seam-workspace", workspace.as_str());
    }
    let mut answer = request.send().await.map_err(failed)?;
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > BYTES_MAX {
            return Err(format!("`{url}` answers with more than a gateway does"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Said { status, body: serde_json::from_slice(&body).unwrap_or_default() })
}

/// What a refusal says of itself.
fn reason(said: &Said) -> String {
    let field = |name: &str| said.body.pointer(name).and_then(Value::as_str).map(printable);
    match (field("/error/message"), field("/error/request_id")) {
        (Some(message), Some(id)) => format!("{message} (request id {id})"),
        (Some(message), None) => message,
        (None, _) if said.status == StatusCode::NOT_FOUND => {
            "this is no gateway, or an older one".to_owned()
        }
        (None, _) => "this is no answer of a gateway".to_owned(),
    }
}

fn human(body: &Value) {
    let field = |name: &str| body.get(name).and_then(Value::as_str).map(printable);
    let shown = |name: &str| field(name).unwrap_or_else(|| "not said".to_owned());
    say(format_args!("caller      {}", shown("caller")));
    say(format_args!("credential  {}", shown("credential")));
    if let Some(workspace) = field("workspace") {
        say(format_args!("workspace   {workspace}"));
    }
    let expires = field("expires").unwrap_or_else(|| "does not expire".to_owned());
    say(format_args!("expires     {expires}"));
    say(format_args!("request id  {}", shown("request_id")));
}
