//! A stand-in for Seam, over TLS, with known doors and people.
//!
//! For the demo, for development and for the tests of callers. It answers as Seam does
//! where access to entrances is granted and where they are listed, keeps what it granted
//! in memory, and shows that under `GET /_sandbox/grants`. It is no part of the gateway's
//! request path.

mod fixtures;
mod listing;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use serde_json::json;

use crate::domain::{
    self, EntranceId, GrantRequest, Grantee, ListEntrances, Operation, RequestId, Secret,
};
use crate::seam::{self, Params, SeamError};
pub use fixtures::{Fixture, Fixtures};

/// The most grants that are remembered; older ones are forgotten.
const GRANTS_MAX: usize = 100_000;

/// A sandbox: cheap to clone, one state.
#[derive(Clone)]
pub struct Sandbox {
    state: Arc<State>,
}

struct State {
    fixtures: Fixtures,
    key: Secret,
    grants: Mutex<std::collections::VecDeque<GrantRequest>>,
}

type Refused = (StatusCode, SeamError);

fn invalid(error: SeamError) -> Refused {
    (StatusCode::BAD_REQUEST, error)
}

impl Sandbox {
    /// A sandbox that knows the built-in fixtures and one workspace key.
    #[must_use]
    pub fn new(key: Secret) -> Self {
        let grants = Mutex::default();
        Self { state: Arc::new(State { fixtures: Fixtures::built_in(), key, grants }) }
    }

    /// What was granted, oldest first.
    #[must_use]
    pub fn grants(&self) -> Vec<GrantRequest> {
        self.lock().iter().copied().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, std::collections::VecDeque<GrantRequest>> {
        self.state.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let request_id = RequestId::generate();
        let path = request.uri().path();
        let result = match (request.method(), Operation::of_path(path)) {
            (&Method::GET, None) if path == "/_sandbox/grants" => Ok(self.show_grants()),
            (&Method::POST, None) if path == seam::ACCESSIBLE_ENTRANCES_PATH => {
                self.accessible(request).await
            }
            (_, None) => Err((StatusCode::NOT_FOUND, SeamError::new("not_found", "no such route"))),
            (&Method::POST, Some(operation)) => self.operate(operation, request).await,
            // Seam takes the operations that read as GET too; the gateway does not send any.
            (_, Some(_)) => Err((
                StatusCode::METHOD_NOT_ALLOWED,
                SeamError::new("method_not_allowed", "only POST accepted"),
            )),
        };
        let (status, body) = match result {
            Ok(body) => (StatusCode::OK, body),
            Err((status, error)) => (status, seam::error_body(&error, request_id).into()),
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        if let Ok(value) = HeaderValue::from_str(&request_id.to_string()) {
            headers.insert(seam::REQUEST_ID_HEADER, value);
        }
        response
    }

    /// The body of a request that has the key.
    async fn body(&self, request: Request<Incoming>) -> Result<Bytes, Refused> {
        let expected = format!("Bearer {}", self.state.key.expose());
        let given = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
        if given != Some(expected.as_bytes()) {
            let error = SeamError::new("unauthorized", "the sandbox does not know this key");
            return Err((StatusCode::UNAUTHORIZED, error));
        }
        let body = Limited::new(request.into_body(), 64 * 1024).collect().await;
        let body = body.map_err(|_| invalid(SeamError::invalid_input(None, "unreadable body")))?;
        Ok(body.to_bytes())
    }

    async fn operate(
        &self,
        operation: Operation,
        request: Request<Incoming>,
    ) -> Result<Bytes, Refused> {
        let body = self.body(request).await?;
        let asked = seam::parse(operation, Params::Body(&body))
            .map_err(|e| invalid(SeamError::invalid_input(e.field, e.message)))?;
        match asked {
            domain::Request::GrantAccess(grant) => self.grant(grant),
            domain::Request::ListEntrances(list) => Self::list(&list),
            domain::Request::GetEntrance(id) => Self::get(id),
        }
    }

    /// What a person can open: what was granted here.
    async fn accessible(&self, request: Request<Incoming>) -> Result<Bytes, Refused> {
        let body = self.body(request).await?;
        let asked = serde_json::from_slice::<serde_json::Value>(&body).unwrap_or_default();
        let is = |field, id: String| asked.get(field).is_some_and(|asked| *asked == id);
        let is_of = |grant: &&GrantRequest| match grant.grantee {
            Grantee::AcsUser(id) => is("acs_user_id", id.to_string()),
            Grantee::UserIdentity(id) => is("user_identity_id", id.to_string()),
        };
        let grants = self.grants();
        let ids = grants.iter().filter(is_of).map(|grant| grant.entrance);
        Ok(listing::some(Fixtures::entrances(), &ids.collect::<Vec<_>>()).into())
    }

    fn list(asked: &ListEntrances) -> Result<Bytes, Refused> {
        listing::page(Fixtures::entrances(), asked).map(Bytes::from).map_err(invalid)
    }

    fn get(id: EntranceId) -> Result<Bytes, Refused> {
        let found = listing::one(Fixtures::entrances(), id);
        found.map(Bytes::from).map_err(|error| (StatusCode::NOT_FOUND, error))
    }

    fn grant(&self, grant: GrantRequest) -> Result<Bytes, Refused> {
        self.state.fixtures.check(&grant).map_err(|error| (StatusCode::NOT_FOUND, error))?;
        let mut grants = self.lock();
        if grants.len() == GRANTS_MAX {
            grants.pop_front();
        }
        grants.push_back(grant);
        Ok(Bytes::from_static(seam::success_body()))
    }

    fn show_grants(&self) -> Bytes {
        let shown: Vec<_> = self
            .grants()
            .iter()
            .map(|grant| match grant.grantee {
                Grantee::AcsUser(id) => {
                    json!({"acs_entrance_id": grant.entrance.to_string(), "acs_user_id": id.to_string()})
                }
                Grantee::UserIdentity(id) => {
                    json!({"acs_entrance_id": grant.entrance.to_string(), "user_identity_id": id.to_string()})
                }
            })
            .collect();
        json!({ "grants": shown, "ok": true }).to_string().into()
    }
}

impl tower::Service<Request<Incoming>> for Sandbox {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let sandbox = self.clone();
        Box::pin(async move { Ok(sandbox.answer(request).await) })
    }
}
