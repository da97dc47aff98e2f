//! How much a caller may grant on one day.

/// What a caller may do on one day (UTC). What is not set is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// Grants.
    pub grants: Option<u32>,
    /// Different entrances.
    pub doors: Option<u32>,
}

/// What becomes of grants that cost budget, where budgets are shared among gateways and the database
/// that counts them gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenAlone {
    /// They are refused.
    Refuse,
    /// Each gateway may spend its share of the budget by itself.
    Share,
}

impl Budget {
    /// The most that can be set.
    pub const MAX: u64 = 10_000_000;

    /// Whether it limits nothing.
    #[must_use]
    pub const fn is_unlimited(self) -> bool {
        self.grants.is_none() && self.doors.is_none()
    }

    /// This, and of the other what is not set here.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { grants: self.grants.or(other.grants), doors: self.doors.or(other.doors) }
    }
}
