//! The way of a request, in one function.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::Body;

use super::evidence::{Refused, outcome_of, sha256};
use super::strangers::Unproven;
use super::{Admission, Answer, CertificateLog, Presented, Refusal, body, route};
use crate::audit::{Evidence, Journal, Recorded};
use crate::authn::{self, Principal};
use crate::config::RequestLimits;
use crate::domain::{CallerId, Clock, EntranceId, GrantRequest, Host, Outcome, Reason, RequestId};
use crate::policy::{Attempt, Decision, Moment, Permit};
use crate::seam;
use crate::snapshot::{Candidate, Snapshot};
use crate::telemetry::{Metrics, RequestTrace, Traces};

/// What is known of a request beside the request itself.
#[derive(Debug, Clone)]
pub struct Context {
    /// The gateway's id of the request.
    pub request_id: RequestId,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// Its client certificate.
    pub certificate: Option<Arc<Presented>>,
}

/// The enforcement point.
pub struct Gateway {
    /// All reloadable state. A request is decided, recorded and sent under one of its values.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// The audit log.
    pub journal: Journal,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// How much work is taken on.
    pub admission: Admission,
    /// Limits of requests.
    pub limits: RequestLimits,
    /// Host names that requests may name; empty allows any.
    pub hostnames: Vec<Host>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Where traces go.
    pub traces: Traces,
    /// Tells of certificates that were refused.
    pub certificate_log: CertificateLog,
}

/// What is counted and logged of a request, filled in on its way.
#[derive(Default)]
struct Account {
    caller: Option<CallerId>,
    entrance: Option<EntranceId>,
    entrance_name: Option<String>,
    permitted: bool,
    outcome: Option<Outcome>,
    trace: RequestTrace,
    /// Times of the stages that were reached.
    decided: Duration,
    recorded: Duration,
    forwarded: Duration,
}

impl Account {
    /// One line per request of a caller. Strangers, who cost nothing, must not fill the
    /// log: they are counted, and shown when debugging.
    fn log(&self, context: &Context, answer: &Answer, took: Duration) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    request_id = %context.request_id,
                    trace_id = self.trace.id(),
                    peer = %context.peer,
                    caller = self.caller.as_ref().map(CallerId::as_str),
                    entrance = self.entrance.map(tracing::field::display),
                    entrance_name = self.entrance_name.as_deref(),
                    decision = if self.permitted { "allow" } else { "deny" },
                    reason = answer.reason().as_str(),
                    outcome = self.outcome.map(Outcome::as_str),
                    status = answer.status().as_u16(),
                    decided_us = micros(self.decided),
                    recorded_us = micros(self.recorded),
                    forwarded_us = micros(self.forwarded),
                    took_us = micros(took),
                    "request"
                )
            };
        }
        if self.caller.is_some() { line!(info) } else { line!(debug) }
    }

    /// Attributes as in OpenTelemetry's semantic conventions for HTTP servers.
    fn end_trace(self, context: &Context, answer: &Answer) {
        let (trace, status) = (self.trace, answer.status());
        trace.end(status.is_server_error(), || {
            let caller = self.caller.as_ref().map(|id| id.as_str().to_owned());
            let entrance = self.entrance.map(|id| id.to_string());
            let mut attributes = vec![
                ("http.request.method", "POST".into()),
                ("http.route", seam::GRANT_ACCESS_PATH.into()),
                ("http.response.status_code", i64::from(status.as_u16()).into()),
                ("client.address", context.peer.ip().to_string().into()),
                ("grantgate.request_id", context.request_id.to_string().into()),
                ("grantgate.decision", if self.permitted { "allow" } else { "deny" }.into()),
                ("grantgate.reason", answer.reason().as_str().into()),
            ];
            attributes.extend(caller.map(|id| ("grantgate.caller", id.into())));
            attributes.extend(entrance.map(|id| ("grantgate.entrance_id", id.into())));
            let outcome = self.outcome.map(Outcome::as_str);
            attributes.extend(outcome.map(|o| ("grantgate.outcome", o.into())));
            attributes
        });
    }
}

impl Gateway {
    /// Answers one request. It must run to its end whatever the connection does: once
    /// a permit is recorded, its outcome is too.
    pub async fn handle<B>(&self, context: Context, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let started = Instant::now();
        let mut account = Account::default();
        let answer = self.judge(&context, request, &mut account).await.unwrap_or_else(Answer::from);
        let took = started.elapsed();
        let caller = account.caller.as_ref();
        self.metrics.answered(caller, account.permitted, answer.reason(), took.as_secs_f64());
        account.log(&context, &answer, took);
        account.end_trace(&context, &answer);
        answer
    }

    /// Authenticate, parse, decide, record, forward, complete. Each step consumes what
    /// the step before has proven, and each may refuse.
    async fn judge<B>(
        &self,
        context: &Context,
        request: Request<B>,
        account: &mut Account,
    ) -> Result<Answer, Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let arrived = SystemTime::now();
        let early = self.snapshot.load_full();
        let admitted = route::check(&head, &self.hostnames, self.limits.headers_max)
            .and_then(|()| {
                let known = self.authenticate(context, &head.headers, &early);
                known.map_err(|unproven| self.refuse_stranger(context, unproven))
            })
            .map_err(Refusal::from)
            .and_then(|principal| {
                account.caller = Some(principal.caller().clone());
                // Not of strangers: neither their traces nor their word for one.
                account.trace = self.traces.request(route::trace_of(&head), arrived);
                self.admission.admit(principal.caller()).map(|place| (principal, place))
            });
        let (principal, _place) = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => {
                if let Some(_discarding) = self.admission.discard() {
                    body::discard(body, self.limits.body_bytes_max).await;
                }
                return Err(refusal);
            }
        };

        let limits = &self.limits;
        let bytes = body::read(&head, body, limits.body_bytes_max, limits.body_timeout).await;
        let deadline = Instant::now() + limits.answer_deadline;
        // From here on one snapshot. A caller that was slow with its body gets nothing
        // that was taken from it meanwhile.
        let snapshot = self.snapshot.load_full();
        let principal = if Arc::ptr_eq(&early, &snapshot) {
            principal
        } else {
            let known = self.authenticate(context, &head.headers, &snapshot);
            known.map_err(|unproven| self.refuse_stranger(context, unproven))?
        };
        account.caller = Some(principal.caller().clone());
        let (grant, body_sha256) = match parse(bytes) {
            Ok(parsed) => parsed,
            Err(refusal) => return self.refuse(context, &snapshot, principal, refusal).await,
        };

        let attempt = Attempt {
            request_id: context.request_id,
            peer: context.peer,
            principal,
            grant,
            body_sha256,
            at: self.clock.now(),
            candidate: None,
        };
        let attempt = self.with_opinion(&snapshot, attempt);
        account.entrance = Some(grant.entrance);
        account.entrance_name = snapshot.name_of(grant.entrance).map(str::to_owned);
        let (stage, since) = (account.trace.stage("decide"), Instant::now());
        let opinion = attempt.candidate.clone();
        let decision = snapshot.policy.decide(attempt);
        account.decided = since.elapsed();
        drop(stage);
        self.metrics.decision_duration.observe(account.decided.as_secs_f64());
        if let Some(opinion) = opinion {
            let agreement = opinion.agreement(matches!(decision, Decision::Permit(_)));
            self.metrics.candidate_decisions.with_label_values(&[agreement]).inc();
        }

        match decision {
            Decision::Denial(denial) => {
                // Durable before it is answered.
                let stage = account.trace.stage("record");
                let recorded = self.record(denial).await?;
                drop(stage);
                account.recorded = recorded.age();
                Err(recorded.evidence().reason().into())
            }
            Decision::Permit(permit) => {
                account.permitted = true;
                // Durable before a byte is sent. If the process dies after this line,
                // the next start closes the decision as unknown.
                let stage = account.trace.stage("record");
                let recorded = self.record(permit).await?;
                drop(stage);
                account.recorded = recorded.age();
                Ok(self.forward(&snapshot, recorded, deadline, account).await)
            }
        }
    }

    /// What a candidate policy would say, for the record.
    fn with_opinion(&self, snapshot: &Snapshot, attempt: Attempt) -> Attempt {
        let Some(Candidate::Judged(candidate)) = snapshot.candidate() else {
            return attempt;
        };
        let moment = Moment { at: attempt.at, grantee: attempt.grant.grantee.kind() };
        let (caller, entrance) = (attempt.principal.caller(), attempt.grant.entrance);
        let opinion = candidate.opinion(caller, entrance, moment);
        Attempt { candidate: Some(opinion), ..attempt }
    }

    /// Who is calling, as this snapshot knows callers and certificates.
    fn authenticate(
        &self,
        context: &Context,
        headers: &HeaderMap,
        snapshot: &Snapshot,
    ) -> Result<Principal, Unproven> {
        let clients = snapshot.certificates.clients.as_ref();
        let certificate = context.certificate.as_ref().map(|c| c.verified(clients)).transpose()?;
        let now = self.clock.now();
        Ok(authn::authenticate(headers, certificate, &snapshot.callers, now)?)
    }

    /// Sends a recorded permit and records what became of it.
    async fn forward(
        &self,
        snapshot: &Snapshot,
        permit: Recorded<Permit>,
        deadline: Instant,
        account: &mut Account,
    ) -> Answer {
        let (request_id, decision_seq) = (permit.evidence().attempt().request_id, permit.seq());
        let budget = deadline.saturating_duration_since(Instant::now());
        let stage = account.trace.outgoing();
        let forwarded = snapshot.upstream.grant(permit, budget, stage.context()).await;
        stage.end(forwarded.outcome != Outcome::Granted, || {
            let mut attributes = vec![
                ("http.request.method", "POST".into()),
                ("server.address", snapshot.upstream.host().to_owned().into()),
                ("grantgate.outcome", forwarded.outcome.as_str().into()),
            ];
            let status = forwarded.status.map(|status| i64::from(status.as_u16()));
            attributes.extend(status.map(|s| ("http.response.status_code", s.into())));
            attributes
        });
        // Queued before the answer is sent; it cannot fail the caller any more.
        self.journal.complete(&outcome_of(request_id, decision_seq, &forwarded));
        self.metrics.completed(forwarded.outcome);
        if forwarded.reason == Reason::UpstreamKeyRefused {
            self.metrics.upstream_key_refusals.inc();
        }
        account.outcome = Some(forwarded.outcome);
        account.forwarded = forwarded.took.unwrap_or_default();
        if let Some(took) = forwarded.took {
            self.metrics.upstream_duration.observe(took.as_secs_f64());
        }
        forwarded.into()
    }

    /// Records that an authenticated caller sent something that is no grant request.
    async fn refuse(
        &self,
        context: &Context,
        snapshot: &Snapshot,
        principal: Principal,
        refusal: Refusal,
    ) -> Result<Answer, Refusal> {
        let refused = Refused {
            request_id: context.request_id,
            peer: context.peer,
            principal,
            reason: refusal.reason,
            revision: snapshot.policy.revision().clone(),
            at: self.clock.now(),
        };
        let _recorded = self.record(refused).await?;
        Err(refusal)
    }

    async fn record<E: Evidence>(&self, evidence: E) -> Result<Recorded<E>, Reason> {
        self.journal.record(evidence).await.map_err(|error| {
            tracing::error!(%error, "a decision could not be made durable");
            Reason::AuditUnavailable
        })
    }
}

fn parse(bytes: Result<Bytes, Reason>) -> Result<(GrantRequest, [u8; 32]), Refusal> {
    let bytes = bytes?;
    let grant = seam::parse_grant(&bytes)?;
    Ok((grant, sha256(&bytes)))
}
