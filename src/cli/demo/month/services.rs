//! The services of an office: when they ask, from where, and by which credential.

use jiff::civil::Weekday;

use crate::cli::demo::CALLER;
use crate::cli::init::CALLER_SPIFFE_ID;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Desk,
    Cleaning,
    Facilities,
}

/// Hours, and how often something is asked for in each, in tenths.
pub(super) type Hours = &'static [(i64, u64)];

impl Service {
    pub(super) const ALL: [Self; 3] = [Self::Desk, Self::Cleaning, Self::Facilities];

    pub(super) const fn caller(self) -> &'static str {
        match self {
            Self::Desk => CALLER,
            Self::Cleaning => "cleaning-rota",
            Self::Facilities => "facilities",
        }
    }

    pub(super) fn credential(self) -> String {
        match self {
            Self::Desk => format!("certificate:{CALLER_SPIFFE_ID}"),
            Self::Cleaning => "token:rota".into(),
            Self::Facilities => "token:work-orders".into(),
        }
    }

    /// Its machines: how many, and the address before the first.
    pub(super) const fn machines(self) -> (u64, [u8; 4]) {
        match self {
            Self::Desk => (4, [10, 20, 1, 10]),
            Self::Cleaning => (1, [10, 20, 3, 6]),
            Self::Facilities => (2, [10, 20, 2, 20]),
        }
    }

    pub(super) const fn hours(self, day: Weekday) -> Hours {
        match (self, day) {
            (Self::Desk, Weekday::Saturday | Weekday::Sunday) => &[(10, 6), (14, 6)],
            (Self::Desk, _) => &[
                (7, 10),
                (8, 50),
                (9, 90),
                (10, 75),
                (11, 50),
                (12, 30),
                (13, 70),
                (14, 60),
                (15, 40),
                (16, 20),
                (17, 10),
            ],
            (Self::Cleaning, Weekday::Saturday) => &[(8, 20)],
            (Self::Cleaning, Weekday::Sunday) => &[],
            (Self::Cleaning, _) => &[(5, 15), (6, 10), (18, 20), (19, 25), (20, 10)],
            (Self::Facilities, Weekday::Saturday | Weekday::Sunday) => &[(1, 1), (10, 6), (16, 3)],
            (Self::Facilities, _) => &[
                (1, 1),
                (6, 10),
                (7, 30),
                (8, 30),
                (9, 30),
                (10, 25),
                (11, 20),
                (13, 30),
                (14, 20),
                (15, 10),
                (23, 1),
            ],
        }
    }
}
