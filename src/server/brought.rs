//! `POST /orders` of the admin listeners: a signed order that somebody brings here, since the database
//! that would is away.
//!
//! Who brings it need not be believed: its signatures decide, as of one that the database has.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::bundle::NOTE_BYTES_MAX;
use crate::fleet::{NotTaken, SignedOrders};

/// A note comes in so long, and is followed in so long again.
const AT_MOST: Duration = Duration::from_secs(3);

/// Takes it, and says what became of it.
pub(super) async fn take(
    request: Request<Incoming>,
    orders: Option<&Arc<SignedOrders>>,
) -> (StatusCode, String) {
    let Some(orders) = orders else {
        let text = "this gateway follows no signed orders, for want of [policy.bundle]: order it here, \
                    with --config\n";
        return (StatusCode::NOT_FOUND, text.into());
    };
    let body = Limited::new(request.into_body(), NOTE_BYTES_MAX).collect();
    let note = match timeout(AT_MOST, body).await {
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "the order did not come in time\n".into()),
        Ok(Err(_)) => {
            let text = format!("a signed order has at most {NOTE_BYTES_MAX} bytes\n");
            return (StatusCode::PAYLOAD_TOO_LARGE, text);
        }
        Ok(Ok(body)) => String::from_utf8(body.to_bytes().to_vec()),
    };
    let Ok(note) = note else {
        return (StatusCode::UNPROCESSABLE_ENTITY, "a signed order is text in UTF-8\n".into());
    };
    match timeout(AT_MOST, orders.bring(&note)).await {
        Ok(Ok(())) => (StatusCode::OK, "followed\n".into()),
        Ok(Err(NotTaken::Refused(why))) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{why}\n")),
        Ok(Err(NotTaken::Unwritten(why))) => {
            let text = format!(
                "it is not written down, and tried again; a freeze holds all the same, unless this \
                 gateway restarts: {why}\n"
            );
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
        Err(_) => {
            let text = "it is not written down yet; a freeze holds all the same\n";
            (StatusCode::SERVICE_UNAVAILABLE, text.into())
        }
    }
}
