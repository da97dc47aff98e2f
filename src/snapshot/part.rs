//! What a part of a snapshot is, and which there are.

use super::Snapshot;
use super::parts::{callers, certificates, issuers, names, policy, trial, upstream};
use super::source::Wanted;
use crate::config::Settings;
use crate::telemetry::Metrics;

/// A part: made from files of its own, and carried over where these did not change. How it
/// is made from them is the `build` of its module, which [`super::build`] calls.
pub(super) struct Part {
    /// Its name in metrics and records.
    pub(super) name: &'static str,
    /// Whether a request may be answered otherwise for it.
    pub(super) decides: bool,
    /// The files that it is made from.
    pub(super) files: for<'s> fn(&'s Settings) -> Vec<Wanted<'s>>,
    /// Shows in metrics what is in force.
    pub(super) show: fn(&Snapshot, &Metrics),
}

/// The parts of a snapshot: what is read, watched, compared, shown and documented.
pub(super) const PARTS: [Part; 7] = [
    certificates::PART,
    callers::PART,
    policy::PART,
    trial::PART,
    names::PART,
    upstream::PART,
    issuers::PART,
];

/// Their names.
pub const PART_NAMES: [&str; PARTS.len()] = {
    let [a, b, c, d, e, f, g] = PARTS;
    [a.name, b.name, c.name, d.name, e.name, f.name, g.name]
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::config::{Environment, load};

    /// A part that is in no list would never be read again.
    #[test]
    fn every_file_of_parts_is_in_the_list() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/snapshot/parts");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.is_file() && !path.ends_with("mod.rs"));
        assert_eq!(files.count(), PARTS.len());
    }

    #[test]
    fn no_two_files_have_the_same_name() {
        let text = "[listener]\ncertificate_file = \"c\"\nprivate_key_file = \"k\"\n\
                    client_ca_file = \"a\"\nclient_crl_file = \"r\"\n\
                    [upstream]\napi_key_file = \"s\"\nca_file = \"u\"\n\
                    [policy]\ncandidate_rules_file = \"t\"\n[audit]\ndirectory = \"d\"\n\
                    [admin.remote]\naddress = \"0.0.0.0:9465\"\ncertificate_file = \"ac\"\n\
                    private_key_file = \"ak\"\nclient_ca_file = \"aa\"\n\
                    [[issuer]]\nname = \"one\"\nissuer = \"1\"\naudience = \"x\"\njwks_file = \"j1\"\n\
                    [[issuer]]\nname = \"two\"\nissuer = \"2\"\naudience = \"x\"\njwks_file = \"j2\"\n\
                    [[trust_domain]]\nname = \"d\"\nca_file = \"d1\"\ncrl_file = \"d2\"\n\
                    [[trust_domain]]\nname = \"ca-d\"\nbundle_file = \"d3\"\ncrl_file = \"d4\"\n";
        let settings = load(Path::new("g.toml"), text, &Environment::new()).unwrap();
        let wanted: Vec<_> = PARTS.iter().flat_map(|part| (part.files)(&settings)).collect();
        let names: BTreeSet<_> = wanted.iter().map(|wanted| wanted.name).collect();
        let paths: BTreeSet<_> = wanted.iter().map(|wanted| wanted.path).collect();
        assert_eq!((names.len(), paths.len()), (wanted.len(), wanted.len()));
        assert_eq!(wanted.len(), 20, "every setting of a file that is reloaded");
    }
}
