//! Limits that all gateways have in common: how many they are, and budgets of which each takes some.

use std::time::Duration;

use super::error::DatabaseError;
use super::gateway::{Log, signed, unsigned};
use super::link::Link;
use crate::domain::{Budget, EntranceId};

/// What a gateway takes of a budget.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// What it has taken before, and of which day, counted as the database does.
    pub had: Option<(i32, u64)>,
    /// So many grants.
    pub grants: u64,
    /// And an entrance.
    pub door: Option<EntranceId>,
    /// Of this.
    pub budget: Budget,
}

/// What it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leased {
    /// So many grants of those that were wanted.
    pub grants: u64,
    /// What it has taken on this day in all.
    pub taken: u64,
    /// Whether the entrance is among those of the day.
    pub door: bool,
    /// Of this day.
    pub day: i32,
    /// Which lasts so long.
    pub lasts: Duration,
}

/// Days are counted from here.
const EPOCH: &str = "date '2000-01-01'";

impl Link {
    /// How many gateways speak, with this one.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn gateways(&self, own: &Log) -> Result<u32, DatabaseError> {
        let row = self.one("SELECT gateways_1($1)", &[&own.replica]).await?;
        Ok(u32::try_from(row.try_get::<_, i32>(0)?).unwrap_or_default())
    }

    /// Takes some of a caller's budget of the day.
    ///
    /// # Errors
    /// [`DatabaseError`]; what it had is spent then.
    pub async fn lease(
        &self,
        own: &Log,
        caller: &str,
        wanted: &Wanted,
    ) -> Result<Leased, DatabaseError> {
        let Wanted { had, grants, door, budget } = *wanted;
        let token = own.token.expose().as_bytes();
        let (had_day, had) = (had.map(|(day, _)| day), signed(had.map_or(0, |(_, had)| had)));
        let (most, doors_most) = (budget.grants.map(i64::from), budget.doors.map(i64::from));
        let (grants, door) = (signed(grants), door.map(EntranceId::as_uuid));
        let statement = format!(
            "SELECT grants, taken, is_in, of_day - {EPOCH}, seconds_left \
             FROM lease_1($1, $2, $3, {EPOCH} + $4::integer, $5, $6, $7, $8, $9)"
        );
        let row = self
            .one(
                &statement,
                &[
                    &own.replica,
                    &token,
                    &caller,
                    &had_day,
                    &had,
                    &grants,
                    &most,
                    &door,
                    &doors_most,
                ],
            )
            .await?;
        let lasts = Duration::try_from_secs_f64(row.try_get(4)?).unwrap_or_default();
        let (grants, taken) = (unsigned(row.try_get(0)?), unsigned(row.try_get(1)?));
        Ok(Leased { grants, taken, door: row.try_get(2)?, day: row.try_get(3)?, lasts })
    }

    /// Gives back what was taken on a day and not used.
    ///
    /// # Errors
    /// [`DatabaseError`]; it is spent then.
    pub async fn give_back(
        &self,
        own: &Log,
        caller: &str,
        (day, grants): (i32, u64),
    ) -> Result<(), DatabaseError> {
        let (token, grants) = (own.token.expose().as_bytes(), signed(grants));
        let statement = format!("SELECT give_back_1($1, $2, $3, {EPOCH} + $4::integer, $5)");
        self.one(&statement, &[&own.replica, &token, &caller, &day, &grants]).await?;
        Ok(())
    }
}
