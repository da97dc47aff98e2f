//! What is counted, logged and traced of a request, beside its way and without a say in it.

use std::pin::Pin;
use std::time::{Duration, Instant};

use http::Method;

use super::budget::Expense;
use super::{Answer, Context};
use crate::audit::Recorded;
use crate::domain::{
    CallerId, EntranceId, Operation, Outcome, Reason, TraceContext, WorkspaceName,
};
use crate::telemetry::{Metrics, RequestLine, RequestTrace, log_request};
use crate::upstream::Forwarded;

/// What is counted and logged of a request, filled in on its way.
#[derive(Default)]
pub(super) struct Account {
    pub(super) method: Method,
    pub(super) operation: Option<Operation>,
    pub(super) caller: Option<CallerId>,
    pub(super) workspace: Option<WorkspaceName>,
    pub(super) entrance: Option<EntranceId>,
    pub(super) entrance_name: Option<String>,
    pub(super) permitted: bool,
    pub(super) outcome: Option<Outcome>,
    /// The decision whose outcome this is too.
    pub(super) same_as: Option<u64>,
    /// What it costs of the caller's budget of the day.
    pub(super) expense: Option<Expense>,
    pub(super) trace: RequestTrace,
    /// Times of the stages that were reached.
    pub(super) decided: Duration,
    pub(super) recorded: Duration,
    pub(super) forwarded: Duration,
}

impl Account {
    /// Does a step, and notes how long it takes.
    pub(super) fn decide<T>(&mut self, decide: impl FnOnce() -> T) -> T {
        let (stage, since) = (self.trace.stage("decide"), Instant::now());
        let decided = decide();
        self.decided = since.elapsed();
        drop(stage);
        decided
    }

    /// Makes something durable, and notes how long that takes. The future stays where it is:
    /// an argument that is awaited would be kept twice.
    pub(super) async fn record<E, F>(
        &mut self,
        recording: Pin<&mut F>,
    ) -> Result<Recorded<E>, Reason>
    where
        F: Future<Output = Result<Recorded<E>, Reason>>,
    {
        let stage = self.trace.stage("record");
        let recorded = recording.await?;
        drop(stage);
        self.recorded = recorded.age();
        Ok(recorded)
    }

    /// Sends something to the upstream, and notes what became of it.
    pub(super) async fn forward<F>(
        &mut self,
        host: &str,
        send: impl FnOnce(Option<TraceContext>) -> F,
    ) -> Forwarded
    where
        F: Future<Output = Forwarded>,
    {
        let stage = self.trace.outgoing();
        let forwarded = send(stage.context()).await;
        let confirmed = matches!(forwarded.outcome, Outcome::Granted | Outcome::Answered);
        stage.end(!confirmed, || {
            let mut attributes = vec![
                ("http.request.method", "POST".into()),
                ("server.address", host.to_owned().into()),
                ("grantgate.outcome", forwarded.outcome.as_str().into()),
            ];
            let status = forwarded.status.map(|status| i64::from(status.as_u16()));
            attributes.extend(status.map(|s| ("http.response.status_code", s.into())));
            attributes
        });
        self.outcome = Some(forwarded.outcome);
        self.forwarded = forwarded.took.unwrap_or_default();
        forwarded
    }

    /// Counts, logs and traces an answer.
    pub(super) fn close(
        self,
        metrics: &Metrics,
        context: &Context,
        answer: &Answer,
        took: Duration,
    ) {
        let caller = self.caller.as_ref();
        metrics.answered(caller, self.permitted, answer.reason(), took.as_secs_f64());
        self.log(context, answer, took);
        self.end_trace(context, answer);
    }

    /// One line per request of a caller. Strangers, who cost nothing, must not fill the
    /// log: they are counted, and shown when debugging.
    fn log(&self, context: &Context, answer: &Answer, took: Duration) {
        let line = RequestLine {
            request_id: context.request_id,
            trace_id: self.trace.id(),
            peer: context.peer,
            caller: self.caller.as_ref(),
            operation: self.operation,
            workspace: self.workspace.as_ref(),
            entrance: self.entrance,
            entrance_name: self.entrance_name.as_deref(),
            permitted: self.permitted,
            reason: answer.reason(),
            outcome: self.outcome,
            same_as: self.same_as,
            status: answer.status().as_u16(),
            decided: self.decided,
            recorded: self.recorded,
            forwarded: self.forwarded,
            took,
        };
        if line.caller.is_some() { log_request(&line) } else { line.debug() }
    }

    /// Attributes as in OpenTelemetry's semantic conventions for HTTP servers.
    fn end_trace(self, context: &Context, answer: &Answer) {
        let (trace, status) = (self.trace, answer.status());
        trace.end(status.is_server_error(), || {
            let caller = self.caller.as_ref().map(|id| id.as_str().to_owned());
            let entrance = self.entrance.map(|id| id.to_string());
            let mut attributes = vec![
                ("http.request.method", self.method.to_string().into()),
                ("http.response.status_code", i64::from(status.as_u16()).into()),
                ("client.address", context.peer.ip().to_string().into()),
                ("grantgate.request_id", context.request_id.to_string().into()),
                ("grantgate.decision", if self.permitted { "allow" } else { "deny" }.into()),
                ("grantgate.reason", answer.reason().as_str().into()),
            ];
            let route = self.operation.map(Operation::path);
            attributes.extend(route.map(|path| ("http.route", path.into())));
            attributes.extend(caller.map(|id| ("grantgate.caller", id.into())));
            let workspace = self.workspace.as_ref().map(|name| name.as_str().to_owned());
            attributes.extend(workspace.map(|name| ("grantgate.workspace", name.into())));
            attributes.extend(entrance.map(|id| ("grantgate.entrance_id", id.into())));
            let outcome = self.outcome.map(Outcome::as_str);
            attributes.extend(outcome.map(|o| ("grantgate.outcome", o.into())));
            attributes
        });
    }
}
