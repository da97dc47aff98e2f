//! What a caller asks: the one value that policy judges, the audit log records and the
//! upstream request is written from.

use super::{
    AcsSystemId, ConnectedAccountId, EntranceId, GrantRequest, Grantee, LocationId, Operation,
    SpaceId,
};

/// A parsed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// [`Operation::GrantAccess`]
    GrantAccess(GrantRequest),
    /// [`Operation::ListEntrances`]
    ListEntrances(Box<ListEntrances>),
    /// [`Operation::GetEntrance`]
    GetEntrance(EntranceId),
}

/// What policy judges of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objects<'a> {
    /// This entrance.
    One(EntranceId),
    /// Each of these; what is not permitted is left out.
    Some(&'a [EntranceId]),
    /// Every entrance that there is; what is not permitted is left out.
    All,
}

/// Which entrances to list. What is set narrows the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListEntrances {
    /// These only; never empty.
    pub entrances: Option<Vec<EntranceId>>,
    /// Of one access system.
    pub system: Option<AcsSystemId>,
    /// Of one account at a maker of access systems.
    pub connected_account: Option<ConnectedAccountId>,
    /// Of one customer of the workspace's.
    pub customer_key: Option<String>,
    /// Of one location: what spaces were called before.
    pub location: Option<LocationId>,
    /// In one space.
    pub space: Option<SpaceId>,
    /// Whose name has this in it.
    pub search: Option<String>,
    /// How many on a page.
    pub limit: Option<u16>,
    /// Where the page begins; nothing for the first.
    pub page_cursor: Option<String>,
}

impl Request {
    /// Which operation it is of.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        match self {
            Self::GrantAccess(_) => Operation::GrantAccess,
            Self::ListEntrances(_) => Operation::ListEntrances,
            Self::GetEntrance(_) => Operation::GetEntrance,
        }
    }

    /// What policy judges of it.
    #[must_use]
    pub fn objects(&self) -> Objects<'_> {
        match self {
            Self::GrantAccess(grant) => Objects::One(grant.entrance),
            Self::ListEntrances(list) => {
                list.entrances.as_deref().map_or(Objects::All, Objects::Some)
            }
            Self::GetEntrance(entrance) => Objects::One(*entrance),
        }
    }

    /// The one entrance that it is about, where it is about one.
    #[must_use]
    pub fn entrance(&self) -> Option<EntranceId> {
        match self.objects() {
            Objects::One(entrance) => Some(entrance),
            Objects::Some(_) | Objects::All => None,
        }
    }

    /// Who is to get access, where somebody is.
    #[must_use]
    pub const fn grantee(&self) -> Option<Grantee> {
        match self {
            Self::GrantAccess(grant) => Some(grant.grantee),
            Self::ListEntrances(_) | Self::GetEntrance(_) => None,
        }
    }

    /// The same request for these entrances only; one that names its entrance stays as it is.
    #[must_use]
    pub fn narrowed(self, to: Vec<EntranceId>) -> Self {
        match self {
            Self::ListEntrances(list) => {
                Self::ListEntrances(Box::new(ListEntrances { entrances: Some(to), ..*list }))
            }
            Self::GrantAccess(_) | Self::GetEntrance(_) => self,
        }
    }
}
