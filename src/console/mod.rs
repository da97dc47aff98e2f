//! The console: policy, decisions and evidence in a browser, on the admin listeners.
//!
//! It is for people who would rather look; the command line says the same, and what is shown here has
//! the same shapes (`?format=json`). Nothing in force changes from here but freezes and exceptions, by
//! an operator who says why: for everything else a page shows the command. Pages are made here, whole,
//! and work without script but for the live tail; nothing is fetched from anywhere else.
//!
//! Who may look is decided in [`guard`] before anything else is; what is asked for is read in
//! [`asked`]; a page is a function of that in `views`.

mod asked;
mod assets;
mod background;
mod chart;
mod draft;
mod form;
mod guard;
mod heavy;
mod live;
mod next;
mod page;
mod proposals;
mod reply;
mod shares;
mod views;

use std::path::PathBuf;
use std::sync::Arc;

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;

use crate::audit::LogReader;
use crate::bundle::Trust;
use crate::config::{ConsoleSettings, read_desk};
use crate::database::Access;
use crate::gateway::Gateway;
use crate::note::VerifierKey;
use crate::orders::Keeper;
use crate::view::health::{Check, Status};
use asked::{Asked, Query, Wrong};
pub use background::Background;
use form::Forms;
pub use guard::{Place, is_of_loopback};
use heavy::{Heavy, Places};
use page::Page;
use reply::Reply;
pub use reply::{Answer, Body};
use views::{Shows, Takes, VIEWS};

/// Where its pages are.
pub const ROOT: &str = "/console";

/// How the gateway is, as it says under `/readyz` and `/status`.
pub trait State: Send + Sync {
    /// Whether grants can be decided and recorded, and every check.
    fn checks(&self) -> (bool, Vec<Check>);
    /// Everything, for programs.
    fn status(&self) -> Status;
}

/// What the console shows, and to whom.
pub struct Console {
    /// What is in force, and what is recorded.
    pub gateway: Arc<Gateway>,
    /// Where freezes and exceptions are given.
    pub keeper: Arc<Keeper>,
    /// How the gateway is.
    pub state: Arc<dyn State>,
    /// What people call the gateway, where it is one of several.
    pub name: Option<String>,
    /// Who may look.
    pub settings: ConsoleSettings,
    /// The directory of the audit log.
    pub log: PathBuf,
    /// With which its checkpoints are verified.
    pub keys: Vec<VerifierKey>,
    /// What several look for at a time.
    pub work: Work,
    /// Where all of this happens.
    pub background: Background,
}

/// Where all gateways are looked at.
struct Desk {
    access: Access,
    /// Whose signatures count, where the file says so.
    trust: Option<Trust>,
}

/// Work that is bounded, whoever asks.
#[derive(Default)]
pub struct Work {
    heavy: Heavy,
    /// Questions to the database.
    database: Places,
    /// Who looks at orders.
    orders: Places,
    forms: Forms,
    unread: reply::Unread,
    live: live::Viewers,
    verifying: views::verification::Verifying,
    hour: views::overview::LastHour,
    warnings: views::policy::KnownWarnings,
    past: views::matrix::KnownPast,
}

impl Console {
    /// Whether the console answers requests for this path.
    #[must_use]
    pub fn has(path: &str) -> bool {
        path == "/"
            || path
                .strip_prefix(ROOT)
                .is_some_and(|rest| matches!(rest.as_bytes().first(), None | Some(b'/')))
    }

    /// Answers a request for one of its pages.
    pub async fn answer(self: Arc<Self>, request: Request<Incoming>, place: Place) -> Answer {
        let answer = self.clone().page(request, place);
        self.background.run(answer).await.unwrap_or_else(|| heavy::broken().into())
    }

    async fn page(self: Arc<Self>, request: Request<Incoming>, place: Place) -> Answer {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        if path == "/" {
            return Reply::moved(ROOT).into();
        }
        let rest = path.strip_prefix(ROOT).unwrap_or_default().trim_start_matches('/');
        // They are the same for everybody, and what is refused is told on a page, too.
        if let Some(asset) = rest.strip_prefix("assets/") {
            return assets::get(asset, &head).encoded_for(&head.headers).into();
        }
        if let Err(refused) = guard::is_looked_at(&head) {
            return (*refused).into();
        }
        let person = match guard::admit(&self, &head, &place) {
            Ok(person) => person,
            Err(refused) => return (*refused).into(),
        };
        let Some(view) = VIEWS.iter().find(|view| view.path == rest) else {
            return Page::refusal(StatusCode::NOT_FOUND, "There is no such page.").into();
        };
        let (form, _form) = match (&head.method, view.takes) {
            (&Method::GET | &Method::HEAD, _) => (None, None),
            (&Method::POST, Takes::Form | Takes::Draft) => {
                if let Err(refused) = guard::is_of_our_own_pages(&head, &place) {
                    return (*refused).into();
                }
                let most = match view.takes {
                    Takes::Draft => form::draft_bytes_max(&self),
                    Takes::Nothing | Takes::Form => form::BYTES_MAX,
                };
                match self.work.forms.read(&person, &head.headers, body, most).await {
                    Ok((form, held)) => (Some(form), Some(held)),
                    Err(refused) => return (*refused).into(),
                }
            }
            _ => {
                let text = "Pages are read with GET; only forms are sent with POST.";
                return Page::refusal(StatusCode::METHOD_NOT_ALLOWED, text).into();
            }
        };
        let query = Query::parse(head.uri.query().unwrap_or_default());
        let by = person.name.clone();
        if view.shows_grantees {
            // Who is looked for, and keys of callers, are in no other log of the process either.
            let shown = query.with(&[("for", ""), ("idempotency_key", "")]);
            let person = query.get("for").is_some();
            tracing::info!(
                by = by.as_str(),
                page = view.path,
                query = shown,
                person,
                "looked at decisions"
            );
        }
        let asked = Asked::new(self.clone(), view, query, form, person.clone());
        if let Some(text) = asked.fault() {
            return page::wrong(&asked, view.name, &maud::html! {}, &text)
                .encoded_for(&head.headers)
                .into();
        }
        let reply = match view.shows {
            Shows::Stream => return live::stream(asked, head.headers.get("last-event-id")),
            Shows::Waited(show) => show(asked).await,
            Shows::Computed(show) => self.work.heavy.run(asked, show).await,
        };
        self.work.unread.send(reply, &person, &head.headers)
    }

    /// The database as the settings name it, or why there is none, in words.
    fn desk(&self) -> Result<Desk, Wrong> {
        let file = self.settings.database_file.as_ref();
        let file = file.ok_or("No database is named: set `console.database_file`.")?;
        let desk = read_desk(file).and_then(|desk| Ok((Access::load(&desk.files)?, desk.trust)));
        let (access, trust) = desk.map_err(|problems| page::listed(&problems))?;
        Ok(Desk { access, trust })
    }

    fn reader(&self) -> LogReader {
        LogReader::new(&self.log)
    }
}
