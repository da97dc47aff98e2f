//! What somebody does to put an edited policy in force: nothing of it happens here.

use maud::{Markup, html};

use super::asked::Asked;
use super::page::command;

/// Where the edited rules go.
pub(super) fn text(asked: &Asked) -> Markup {
    let policy = &asked.snapshot.policy;
    match &asked.snapshot.bundle {
        // Its files are copies of what enough people signed: whoever edits one is not followed.
        Some(_) => html! {
            "The policy comes as a signed bundle. Edit the files that it was made of, and propose them; others sign, and somebody promotes it:"
        },
        None => html! { "Save the edited rules over " code { (policy.file()) } ", then:" },
    }
}

/// The commands.
pub(super) fn commands(asked: &Asked) -> Markup {
    match asked.snapshot.bundle {
        Some(_) => command(
            "grantgate policy push --why TEXT --key FILE --database publisher.toml\n\
             grantgate policy approve NUMBER --key FILE --database publisher.toml\n\
             grantgate policy promote NUMBER --database publisher.toml",
        ),
        None => command(
            "grantgate policy check\ngrantgate policy test\nkill -HUP \"$(pidof grantgate)\"",
        ),
    }
}
