//! `[idempotency]`.

use std::time::Duration;

use super::Reader;
use crate::config::IdempotencySettings;
use crate::toml_source::Section;

const WEEK_S: u64 = 604_800;

impl<'a> Reader<'a> {
    /// `kept` is how long the audit log is kept.
    pub(super) fn idempotency(
        &mut self,
        section: Section<'a>,
        kept: Option<Duration>,
    ) -> Option<IdempotencySettings> {
        let window = self.number(&section, "window_s", 1..=WEEK_S, 3_600);
        let own = self.number(&section, "keys_per_caller_max", 1..=1_000_000, 10_000);
        let all = self.number(&section, "keys_max", 1..=10_000_000, 200_000);
        let window = window.map(Duration::from_secs);
        // A start reads from the log what it must remember.
        let short = kept.filter(|kept| window.is_some_and(|window| window > *kept));
        let text = "is longer than the audit log is kept (`audit.retention_days_max`): a start \
                    forgets what was removed";
        self.warn(&section, "window_s", short.is_some(), text);
        let never = own.zip(all).is_some_and(|(own, all)| own > all);
        let text = "is never reached: it is above `idempotency.keys_max`";
        self.warn(&section, "keys_per_caller_max", never, text);
        let shared = self.choice(&section, "shared", &[("off", false), ("on", true)]);
        section.finish();
        Some(IdempotencySettings {
            window: window?,
            keys_per_caller_max: usize::try_from(own?).ok()?,
            keys_max: usize::try_from(all?).ok()?,
            shared: shared?,
        })
    }
}
