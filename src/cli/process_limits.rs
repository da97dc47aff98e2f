//! What the operating system allows this process: no core dumps, and so many files that
//! connections cannot use up those that the audit log and Seam need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Settings;
use crate::server::ADMIN_CONNECTIONS_MAX;

/// For the audit log, watched and reloaded files, what the console reads, name resolution and the
/// runtime; and for both admin listeners.
const KEPT: u64 = 192 + 2 * ADMIN_CONNECTIONS_MAX as u64;

/// A core dump would hold the workspace key. A limit of 1 byte also keeps a dump from a
/// program that the kernel pipes it to (core(5)).
pub(super) fn no_core_dumps() {
    let limit = Rlimit { current: Some(1), maximum: Some(1) };
    if let Err(error) = setrlimit(Resource::Core, limit) {
        tracing::warn!(%error, "core dumps cannot be turned off");
    }
}

/// Takes no more connections than there are file descriptors for.
pub(super) fn within_descriptors(mut settings: Settings) -> Settings {
    let Some(limit) = raise_limit() else { return settings };
    let wanted = &mut settings.connection_limits.connections_max;
    let in_flight = settings.limits.requests_in_flight_max;
    let possible = connections_within(limit, *wanted, in_flight);
    if possible < *wanted {
        tracing::warn!(
            "`limits.connections_max` is {wanted}, but this process may open {limit} files: \
             {possible} connections are taken at once; raise the limit (systemd: LimitNOFILE)"
        );
        *wanted = possible;
    }
    settings
}

/// Raises the limit of this process as far as it may, and says what it is now; `None`
/// is no limit.
fn raise_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        // Some systems have a lower limit than they say.
        Err(_) => current,
    }
}

/// How many callers' connections leave enough descriptors: one for the connection to
/// Seam of each request in flight, or as many as for callers when there are too few.
fn connections_within(
    descriptors: u64,
    connections_max: usize,
    requests_in_flight_max: usize,
) -> usize {
    let spare = usize::try_from(descriptors.saturating_sub(KEPT)).unwrap_or(usize::MAX);
    let to_seam = requests_in_flight_max.min(spare / 2);
    connections_max.min(spare - to_seam).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_for_callers_is_what_the_rest_does_not_need() {
        for (descriptors, connections) in [
            (1_048_576, 10_000),
            (11_472, 10_000),
            (11_471, 9_999),
            (1_024, 288),
            (500, 26),
            (448, 1),
            (0, 1),
        ] {
            assert_eq!(
                connections_within(descriptors, 10_000, 1_024),
                connections,
                "{descriptors}"
            );
        }
    }
}
