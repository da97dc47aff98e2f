//! Sends traces to a collector: OTLP over HTTP with protobuf bodies, set up by the
//! environment variables of the OpenTelemetry specification ("OpenTelemetry Protocol
//! Exporter" and "Environment Variable Specification").

use std::io::Read as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::config::Environment;
use crate::domain::{Problem, VERSION, innermost};
use crate::files::open_file;
use crate::telemetry::Traces;
use crate::tls::{ClientTls, PemFile, Roots};

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum OtlpError {
    /// A variable asks for what there is not.
    #[error("environment variable {0}: `{1}` is not supported; {2}")]
    Unsupported(&'static str, String, &'static str),
    /// The authorities cannot be read.
    #[error("environment variable {0}: {1}")]
    Authorities(&'static str, Problem),
    /// The client or the exporter refuses its settings.
    #[error("traces cannot be sent: {0}")]
    Setup(String),
}

fn read(file: &str) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_file(Path::new(file))?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Traces as the environment asks for; off when it names no endpoint. Call it outside of
/// an asynchronous runtime.
///
/// # Errors
/// [`OtlpError`]: a variable is wrong.
pub(super) fn traces_from(environment: &Environment) -> Result<Traces, OtlpError> {
    let get = |name: &'static str| {
        environment.get(name).filter(|text| !text.is_empty()).map(|text| (name, text.as_str()))
    };
    let either = |of_traces, of_all| get(of_traces).or_else(|| get(of_all));
    let endpoint = either("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT");
    let disabled = get("OTEL_SDK_DISABLED").is_some_and(|(_, v)| v.eq_ignore_ascii_case("true"));
    match get("OTEL_TRACES_EXPORTER") {
        Some((_, "none")) => return Ok(Traces::default()),
        Some((_, "otlp")) | None => {}
        Some((name, other)) => {
            return Err(OtlpError::Unsupported(name, other.to_owned(), "set otlp or none"));
        }
    }
    if disabled || endpoint.is_none() {
        return Ok(Traces::default());
    }
    let protocol = either("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL");
    if let Some((name, other)) = protocol.filter(|(_, text)| *text != "http/protobuf") {
        return Err(OtlpError::Unsupported(name, other.to_owned(), "set http/protobuf"));
    }
    let authorities =
        either("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE");
    let setup = |error: &(dyn std::error::Error + 'static)| OtlpError::Setup(innermost(error));
    let tls = match authorities {
        None => ClientTls::new(&Roots::System).map_err(|error| setup(&error))?,
        Some((name, file)) => {
            let pem = read(file).map_err(|error| {
                let text = format!("cannot be read: {error}");
                OtlpError::Authorities(name, Problem::of_file(file, text))
            })?;
            let pem = PemFile { name: file, bytes: &pem };
            ClientTls::new(&Roots::Only(pem))
                .map_err(|error| OtlpError::Authorities(name, error.into_problem(file)))?
        }
    };
    let timeout = either("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT");
    let timeout_ms = timeout.map_or(Ok(10_000), |(name, text)| {
        let wrong = || OtlpError::Unsupported(name, text.to_owned(), "set milliseconds");
        text.parse().map_err(|_| wrong())
    })?;
    let client = reqwest::blocking::Client::builder()
        .timeout(Duration::from_millis(timeout_ms))
        .tls_backend_preconfigured(tls.into_config())
        // The headers of OTEL_EXPORTER_OTLP_HEADERS are for the collector only.
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| setup(&error))?;
    let client = Collector { client, failure: Mutex::default() };
    let exporter = SpanExporter::builder().with_http().with_http_client(client).build();
    let mut resource = Resource::builder();
    let attributes = get("OTEL_RESOURCE_ATTRIBUTES").map_or("", |(_, text)| text);
    if get("OTEL_SERVICE_NAME").is_none() && !attributes.contains("service.name=") {
        resource = resource.with_service_name("grantgate");
    }
    let version = opentelemetry::KeyValue::new("service.version", VERSION);
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter.map_err(|error| setup(&error))?)
        .with_resource(resource.with_attribute(version).build())
        .build();
    Ok(Traces::new(provider))
}

/// The client of the exporter, which itself only says "network error". Each new cause is
/// logged once, until a request succeeds.
#[derive(Debug)]
struct Collector {
    client: reqwest::blocking::Client,
    failure: Mutex<Option<String>>,
}

impl Collector {
    fn note(&self, failure: Option<String>) {
        let mut last = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cause) = failure.as_ref().filter(|_| *last != failure) {
            tracing::warn!(cause, "the collector takes no traces");
        }
        *last = failure;
    }
}

impl HttpClient for Collector {
    fn send_bytes<'client, 'sending>(
        &'client self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'sending>>
    where
        'client: 'sending,
        Self: 'sending,
    {
        Box::pin(async move {
            let answer = self.client.send_bytes(request).await;
            // The cause, not the error around it: that one names the URL.
            self.note(answer.as_ref().err().map(|error| innermost(&**error)));
            answer
        })
    }
}
