//! The gateway's own route: a service learns who it is taken for, without a grant.
//!
//! It is authenticated and limited like a request that reads. It asks no policy, reaches no
//! upstream, and leaves a log line and a count; a failure to authenticate is recorded as any.

use std::time::Instant;

use bytes::Bytes;
use http::Request;
use http_body::Body;

use super::account::Account;
use super::{Answer, Context, Gateway, Refusal, route, workspace};
use crate::domain::{Effect, Reason};
use crate::seam::Identity;

impl Gateway {
    /// Answers who sent a request.
    pub(super) async fn whoami<B>(&self, context: Context, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let started = Instant::now();
        let mut account = Account { method: request.method().clone(), ..Account::default() };
        let (head, body) = request.into_parts();
        let asked = self.own(&context, &head, body.is_end_stream(), &mut account).await;
        match asked {
            Ok(identity) => {
                self.metrics.whoami.inc();
                tracing::info!(
                    request_id = %context.request_id,
                    peer = %context.peer,
                    caller = identity.caller.as_str(),
                    credential = identity.credential,
                    "whoami"
                );
                Answer::identity(identity)
            }
            Err(refusal) => {
                self.discard(body, refusal.reason).await;
                let answer = Answer::refused_own(refusal.on_own_route());
                account.close(&self.metrics, &context, &answer, started.elapsed());
                answer
            }
        }
    }

    async fn own(
        &self,
        context: &Context,
        head: &http::request::Parts,
        is_without_body: bool,
        account: &mut Account,
    ) -> Result<Identity, Refusal> {
        route::check_own(head, &self.hostnames, self.limits.headers_max)?;
        let snapshot = self.snapshot.load_full();
        let principal = self.identify(context, &head.headers, &snapshot, account).await?;
        account.caller = Some(principal.caller().clone());
        let (principal, placed) = workspace::within(&snapshot, &head.headers, principal);
        placed?;
        let _seat = self.admission.admit(principal.caller(), Effect::Reads)?;
        if !is_without_body {
            return Err(Reason::BodyNotAllowed.into());
        }
        let of_certificate = || {
            let certificate = context.certificate.as_ref().filter(|_| principal.has_certificate());
            certificate.and_then(|certificate| certificate.expires())
        };
        Ok(Identity {
            caller: principal.caller().clone(),
            credential: principal.credential().to_owned(),
            workspace: principal.workspace().cloned(),
            expires: principal.expires().or_else(of_certificate),
        })
    }
}
