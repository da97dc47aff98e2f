//! The way of a request, in one function.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, request};
use http_body::Body;

use super::account::Account;
use super::admission::Seat;
use super::duplicates::{Place, Turn, key_of};
use super::evidence::{Refused, outcome_of, record};
use super::judged::Judged;
use super::{
    Admission, Answer, Budgets, CertificateLog, Duplicates, Presented, Refusal, body, route,
    workspace,
};
use crate::audit::Journal;
use crate::authn::Principal;
use crate::config::{RecordedReads, RequestLimits};
use crate::domain::{
    self, Clock, Grantee, Host, IdempotencyKey, Operation, Outcome, Reason, RequestId,
};
use crate::fleet::Isolation;
use crate::policy::{Attempt, ByEffect, Decision, Memo, Moment, Orders, Permit, Question};
use crate::resolver::{Resolver, UnknownGrant};
use crate::seam;
use crate::snapshot::{Snapshot, Trial};
use crate::telemetry::{Metrics, Traces};
use crate::upstream::{Connections, Forwarded, Workspace};

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

/// What one worker, which serves its connections on a thread of its own, has for itself.
pub struct Worker {
    /// The audit log: what is recorded through it goes to the writer together.
    pub journal: Journal,
    /// Its connections to Seam.
    pub connections: Connections,
    /// What casbin said before.
    pub memo: Memo,
}

/// The enforcement point.
pub struct Gateway {
    /// All reloadable state. A request is decided, recorded and sent under one of its values.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// The audit log, for what no worker records.
    pub journal: Journal,
    /// Which requests that only read are recorded.
    pub recorded_reads: RecordedReads,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Freezes and exceptions, over the policy of any snapshot.
    pub orders: Arc<ArcSwap<Orders>>,
    /// Finds out later what became of grants of which nobody knows.
    pub resolver: Resolver,
    /// Grants that are in flight or are remembered.
    pub duplicates: Arc<Duplicates>,
    /// Where a gateway that hears of no orders stops.
    pub isolation: Option<Arc<Isolation>>,
    /// What callers have granted today.
    pub budgets: Budgets,
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

impl Gateway {
    /// Answers one request. It must run to its end whatever the connection does: once
    /// a permit is recorded, its outcome is too.
    pub async fn handle<B>(&self, worker: &Worker, context: Context, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if request.uri().path() == route::WHOAMI {
            // Boxed: seldom.
            return Box::pin(self.whoami(context, request)).await;
        }
        let started = Instant::now();
        let mut account = Account { method: request.method().clone(), ..Account::default() };
        let judged = self.judge(worker, &context, request, &mut account).await;
        let answer = judged.unwrap_or_else(|refusal| refusal.of(account.operation).into());
        account.close(&self.metrics, &context, &answer, started.elapsed());
        answer
    }

    /// Admit, read, parse, decide, record, forward. Each step consumes what the step before
    /// has proven, and each may refuse.
    async fn judge<B>(
        &self,
        worker: &Worker,
        context: &Context,
        request: Request<B>,
        account: &mut Account,
    ) -> Result<Answer, Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let limits = &self.limits;
        let early = self.snapshot.load_full();
        let admitted = self.admit(context, &head, &early, account).await;
        let (operation, principal, seat) = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => {
                self.discard(body, refusal.reason).await;
                return Err(refusal);
            }
        };
        let received =
            body::read(operation, &head, body, limits.body_bytes_max, limits.body_timeout).await;
        let deadline = Instant::now() + limits.answer_deadline;

        // From here on one snapshot. A caller that was slow with its body gets nothing
        // that was taken from it meanwhile.
        let snapshot = self.snapshot.load_full();
        let principal = match Arc::ptr_eq(&early, &snapshot) {
            true => principal,
            false => self
                .authenticate(context, &head.headers, &snapshot)
                .map_err(|unproven| self.refuse_stranger(context, unproven, account))?,
        };
        account.caller = Some(principal.caller().clone());
        let (principal, placed) = workspace::within(&snapshot, &head.headers, principal);
        account.workspace = principal.workspace().cloned();
        let key = key_of(operation, &head.headers);
        let parsed = placed.and(key.clone()).map_err(Refusal::from);
        let parsed = parsed.and_then(|_| received?.request());
        let key = key.ok().flatten();
        let asked = match parsed {
            Ok(parsed) => parsed,
            Err(refusal) => {
                let reason = refusal.reason;
                let refused = self.refused(context, &snapshot, principal, (operation, key), reason);
                // Boxed: seldom, and of what a request takes of memory this would be a fifth.
                let _recorded = Box::pin(record(worker, refused)).await?;
                return Err(refusal);
            }
        };
        let entrance = asked.0.entrance();
        account.entrance = entrance;
        account.entrance_name = entrance.and_then(|id| snapshot.name_of(id)).map(str::to_owned);

        let attempt = self.attempt(context, &snapshot, principal, asked, key);
        let decision = self.decide(worker, &snapshot, attempt, account);
        // What is sent already, or was, costs nothing.
        let (decision, turn) = self.turn(&worker.journal, decision, deadline).await;
        let (decision, expense) = match turn {
            Turn::Own(_) => self.within_budget(&snapshot.callers, decision).await,
            Turn::Again(_) => (decision, None),
        };
        match (decision, turn) {
            (Decision::Denial(denial), turn) => {
                turn.refused(denial.reason());
                // Durable before it is answered.
                let recorded = account.record(pin!(record(worker, denial))).await?;
                Err(recorded.evidence().reason().into())
            }
            (Decision::Permit(permit), Turn::Again(again)) => {
                account.permitted = true;
                let answering = self.answer_again(worker, permit, again, deadline, account);
                Ok(Box::pin(answering).await?.holding(seat))
            }
            (Decision::Permit(permit), Turn::Own(place)) => {
                account.permitted = true;
                // Boxed: most of what a request takes of memory is for this.
                account.expense = expense;
                let forwarding = self.forward(worker, &snapshot, permit, place, deadline, account);
                let answer = Box::pin(forwarding).await?;
                // What it holds of Seam's answer takes memory until the caller has it.
                Ok(answer.holding(seat))
            }
        }
    }

    /// Takes the body of a refused request off its connection, as far as there is room for it.
    /// For a network that has used up its budget of failures nothing is read: its connection
    /// ends.
    pub(super) async fn discard<B>(&self, body: B, refused: Reason)
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let read = refused != Reason::AuthenticationThrottled;
        if let Some(_discarding) = self.admission.discard().filter(|_| read) {
            body::discard(body, self.limits.body_bytes_max).await;
        }
    }

    /// Route, credential, and a seat among the requests in flight: what is refused here is
    /// refused before its body is looked at.
    async fn admit(
        &self,
        context: &Context,
        head: &request::Parts,
        snapshot: &Snapshot,
        account: &mut Account,
    ) -> Result<(Operation, Principal, Seat), Refusal> {
        let arrived = SystemTime::now();
        account.operation = Operation::of_path(head.uri.path());
        let operation = route::check(head, &self.hostnames, self.limits.headers_max)?;
        let principal = self.identify(context, &head.headers, snapshot, account).await?;
        account.caller = Some(principal.caller().clone());
        // Not of strangers: neither their traces nor their word for one.
        account.trace = self.traces.request(route::trace_of(head), arrived);
        let seat = self.admission.admit(principal.caller(), operation.effect())?;
        Ok((operation, principal, seat))
    }

    /// What is asked, as policy and the audit log see it; with what a policy on trial would
    /// say where it is about one entrance.
    fn attempt(
        &self,
        context: &Context,
        snapshot: &Snapshot,
        principal: Principal,
        (request, body_sha256): (domain::Request, [u8; 32]),
        key: Option<IdempotencyKey>,
    ) -> Attempt {
        let (request_id, peer, at) = (context.request_id, context.peer, self.clock.now());
        let trial = match (snapshot.trial(), request.entrance()) {
            (Some(Trial::Judged(policy)), Some(entrance)) => {
                let grantee = request.grantee().as_ref().map(Grantee::kind);
                let (caller, act) = (principal.caller(), request.operation().act());
                let (moment, workspace) = (Moment { at, grantee }, principal.workspace());
                Some(policy.opinion(Question { caller, act, entrance, workspace, moment }))
            }
            (Some(Trial::Judged(_) | Trial::Invalid(_)) | None, _) => None,
        };
        Attempt {
            request_id,
            peer,
            principal,
            request,
            body_sha256,
            key,
            is_key_unconfirmed: false,
            at,
            trial,
        }
    }

    fn decide(
        &self,
        worker: &Worker,
        snapshot: &Snapshot,
        attempt: Attempt,
        account: &mut Account,
    ) -> Decision {
        let opinion = attempt.trial.clone();
        let (policy, orders) = (&snapshot.policy, self.orders.load());
        let decision = account.decide(|| policy.decide_under(attempt, &worker.memo, &orders));
        self.metrics.decision_duration.observe(account.decided.as_secs_f64());
        // Of what an order decided, a policy on trial says nothing.
        if let Some(opinion) = opinion.filter(|_| !decision.reason().is_by_order()) {
            let agreement = opinion.agreement(matches!(decision, Decision::Permit(_)));
            self.metrics.candidate_decisions.with_label_values(&[agreement]).inc();
        }
        self.unless_isolated(decision)
    }

    /// A permit to grant is none where it cannot be heard whether grants are frozen.
    fn unless_isolated(&self, decision: Decision) -> Decision {
        let is_isolated = self.isolation.as_ref().is_some_and(|it| it.is_too_long().is_some());
        match decision {
            Decision::Permit(permit) if is_isolated => {
                match permit.attempt().request.operation().act().gives_access() {
                    true => Decision::Denial(permit.refuse(Reason::Isolated)),
                    false => Decision::Permit(permit),
                }
            }
            Decision::Permit(_) | Decision::Denial(_) => decision,
        }
    }

    /// Records a permit, sends it, and records what became of it.
    async fn forward(
        &self,
        worker: &Worker,
        snapshot: &Snapshot,
        permit: Permit,
        place: Option<Place<'_>>,
        deadline: Instant,
        account: &mut Account,
    ) -> Result<Answer, Refusal> {
        let judged = Judged::of(&permit);
        let workspace = snapshot.workspaces.find(judged.workspace.as_ref());
        // It was chosen among these.
        let Workspace { upstream, .. } = workspace.ok_or(Reason::InternalError)?;
        let connections = &worker.connections;
        let budget = || deadline.saturating_duration_since(Instant::now());
        let (decision_seq, mut forwarded) = match (self.recorded_reads, permit.by_effect()) {
            (RecordedReads::Denied, ByEffect::Reads(read)) => {
                let send = |trace| upstream.send_read(connections, read, budget(), trace);
                (None, account.forward(upstream.host(), send).await)
            }
            (RecordedReads::All | RecordedReads::Denied, permit) => {
                // Durable before a byte is sent. If the process dies after this line,
                // the next start closes the decision: of a grant as unknown.
                let recording = pin!(record(worker, permit.into_permit()));
                let recorded = match account.record(recording).await {
                    Ok(recorded) => recorded,
                    Err(reason) => {
                        self.budgets.give_back(account.expense.take());
                        Turn::Own(place).refused(reason);
                        return Err(reason.into());
                    }
                };
                let seq = recorded.seq();
                if let Some(place) = &place {
                    place.recorded(seq);
                }
                let stopped = || judged.stopped(snapshot, &self.orders.load(), self.clock.now());
                let send = |trace| upstream.send(connections, recorded, budget(), trace, &stopped);
                (Some(seq), account.forward(upstream.host(), send).await)
            }
        };
        if forwarded.outcome == Outcome::NotSent {
            self.budgets.give_back(account.expense.take());
        }
        if forwarded.reason == Reason::AllowedByRule {
            forwarded.reason = judged.permitted_by;
        }
        let confirmation = forwarded.confirmation.take();
        let shown = confirmation.map(|found| judged.filter(snapshot, found)).transpose();
        let shown = shown.unwrap_or_else(|reason| {
            forwarded.reason = reason;
            None
        });
        let shown = shown.flatten();
        self.complete(worker, &judged, decision_seq, place, &forwarded, shown.as_ref());
        Ok(Answer::forwarded(judged.operation, forwarded, shown))
    }

    /// Records and counts what became of a request. The record is queued before the answer is
    /// sent; it cannot fail the caller any more.
    fn complete(
        &self,
        worker: &Worker,
        judged: &Judged,
        decision_seq: Option<u64>,
        place: Option<Place<'_>>,
        forwarded: &Forwarded,
        shown: Option<&seam::Shown>,
    ) {
        if let Some(seq) = decision_seq {
            let entrances = match shown {
                Some(seam::Shown::Read { entrances, .. }) => Some(*entrances),
                Some(seam::Shown::Granted) | None => None,
            };
            let (request_id, operation) = (judged.request_id, judged.operation);
            worker.journal.complete(&outcome_of(request_id, operation, seq, forwarded, entrances));
            // Before anybody is asked what became of it.
            if let Some(place) = place {
                place.end(forwarded);
            }
            if let (Outcome::Unknown, Some(entrance)) = (forwarded.outcome, judged.entrance) {
                let (grantee, at) = (judged.grantee, judged.moment.at);
                let workspace = judged.workspace.clone();
                let decision_seq = seq;
                let unknown =
                    UnknownGrant { request_id, decision_seq, workspace, entrance, grantee, at };
                self.resolver.add(unknown);
            }
        }
        self.metrics.completed(judged.workspace.as_ref(), forwarded.outcome);
        if forwarded.reason == Reason::UpstreamKeyRefused {
            self.metrics.upstream_key_refusals.inc();
        }
        if let Some(took) = forwarded.took {
            self.metrics.upstream_duration.observe(took.as_secs_f64());
        }
    }

    /// That an authenticated caller sent something that is no request of the operation's.
    fn refused(
        &self,
        context: &Context,
        snapshot: &Snapshot,
        principal: Principal,
        (operation, key): (Operation, Option<IdempotencyKey>),
        reason: Reason,
    ) -> Refused {
        Refused {
            request_id: context.request_id,
            peer: context.peer,
            principal,
            operation,
            key,
            reason,
            revision: snapshot.policy.revision().clone(),
            at: self.clock.now(),
        }
    }
}
