//! Orders: what somebody in charge decides for a time, beside the policy. A freeze stops
//! grants; an exception allows one.

use jiff::Timestamp;

use super::{CallerId, EntranceId, RuleRef, WorkspaceName};

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Counted from 1; no number is given twice.
    pub number: u32,
    /// What is ordered.
    pub kind: OrderKind,
    /// By whom, when and why.
    pub given: Signature,
    /// From this time on it holds no more.
    pub until: Option<Timestamp>,
    /// Who took it back, where somebody did.
    pub lifted: Option<Signature>,
    /// Where it was given to all gateways: what it is called there.
    pub directive: Option<DirectiveId>,
}

/// What a signed order for all gateways is called: 32 digits of the digest of what it says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DirectiveId(String);

impl DirectiveId {
    /// Reads 32 hexadecimal digits in lower case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 32 && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// Of 16 bytes.
    #[must_use]
    pub fn of(bytes: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(bytes)))
    }

    /// Its digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for DirectiveId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderKind {
    /// No grant within the scope.
    Freeze(Scope),
    /// A freeze that stops nobody: it proves that one would be taken up.
    Drill(Scope),
    /// This caller may grant this entrance, where no rule denies it.
    Exception(CallerId, EntranceId),
}

/// Which grants a freeze stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All.
    Everything,
    /// Those of one caller.
    Caller(CallerId),
    /// Those of entrances in this zone, which is named as the rules name it: `zone:server-room`.
    Zone(String),
    /// Those of one entrance.
    Entrance(EntranceId),
    /// Those in one workspace.
    Workspace(WorkspaceName),
}

/// Who did something, when and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// When.
    pub at: Timestamp,
    /// Who, as the command that did it knew.
    pub by: String,
    /// Why, in that person's words.
    pub why: String,
}

impl Order {
    /// What the rules that decided are named by, where an order did: `order:7`.
    #[must_use]
    pub fn reference(&self) -> RuleRef {
        RuleRef::new("order".into(), self.number)
    }

    /// Whether it is in force at this time.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        self.lifted.is_none() && !self.is_over(at)
    }

    /// Whether it was in force at this time of the past.
    #[must_use]
    pub fn held(&self, at: Timestamp) -> bool {
        let lifted = self.lifted.as_ref().is_some_and(|lifted| lifted.at <= at);
        self.given.at <= at && !lifted && !self.is_over(at)
    }

    /// Whether its time has run out.
    #[must_use]
    pub fn is_over(&self, at: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= at)
    }
}

impl OrderKind {
    /// The words of all kinds.
    pub const WORDS: [&'static str; 3] = ["freeze", "drill", "exception"];

    /// The word in files, records and metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        let [freeze, drill, exception] = Self::WORDS;
        match self {
            Self::Freeze(_) => freeze,
            Self::Drill(_) => drill,
            Self::Exception(..) => exception,
        }
    }

    /// The caller that it is about, where it is about one.
    #[must_use]
    pub const fn caller(&self) -> Option<&CallerId> {
        match self {
            Self::Freeze(Scope::Caller(caller))
            | Self::Drill(Scope::Caller(caller))
            | Self::Exception(caller, _) => Some(caller),
            Self::Freeze(_) | Self::Drill(_) => None,
        }
    }

    /// The entrance that it is about, where it is about one.
    #[must_use]
    pub const fn entrance(&self) -> Option<EntranceId> {
        match self {
            Self::Freeze(Scope::Entrance(entrance))
            | Self::Drill(Scope::Entrance(entrance))
            | Self::Exception(_, entrance) => Some(*entrance),
            Self::Freeze(_) | Self::Drill(_) => None,
        }
    }

    /// The zone that it is about, where it is about one.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        match self {
            Self::Freeze(Scope::Zone(zone)) | Self::Drill(Scope::Zone(zone)) => Some(zone),
            Self::Freeze(_) | Self::Drill(_) | Self::Exception(..) => None,
        }
    }

    /// The workspace that it is about, where it is about one.
    #[must_use]
    pub fn workspace(&self) -> Option<&WorkspaceName> {
        match self {
            Self::Freeze(Scope::Workspace(name)) | Self::Drill(Scope::Workspace(name)) => {
                Some(name)
            }
            Self::Freeze(_) | Self::Drill(_) | Self::Exception(..) => None,
        }
    }
}
