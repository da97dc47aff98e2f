//! What a caller may ask of Seam: one closed list.

/// What a policy rule allows or denies: the `act` of casbin's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// To give a person access to an entrance.
    Grant,
    /// To see an entrance.
    Read,
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 2] = [Self::Grant, Self::Read];

    /// The name in policies and commands.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Read => "read",
        }
    }

    /// Whether it gives somebody access: such acts a freeze stops.
    #[must_use]
    pub const fn gives_access(self) -> bool {
        match self {
            Self::Grant => true,
            Self::Read => false,
        }
    }

    /// The act of this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.as_str() == text)
    }
}

/// What an operation does at Seam, and so how often it may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It changes who can open what: sent at most once, and its outcome may be unknown.
    Changes,
    /// It changes nothing: it may be sent again.
    Reads,
}

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $path:literal, $act:ident, $effect:ident;)+) => {
        /// A route of Seam's that the gateway serves.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Operation { $($(#[$doc])* $name,)+ }

        impl Operation {
            /// Every operation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its name in records, logs and metrics: Seam's path without the first slash.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $path,)+ }
            }

            /// Its path, matched byte for byte, and sent to Seam as this constant.
            #[must_use]
            pub const fn path(self) -> &'static str {
                match self { $(Self::$name => concat!("/", $path),)+ }
            }

            /// Which rules of the policy are asked.
            #[must_use]
            pub const fn act(self) -> Act {
                match self { $(Self::$name => Act::$act,)+ }
            }

            /// What it does at Seam.
            #[must_use]
            pub const fn effect(self) -> Effect {
                match self { $(Self::$name => Effect::$effect,)+ }
            }
        }
    };
}

operations! {
    /// Gives one person access to one entrance.
    GrantAccess = "acs/entrances/grant_access", Grant, Changes;
    /// Lists entrances, in pages.
    ListEntrances = "acs/entrances/list", Read, Reads;
    /// Shows one entrance.
    GetEntrance = "acs/entrances/get", Read, Reads;
}

impl Operation {
    /// The operation of this path; nothing is decoded, folded or normalised.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.path() == path)
    }

    /// The operation of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.as_str() == name)
    }
}
