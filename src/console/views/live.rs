//! What happens as it happens: a page whose script reads the stream.

use maud::{Markup, html};

use super::what_if::{callers, doors};
use crate::console::asked::{Asked, link};
use crate::console::live::filter;
use crate::console::page::{Page, ask, choice, command, unknown_caller, wrong};
use crate::console::reply::Reply;

const TITLE: &str = "Live";

pub(in crate::console) fn show(asked: &Asked) -> Reply {
    if let Err(text) = filter(asked) {
        return wrong(asked, TITLE, &form(asked), &text);
    }
    let pairs: Vec<(&str, &str)> = ["caller", "entrance", "decision", "workspace"]
        .into_iter()
        .filter_map(|name| Some((name, asked.query.get(name)?)))
        .collect();
    let columns = [
        ("time", "Time (UTC)"),
        ("caller", "Service"),
        ("door", "Door"),
        ("decision", "Decision"),
        ("reason", "Reason"),
        ("outcome", "Outcome"),
        ("seq", "Record"),
    ];
    let content = html! {
        (form(asked))
        (unknown_caller(asked))
        noscript {
            p .notice { "The live tail needs script. " a href=(link("audit", &[])) { "The newest decisions" } " do not, and neither does:" }
            (command("grantgate audit tail --follow DIR"))
        }
        div #live hidden data-stream=(link("live/stream", &pairs)) data-record=(link("audit/record", &[])) {
            div .bar {
                button #pause type="button" aria-pressed="false" { "Pause" }
                button #clear type="button" { "Clear" }
                button #copy type="button" { "Copy lines" }
                fieldset #fields {
                    legend { "Show" }
                    @for (name, label) in columns { label .check { input type="checkbox" value=(name) checked; " " (label) } }
                }
                span #state role="status" { "connecting" }
            }
            div .scroll #tail tabindex="0" role="log" aria-live="off" aria-label="Records, the newest first" {
                table .decisions {
                    thead { tr { @for (name, label) in columns { th scope="col" data-field=(name) { (label) } } } }
                    tbody {}
                }
            }
        }
    };
    Page::of(asked, TITLE, &content)
}

fn form(asked: &Asked) -> Markup {
    ask(
        asked,
        &html! {
            label { span { "Service" } input name="caller" list="callers" value=(asked.query.get("caller").unwrap_or_default()) autocomplete="off" spellcheck="false"; }
            label { span { "Door" } input name="entrance" list="doors" value=(asked.query.get("entrance").unwrap_or_default()) autocomplete="off" spellcheck="false"; }
            (choice(asked, "decision", "Decision", &[("", "any"), ("allow", "allow"), ("deny", "deny")]))
            (callers(asked)) (doors(asked))
        },
        "Show",
    )
}
