//! Orders for all gateways, signed: freezes, exceptions, and taking them back.
//!
//! A freeze takes one signature, since it can only make grants fewer. What allows something takes as
//! many as a bundle.

use std::fmt;

use jiff::Timestamp;

use super::text::{Lines, is_name, is_plain, is_why};
use super::{Digest, Malformed, NOTE_BYTES_MAX, Trust, Untrusted};
use crate::domain::{CallerId, DirectiveId, EntranceId, OrderKind, Scope, WorkspaceName};

const FIRST: &str = "grantgate order 1";

/// What a signed order says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Whose gateways it is for.
    pub name: String,
    /// What tells it from every other: the beginning of the digest of all else that it says, so that
    /// nobody can give its name to something else.
    pub id: DirectiveId,
    /// When it was made, by the clock of who made it.
    pub made: Timestamp,
    /// The name of the key of who made it.
    pub by: String,
    /// What is ordered.
    pub what: Directed,
    /// Why.
    pub why: String,
}

/// What is ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directed {
    /// An order, which ends by itself where it has an end.
    Given(OrderKind, Option<Timestamp>),
    /// An order of before is taken back.
    Lifted(DirectiveId),
}

/// A directive whose signatures by keys that are trusted are true; there may be too few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedDirective {
    /// What it says.
    pub directive: Directive,
    /// The names of the keys that signed.
    pub signers: Vec<String>,
    /// Its text with the signatures.
    pub note: String,
}

impl Directive {
    /// With the name that such an order has.
    #[must_use]
    pub fn new(name: String, (made, by): (Timestamp, String), what: Directed, why: String) -> Self {
        let id = DirectiveId::of([0; 16]);
        let mut own = Self { name, id, made, by, what, why };
        own.id = own.own_id();
        own
    }

    fn own_id(&self) -> DirectiveId {
        let Self { name, made, by, what, why, .. } = self;
        let text = format!("{FIRST}\n{name}\nmade {made} by {by}\n{what}\nwhy {why}\n");
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(Digest::of(text.as_bytes()).as_bytes()) {
            *to = *from;
        }
        DirectiveId::of(id)
    }

    /// Whether something may be granted for it that may not be granted without.
    #[must_use]
    pub const fn allows(&self) -> bool {
        match &self.what {
            Directed::Given(OrderKind::Freeze(_) | OrderKind::Drill(_), _) => false,
            Directed::Given(OrderKind::Exception(..), _) | Directed::Lifted(_) => true,
        }
    }

    /// Reads a text. There is one text for each directive: every other way to write it is refused.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut lines = Lines::of(text, FIRST)?;
        let name = lines.next("NAME", |line| Some(line.to_owned()))?;
        let id = lines.next("id ID", |line| DirectiveId::parse(line.strip_prefix("id ")?))?;
        let (made, by) = lines.made()?;
        const WHAT: &str = "freeze …, drill …, allow … or lift ID";
        let what = lines.next(WHAT, |line| match line.strip_prefix("lift ") {
            Some(id) => DirectiveId::parse(id).map(Ok),
            None => kind(line).map(Err),
        })?;
        let what = match what {
            Ok(id) => Directed::Lifted(id),
            Err(kind) => {
                let until =
                    lines.next("until TIME", |line| match line.strip_prefix("until ")? {
                        "lifted" => Some(None),
                        time => time.parse().ok().map(Some),
                    })?;
                Directed::Given(kind, until)
            }
        };
        let why = lines.why()?;
        let directive = Self { name, id, made, by, what, why };
        let until = match directive.what {
            Directed::Given(_, until) => until,
            Directed::Lifted(_) => None,
        };
        let is_fit = is_name(&directive.name)
            && is_name(&directive.by)
            && is_why(&directive.why)
            && [Some(made), until].into_iter().flatten().all(is_plain);
        match is_fit && directive.id == directive.own_id() && directive.to_string() == text {
            true => Ok(directive),
            false => Err(Malformed::Form),
        }
    }
}

fn kind(text: &str) -> Option<OrderKind> {
    let (word, about) = text.split_once(' ')?;
    match word {
        "freeze" => scope(about).map(OrderKind::Freeze),
        "drill" => scope(about).map(OrderKind::Drill),
        "allow" => {
            let (caller, entrance) = about.split_once(' ')?;
            let (caller, entrance) = (CallerId::parse(caller).ok()?, entrance);
            Some(OrderKind::Exception(caller, EntranceId::parse(entrance).ok()?))
        }
        _ => None,
    }
}

fn scope(text: &str) -> Option<Scope> {
    if text == "everything" {
        return Some(Scope::Everything);
    }
    let (word, about) = text.split_once(' ')?;
    match word {
        "caller" => CallerId::parse(about).ok().map(Scope::Caller),
        "zone" => {
            let is_zone = about.starts_with("zone:") && about.chars().all(|c| c.is_ascii_graphic());
            is_zone.then(|| Scope::Zone(about.to_owned()))
        }
        "workspace" => WorkspaceName::parse(about).ok().map(Scope::Workspace),
        "entrance" => EntranceId::parse(about).ok().map(Scope::Entrance),
        _ => None,
    }
}

impl fmt::Display for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, id, made, by, what, why } = self;
        writeln!(f, "{FIRST}\n{name}\nid {id}\nmade {made} by {by}\n{what}\nwhy {why}")
    }
}

impl fmt::Display for Directed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, until) = match self {
            Self::Lifted(id) => return write!(f, "lift {id}"),
            Self::Given(kind, until) => (kind, until),
        };
        match kind {
            OrderKind::Freeze(scope) => write!(f, "freeze {}", Shown(scope))?,
            OrderKind::Drill(scope) => write!(f, "drill {}", Shown(scope))?,
            OrderKind::Exception(caller, entrance) => write!(f, "allow {caller} {entrance}")?,
        }
        match until {
            Some(until) => write!(f, "\nuntil {until}"),
            None => f.write_str("\nuntil lifted"),
        }
    }
}

struct Shown<'a>(&'a Scope);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Scope::Everything => f.write_str("everything"),
            Scope::Caller(caller) => write!(f, "caller {caller}"),
            Scope::Zone(zone) => write!(f, "zone {zone}"),
            Scope::Workspace(name) => write!(f, "workspace {name}"),
            Scope::Entrance(entrance) => write!(f, "entrance {entrance}"),
        }
    }
}

impl Trust {
    /// Reads a directive that may have too few signatures yet. All that there are must be true.
    ///
    /// # Errors
    /// [`Untrusted`]
    pub fn read_directive(&self, note: &str) -> Result<SignedDirective, Untrusted> {
        let (text, signers) = self.text(note, NOTE_BYTES_MAX)?;
        let directive = Directive::parse(text)?;
        self.check(&directive.name, &directive.by, &signers)?;
        Ok(SignedDirective { directive, signers, note: note.to_owned() })
    }

    /// Reads a directive that is to be followed.
    ///
    /// # Errors
    /// [`Untrusted`]
    pub fn accept_directive(&self, note: &str) -> Result<SignedDirective, Untrusted> {
        let signed = self.read_directive(note)?;
        let (has, takes) = (signed.signers.len(), self.signatures_of(&signed.directive));
        if has < takes {
            return Err(Untrusted::TooFew(has, takes));
        }
        Ok(signed)
    }

    /// How many signatures it takes.
    #[must_use]
    pub const fn signatures_of(&self, directive: &Directive) -> usize {
        if directive.allows() { self.signatures_min() } else { 1 }
    }

    /// Reads a text with the lines that are said to sign it, of which those that do not are left
    /// out.
    ///
    /// # Errors
    /// [`Untrusted`]
    pub fn gather_directive(
        &self,
        text: &str,
        lines: &[String],
    ) -> Result<SignedDirective, Untrusted> {
        self.read_directive(&self.true_note(text, lines)?)
    }
}
