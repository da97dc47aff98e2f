//! Records as they are written: server-sent events (HTML Standard, section 9.2).
//!
//! Each viewer reads the log along, as far as it is durable, and holds no record of its own: who cannot
//! keep up is told how many were left out. After a while a stream ends, as connections do, and the
//! browser goes on from the record that it had last.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::asked::{Asked, Wrong};
use super::page::Page;
use super::reply::{Answer, Body, secured};
use super::shares::{Held, Shares};
use crate::audit::Record;
use crate::audit::follow::Follower;
use crate::audit::search::{Chosen, Hit, TailFilter};

/// Viewers at a time, and of these one person.
const VIEWERS_MAX: usize = 16;
const OF_ONE_MAX: usize = 6;

/// How often the log is looked at: what is told at once is a little then, and delays no grant by much.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Something is said at least so often, so that it is seen who has gone.
const SAYS_EVERY: Duration = Duration::from_secs(2);

/// A stream lasts so long. Then the browser asks again, and is asked again who it is.
const LASTS: Duration = Duration::from_secs(45);

/// Records of one look, and bytes.
const RECORDS_MAX: usize = 1_000;
const BYTES_MAX: usize = 256 << 10;

/// Who is so many records behind goes on with the newest.
const BEHIND_MAX: u64 = 5_000;

/// Records that are shown before the first one that comes.
const BEFORE: u64 = 200;

/// Records before that are looked at for decisions whose outcomes may come.
const LOOKS_BACK: u64 = 1_000;

/// Chunks on their way to one viewer.
const CHUNKS: usize = 2;

/// Places for viewers.
pub(super) struct Viewers(Shares);

impl Default for Viewers {
    fn default() -> Self {
        Self(Shares::new(VIEWERS_MAX, OF_ONE_MAX))
    }
}

/// Begins a stream behind the record that a viewer has, or with the newest.
pub(super) fn stream(asked: Asked, last: Option<&HeaderValue>) -> Answer {
    let filter = match filter(&asked) {
        Ok(filter) => filter,
        Err(text) => return Page::refusal(StatusCode::UNPROCESSABLE_ENTITY, &text).into(),
    };
    let Some(place) = asked.console.work.live.0.hold(asked.person.told_apart(), 1) else {
        let text =
            format!("{VIEWERS_MAX} viewers look already, or {OF_ONE_MAX} of the same person.");
        return Page::refusal(StatusCode::SERVICE_UNAVAILABLE, &text).into();
    };
    let durable = asked.console.gateway.journal.durable_seq();
    // A page that had to begin anew says it in its address.
    let last = last.and_then(|last| last.to_str().ok()).or(asked.query.get("after"));
    let last = last.and_then(|last| last.parse::<u64>().ok());
    let next = last.filter(|last| *last <= durable).map(|last| last + 1);
    let next = next.unwrap_or_else(|| durable.saturating_sub(BEFORE).max(1));
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let watching = Watching { next, chosen: Chosen::new(filter), sender, place, asked };
    tokio::spawn(watching.run());
    let mut response = Response::new(Body::Live(receiver));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    secured(response.headers_mut());
    response
}

/// Which records are wanted.
pub(super) fn filter(asked: &Asked) -> Result<TailFilter, Wrong> {
    let allowed = match asked.query.get("decision") {
        None => None,
        Some("allow") => Some(true),
        Some("deny") => Some(false),
        Some(text) => return Err(format!("`{text}` is neither `allow` nor `deny`.")),
    };
    let (caller, entrance) = (asked.caller("caller")?, asked.entrance("entrance")?);
    Ok(TailFilter { caller, workspace: asked.workspace()?, entrance, allowed })
}

/// One viewer.
struct Watching {
    /// The record that comes next.
    next: u64,
    chosen: Chosen,
    sender: mpsc::Sender<Bytes>,
    place: Held,
    asked: Asked,
}

impl Watching {
    async fn run(self) {
        let Self { mut next, mut chosen, sender, place: _place, asked } = self;
        let journal = asked.console.gateway.journal.clone();
        let log = asked.console.reader();
        // Decisions of before, whose outcomes may come: they are not shown again.
        let first = next;
        let mut follower =
            Some(Follower::new(log.clone(), Some(first.saturating_sub(LOOKS_BACK).max(1))));
        let (began, mut said) = (Instant::now(), Instant::now());
        // At once again where a stream ends by itself.
        if sender.send(Bytes::from_static(b"retry: 500\n\n")).await.is_err() {
            return;
        }
        while began.elapsed() < LASTS && !sender.is_closed() {
            let (durable, before) = (journal.durable_seq(), next);
            let mut text = String::new();
            let behind = durable.saturating_sub(next.saturating_sub(1));
            if behind > BEHIND_MAX {
                let skipped = behind - BEFORE;
                next += skipped;
                follower = Some(Follower::new(log.clone(), Some(next)));
                let _ = write!(text, "event: skipped\ndata: {skipped}\n\n");
            }
            if next <= durable
                && let Some(mut own) = follower.take()
            {
                let read = tokio::task::spawn_blocking(move || {
                    let passage = own.read(durable, RECORDS_MAX, BYTES_MAX);
                    (own, passage)
                });
                let Ok((own, passage)) = read.await else { return };
                follower = Some(own);
                match passage {
                    Ok(passage) => {
                        next = next.max(passage.next);
                        if passage.lost > 0 && passage.next > first {
                            let _ = write!(text, "event: lost\ndata: {}\n\n", passage.lost);
                        }
                        for record in &passage.records {
                            let is_new = record.seq >= first;
                            event(
                                &asked,
                                &mut chosen,
                                (record.seq, is_new),
                                &record.line,
                                &mut text,
                            );
                        }
                        // Also where nothing is shown: a stream that begins again begins here.
                        if next > before {
                            let _ = write!(text, "id: {}\n\n", next - 1);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the log cannot be read for the console");
                        return;
                    }
                }
            }
            if text.is_empty() && said.elapsed() > SAYS_EVERY {
                text.push_str(": nothing new\n\n");
            }
            if !text.is_empty() {
                said = Instant::now();
                if !say(&sender, text, began + LASTS).await {
                    return;
                }
            }
            // What does not come although it is durable is damaged, or was removed.
            if journal.durable_seq() < next || next == before {
                sleep(LOOK_EVERY).await;
            }
        }
    }
}

/// Waits for a viewer that reads slowly, and not longer than its stream lasts.
async fn say(sender: &mpsc::Sender<Bytes>, text: String, until: Instant) -> bool {
    timeout_at(until, sender.send(Bytes::from(text))).await.is_ok_and(|sent| sent.is_ok())
}

/// A record as an event: its fields as texts, for a script that makes nothing of them but text.
fn event(
    asked: &Asked,
    chosen: &mut Chosen,
    (seq, is_new): (u64, bool),
    line: &[u8],
    out: &mut String,
) {
    let Some(record) = Record::parse(line) else { return };
    if !chosen.takes(&record) || !is_new {
        return;
    }
    let found = Hit::of_line(line).fields();
    let id = crate::domain::EntranceId::parse(&found.entrance_id).ok();
    let name = id.and_then(|id| asked.snapshot.name_of(id));
    let shown = serde_json::json!({
        "seq": seq,
        "time": found.time,
        "event": found.event,
        "caller": found.caller,
        "entrance_id": found.entrance_id,
        "entrance_name": name,
        "decision": found.decision,
        "reason": found.reason,
        "outcome": found.outcome,
        "line": String::from_utf8_lossy(line),
    });
    // JSON has no line ends of its own.
    let _ = write!(out, "id: {seq}\ndata: {shown}\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_does_not_read_keeps_no_stream_longer_than_it_lasts() {
        let (sender, mut receiver) = mpsc::channel(1);
        let until = Instant::now() + Duration::from_millis(50);
        assert!(say(&sender, "first".into(), until).await);
        let second = say(&sender, "nobody takes it".into(), until);
        assert_eq!(tokio::time::timeout(Duration::from_secs(5), second).await, Ok(false));
        assert_eq!(receiver.recv().await.as_deref(), Some(&b"first"[..]));
    }
}
