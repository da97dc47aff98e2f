//! Traces: what a request did when, for whoever collects it.
//!
//! Spans are named and described by OpenTelemetry's semantic conventions for HTTP.
//! Without a provider nothing is recorded, and a trace that the caller began is passed
//! on as it is.

use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use crate::domain::TraceContext;

/// For the last spans, at the end.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// Records traces, or does not. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Traces(Option<(SdkTracerProvider, SdkTracer)>);

impl Traces {
    /// Traces go where this provider's processor takes them.
    #[must_use]
    pub fn new(provider: SdkTracerProvider) -> Self {
        let tracer = provider.tracer("grantgate");
        Self(Some((provider, tracer)))
    }

    /// The trace of a request that arrived at `since`. The sampler decides whether it
    /// is recorded; by default, what the caller decided, and always where it did not.
    pub(crate) fn request(&self, parent: Option<TraceContext>, since: SystemTime) -> RequestTrace {
        let Some((_, tracer)) = &self.0 else { return RequestTrace { parent, span: None } };
        let outside = parent.map_or_else(Context::new, |parent| {
            let flags = if parent.sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
            let (trace, span) = (parent.trace_id.to_be_bytes(), parent.parent_id.to_be_bytes());
            let (trace, span) = (TraceId::from_bytes(trace), SpanId::from_bytes(span));
            let remote = SpanContext::new(trace, span, flags, true, TraceState::default());
            Context::new().with_remote_span_context(remote)
        });
        let span = SpanBuilder::from_name("POST /acs/entrances/grant_access")
            .with_kind(SpanKind::Server)
            .with_start_time(since);
        let span = tracer.build_with_context(span, &outside);
        RequestTrace { parent, span: Some((tracer.clone(), Context::new().with_span(span))) }
    }

    /// Sends what waits; blocks for at most three seconds.
    pub fn shutdown(&self) {
        if let Some((provider, _)) = &self.0
            && let Err(error) = provider.shutdown_with_timeout(SHUTDOWN)
        {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// What is told of a span.
pub(crate) type Attributes = Vec<(&'static str, Value)>;

/// The trace of one request.
#[derive(Default)]
pub(crate) struct RequestTrace {
    parent: Option<TraceContext>,
    span: Option<(SdkTracer, Context)>,
}

impl RequestTrace {
    /// The trace's id.
    pub(crate) fn id(&self) -> Option<u128> {
        let of_span = self.span.as_ref().map(|(_, context)| context_of(context).trace_id);
        of_span.or(self.parent.map(|parent| parent.trace_id))
    }

    /// A part of the request, until what is returned is dropped.
    pub(crate) fn stage(&self, name: &'static str) -> Stage {
        self.begin(name, SpanKind::Internal)
    }

    /// The request to the upstream.
    pub(crate) fn outgoing(&self) -> Stage {
        self.begin("POST", SpanKind::Client)
    }

    fn begin(&self, name: &'static str, kind: SpanKind) -> Stage {
        let span = self.span.as_ref().map(|(tracer, context)| {
            let span = SpanBuilder::from_name(name).with_kind(kind);
            Context::new().with_span(tracer.build_with_context(span, context))
        });
        Stage { parent: self.parent, span }
    }

    /// Ends it. `failed` is for answers that are the gateway's or Seam's fault.
    pub(crate) fn end(self, failed: bool, attributes: impl FnOnce() -> Attributes) {
        let Self { parent, span } = self;
        Stage { parent, span: span.map(|(_, context)| context) }.end(failed, attributes);
    }
}

/// A part of a request. It ends when it is dropped.
pub(crate) struct Stage {
    parent: Option<TraceContext>,
    span: Option<Context>,
}

impl Stage {
    /// What to tell the other side of a request.
    pub(crate) fn context(&self) -> Option<TraceContext> {
        self.span.as_ref().map(context_of).or(self.parent)
    }

    /// Ends it with more to tell.
    pub(crate) fn end(self, failed: bool, attributes: impl FnOnce() -> Attributes) {
        let Some(context) = &self.span else { return };
        let span = context.span();
        if span.is_recording() {
            span.set_attributes(attributes().into_iter().map(|(k, v)| KeyValue::new(k, v)));
            if failed {
                span.set_status(Status::error(""));
            }
        }
    }
}

fn context_of(context: &Context) -> TraceContext {
    let span = context.span();
    let of = span.span_context();
    TraceContext {
        trace_id: u128::from_be_bytes(of.trace_id().to_bytes()),
        parent_id: u64::from_be_bytes(of.span_id().to_bytes()),
        sampled: of.is_sampled(),
    }
}
