//! One record: its lines as they are stored, what happened when, and a proof to take away.

use maud::{Markup, html};

use super::super::verification::warning;
use super::question;
use crate::audit::search::{Filter, Hit, Indexes, Take, query_until, record};
use crate::audit::{Event, ReadError, Record, proof};
use crate::console::asked::{Asked, Format, Wrong, link};
use crate::console::page::{Page, caller, command, door_of, rule, short, time, verdict, wrong};
use crate::console::reply::Reply;

const TITLE: &str = "Record";

pub(in crate::console) fn show(asked: &Asked) -> Reply {
    match asked.number("seq", 0, 1..=u64::MAX).and_then(|seq| find(asked, seq)) {
        Ok(reply) => reply,
        Err(text) => wrong(asked, TITLE, &html! {}, &text),
    }
}

/// The proof that the record is in the log, as text (C2SP tlog-proof).
pub(in crate::console) fn proof_of(asked: &Asked) -> Reply {
    let proven = asked.number("seq", 0, 1..=u64::MAX).and_then(|seq| {
        let proof = proof::prove(&asked.console.reader(), seq, None);
        proof.map(|proof| (seq, proof.to_text())).map_err(|error| format!("{error}."))
    });
    match proven {
        Ok((seq, text)) => {
            Reply::file("text/plain; charset=utf-8", &format!("{seq}.tlog-proof"), text)
        }
        Err(text) => wrong(asked, "Proof", &html! {}, &text),
    }
}

fn find(asked: &Asked, seq: u64) -> Result<Reply, Wrong> {
    let log = asked.console.reader();
    let line = record(&log, seq).map_err(|error| format!("{error}."))?;
    let line = line.ok_or(format!("The log has no record {seq}."))?;
    let parsed = Record::parse(&line)
        .ok_or(format!("Record {seq} is of a version that is not known here."))?;
    // With what belongs to it: everything about its request.
    let mut lines: Vec<Vec<u8>> = Vec::new();
    if let Some(id) = parsed.request_id() {
        let events = vec![Event::Decision, Event::Outcome, Event::Resolved];
        let filter = Filter { request_id: Some(id.to_owned()), events, ..Filter::default() };
        let each = &mut |hit: Hit| {
            lines.extend(
                [Some(hit.line()), hit.outcome_line()].into_iter().flatten().map(<[u8]>::to_vec),
            );
            Ok(())
        };
        match query_until(&log, &filter, Take::All, (Indexes::Present, Some(asked.until)), each) {
            Ok(_) | Err(ReadError::Empty(_)) => {}
            Err(error) => return Err(format!("{error}.")),
        }
    }
    if !lines.contains(&line) {
        lines.push(line.clone());
    }
    lines.sort_by_key(|line| Record::parse(line).map(|record| record.seq()));
    lines.dedup();
    Ok(match asked.format() {
        Format::Page => {
            Page::of(asked, &format!("Record {seq}"), &page(asked, seq, &parsed, &lines))
        }
        Format::Json | Format::Csv => {
            let out: Vec<u8> =
                lines.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect();
            Reply::new(http::StatusCode::OK, "application/x-ndjson", out)
        }
    })
}

fn page(asked: &Asked, seq: u64, record: &Record<'_>, lines: &[Vec<u8>]) -> Markup {
    let names = asked.snapshot.names();
    let number = seq.to_string();
    let decision = lines
        .iter()
        .filter_map(|line| Record::parse(line))
        .find(|record| record.decision().is_some());
    html! {
        (warning(asked, Some(seq)))
        @if let Some(decision) = &decision {
            p { (verdict(decision.decision().unwrap_or_default())) " " code { (decision.reason().unwrap_or_default()) } ": "
                (caller(decision.caller().unwrap_or_default())) " for " (door_of(names, decision.entrance_id().unwrap_or_default())) }
            (decided_by(asked, decision))
            @if decision.entrance_id().is_some() && decision.caller().is_some() {
                p { a #why href=(question(&Hit::of_line(&decision_line(lines)).fields(), true)) { "Why is that so?" } " (by the policy that is in force now)" }
            }
        }
        h2 { "What happened when" }
        ol .timeline { @for line in lines { @if let Some(one) = Record::parse(line) {
            li .here[one.seq() == seq] {
                (time(&one.time().map(|time| time.to_string()).unwrap_or_default())) " "
                a href=(link("audit/record", &[("seq", &one.seq().to_string())])) { "record " (one.seq()) } " "
                code { (one.event()) } " " (told(&one))
            }
        } } }
        h2 { "As it is stored" }
        @for line in lines { pre .raw tabindex="0" { (String::from_utf8_lossy(line)) } }
        h2 { "Proof" }
        p { a #proof href=(link("audit/proof", &[("seq", &number)])) { "Download the proof" } " that record " (seq) " is in the log, under a signed checkpoint. Anybody with the public key can check it:" }
        (command(&format!("grantgate audit check-proof {seq}.tlog-proof --key audit_signing_key.pub")))
        @if let Some(id) = record.request_id() { p { "Request " code { (id) } } }
    }
}

/// What decided: rules are linked where they are of the policy in force.
pub(in crate::console) fn decided_by(asked: &Asked, decision: &Record<'_>) -> Markup {
    let Some(revision) = decision.revision() else { return html! {} };
    let is_in_force = revision == asked.snapshot.policy.revision().as_str();
    let all = decision.rules();
    html! {
        p {
            "Decided by "
            @for (place, one) in all.iter().enumerate() {
                @if place > 0 { ", " }
                @if is_in_force { (rule(one)) } @else { code { (one) } }
            }
            @if !all.is_empty() { " of " }
            "policy " code title=(revision) { (short(&revision)) }
            (if is_in_force { ", which is in force." } else { ", which is not the one in force now." })
        }
    }
}

fn decision_line(lines: &[Vec<u8>]) -> Vec<u8> {
    let is_decision =
        |line: &&Vec<u8>| Record::parse(line).is_some_and(|record| record.decision().is_some());
    lines.iter().find(is_decision).cloned().unwrap_or_default()
}

fn told(record: &Record<'_>) -> Markup {
    let resolution = record.resolution().map(|(_, resolution)| resolution);
    html! {
        @if let Some(decision) = record.decision() { (verdict(decision)) " " (record.reason().unwrap_or_default()) }
        @else if let Some(resolution) = resolution { "found out later: " (resolution) }
        @else { @if let Some(outcome) = record.outcome() { (outcome) } @if let Some(reason) = record.reason() { " (" (reason) ")" } }
    }
}
