//! What is wrong, or soon will be, with certificates and lists that can be used: one list
//! of findings for `check`, the log of a start and of a reload, and readiness. What depends
//! on the time is computed for a moment that is given.

pub(super) mod clients;
mod server;

use jiff::{SignedDuration, Timestamp};

use super::pem::{PemFile, PlacedCertificate, ordinal};
use super::svid;
use crate::domain::{Problem, TrustDomain};
pub use server::inspect_server;

/// Certificates that expire sooner are pointed out.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Somebody may be refused, or will be soon.
    Warning,
    /// Somebody is refused.
    Error,
    /// Nobody can be served.
    Outage,
}

impl Severity {
    /// For programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Outage => "outage",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// Where it is, what it means and what to do.
    pub problem: Problem,
}

/// Whose connections something is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `[listener]`.
    Callers,
    /// `[admin.remote]`.
    Admin,
}

/// What is known of the certificates and lists of a gateway.
#[derive(Debug, Clone, Default)]
pub struct Inspection {
    /// What holds whatever the time is.
    fixed: Vec<Finding>,
    dated: Vec<Dated>,
    /// Where clients must have a certificate and lists are in use.
    required: Option<Required>,
}

/// Something that is good for a time.
#[derive(Debug, Clone)]
struct Dated {
    what: What,
    file: String,
    line: u32,
    /// For messages.
    shown: String,
    from: Option<Timestamp>,
    until: Timestamp,
    /// The one trust domain that it is for.
    domain: Option<TrustDomain>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A server's own certificate.
    Server(Side),
    /// One that is sent together with it.
    Above,
    /// Whose signature clients need.
    Authority(Side),
    RevocationList,
}

/// When the authorities or revocation lists of a trust domain expire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainExpiry {
    /// Of which.
    pub domain: TrustDomain,
    /// `authority` or `revocation-list`.
    pub kind: &'static str,
    /// When the last of the authorities, or the first of the lists, expires.
    pub until: Timestamp,
}

/// Until when each authority has a usable list; none for one without.
#[derive(Debug, Clone)]
struct Required {
    file: String,
    authorities: Vec<Option<Timestamp>>,
}

impl Inspection {
    /// All of it in one.
    #[must_use]
    pub fn of(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::default();
        for part in parts {
            all.fixed.extend(part.fixed);
            all.dated.extend(part.dated);
            all.required = all.required.or(part.required);
        }
        all
    }

    /// What is wrong at this moment, the worst first.
    #[must_use]
    pub fn findings(&self, now: Timestamp) -> Vec<Finding> {
        let dated = self.dated.iter().filter_map(|dated| dated.finding(now));
        let required = self.required.as_ref().and_then(|required| required.finding(now));
        let mut found: Vec<Finding> =
            self.fixed.iter().cloned().chain(dated).chain(required).collect();
        found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        found
    }

    /// When each kind of certificate or list expires. Of a server's chain its own: clients
    /// may not need the rest. Of authorities the last: retired ones do no harm while another
    /// is left. Of lists the first.
    #[must_use]
    pub fn expiries(&self) -> Vec<(&'static str, Timestamp)> {
        let of = |what: What| {
            let own = self.dated.iter().filter(move |d| d.what == what && d.domain.is_none());
            own.map(|d| d.until)
        };
        let sides = [
            ("server", "client-ca", Side::Callers),
            ("admin-server", "admin-client-ca", Side::Admin),
        ];
        let mut found = Vec::new();
        for (server, authority, side) in sides {
            found.push((server, of(What::Server(side)).next()));
            found.push((authority, of(What::Authority(side)).max()));
            if side == Side::Callers {
                found.push(("client-crl", of(What::RevocationList).min()));
            }
        }
        found.into_iter().filter_map(|(role, time)| Some((role, time?))).collect()
    }

    /// The same of each trust domain.
    #[must_use]
    pub fn domain_expiries(&self) -> Vec<DomainExpiry> {
        let mut found: Vec<DomainExpiry> = Vec::new();
        for dated in &self.dated {
            let Some(domain) = &dated.domain else { continue };
            let is_list = dated.what == What::RevocationList;
            let kind = if is_list { "revocation-list" } else { "authority" };
            match found.iter_mut().find(|known| known.domain == *domain && known.kind == kind) {
                Some(known) if is_list => known.until = known.until.min(dated.until),
                Some(known) => known.until = known.until.max(dated.until),
                None => {
                    found.push(DomainExpiry { domain: domain.clone(), kind, until: dated.until });
                }
            }
        }
        found
    }

    /// All authorities of one listener. Somebody can connect if those of one can.
    pub(super) fn of_sets(sets: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::default();
        let mut required: Option<Option<Required>> = None;
        for set in sets {
            all.fixed.extend(set.fixed);
            all.dated.extend(set.dated);
            required = Some(match (required, set.required) {
                (None, own) => own,
                (Some(Some(mut before)), Some(own)) => {
                    before.authorities.extend(own.authorities);
                    Some(before)
                }
                (Some(_), _) => None,
            });
        }
        all.required = required.flatten();
        all
    }

    /// These are the authorities of a trust domain.
    pub(super) fn is_of_domain(
        &mut self,
        domain: &TrustDomain,
        file: PemFile<'_>,
        authorities: &[PlacedCertificate],
    ) {
        for dated in &mut self.dated {
            dated.domain = Some(domain.clone());
        }
        for (placed, number) in authorities.iter().zip(1..) {
            let other = svid::trust_domain_of_authority(&placed.item);
            if let Some(other) = other.filter(|other| other != domain.as_str()) {
                let text = format!(
                    "the {} authority of trust domain `{domain}` says that it is of `{}` (X509-SVID, \
                     section 3.2): is it the file of another domain?",
                    ordinal(number),
                    other.escape_debug()
                );
                self.fixed(Severity::Warning, file.problem_at(placed.line, text));
            }
        }
    }

    /// Something that keeps nobody out for sure.
    pub(super) fn doubt(&mut self, doubt: Option<Problem>) {
        let warning = |problem| Finding { severity: Severity::Warning, problem };
        self.fixed.extend(doubt.map(warning));
    }

    fn fixed(&mut self, severity: Severity, problem: Problem) {
        self.fixed.push(Finding { severity, problem });
    }
}

impl Dated {
    fn finding(&self, now: Timestamp) -> Option<Finding> {
        let (shown, until) = (&self.shown, self.until);
        // A certificate is valid through its last second (RFC 5280, section 4.1.2.5); a
        // list is not good any more at the time of its next update.
        let over = match self.what {
            What::RevocationList => until <= now,
            What::Server(_) | What::Above | What::Authority(_) => until < now,
        };
        let early = self.from.filter(|from| *from > now);
        let soon = until.duration_since(now) < SOON;
        let (severity, text) = match (self.what, over, early) {
            (What::Server(side), true, _) => (
                outage_of(side),
                format!(
                    "{shown} expired at {until}: clients that verify it cannot connect; put a new \
                     one in place"
                ),
            ),
            (What::Server(side), false, Some(from)) => (
                outage_of(side),
                format!(
                    "{shown} is not valid before {from}: until then clients that verify it cannot \
                     connect; put one that is valid in place, or set this machine's clock right"
                ),
            ),
            (What::Above, true, _) => (
                Severity::Error,
                format!(
                    "{shown} expired at {until}: clients that need it cannot connect; put the new \
                     one of its authority in place"
                ),
            ),
            (What::Above, false, Some(from)) => (
                Severity::Error,
                format!("{shown} is not valid before {from}: clients that need it cannot connect"),
            ),
            (What::Server(_) | What::Above, false, None) if soon => (
                Severity::Warning,
                format!("{shown} expires at {until}, in {}: replace it", days(until, now)),
            ),
            (What::Authority(_), true, _) => (
                Severity::Warning,
                format!(
                    "{shown} expired at {until}, and what it has signed is still accepted: an \
                     authority that is trusted is so without an end (RFC 5280, section 6.1.1); \
                     take it out when it is to be trusted no more"
                ),
            ),
            (What::RevocationList, true, _) => (
                Severity::Error,
                format!(
                    "{shown} was good until {until}: every certificate of this authority is \
                     refused; put its newest list in place"
                ),
            ),
            _ => return None,
        };
        let problem =
            Problem { line: Some(self.line), ..Problem::of_file(self.file.clone(), text) };
        Some(Finding { severity, problem })
    }
}

/// Without its own certificate the gateway serves nobody; without that of the admin
/// listener it is not watched.
fn outage_of(side: Side) -> Severity {
    match side {
        Side::Callers => Severity::Outage,
        Side::Admin => Severity::Error,
    }
}

impl Required {
    fn finding(&self, now: Timestamp) -> Option<Finding> {
        let in_force = |until: &Option<Timestamp>| until.is_some_and(|until| until > now);
        if self.authorities.iter().any(in_force) {
            return None;
        }
        let text = "client certificates are required, and no authority has a revocation list in \
                    force: nobody can connect";
        let problem = Problem::of_file(self.file.clone(), text);
        Some(Finding { severity: Severity::Outage, problem })
    }
}

fn days(until: Timestamp, now: Timestamp) -> String {
    match until.duration_since(now).as_hours() / 24 {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests;
