//! `[[trust_domain]]`: whose authorities are believed about which SPIFFE ids.

use std::collections::BTreeSet;

use super::Reader;
use super::values::Use;
use crate::config::{AuthoritySettings, TrustDomainSettings};
use crate::domain::TrustDomain;
use crate::toml_source::Section;

/// Trust domains in all.
const TRUST_DOMAINS_MAX: usize = 32;

impl<'a> Reader<'a> {
    pub(super) fn trust_domains(
        &mut self,
        sections: Vec<Section<'a>>,
    ) -> Option<Vec<TrustDomainSettings>> {
        if let Some(section) = sections.get(TRUST_DOMAINS_MAX) {
            section.refuse(format!("more than {TRUST_DOMAINS_MAX} trust domains"));
        }
        let mut names = BTreeSet::new();
        let mut all = Some(Vec::new());
        for section in sections {
            let domain = self.trust_domain(&section);
            if let Some(domain) = &domain
                && !names.insert(domain.name.clone())
            {
                section.refuse(format!(
                    "a second trust domain `{}`: put all of its authorities into one file",
                    domain.name
                ));
            }
            section.finish();
            match (domain, &mut all) {
                (Some(domain), Some(list)) => list.push(domain),
                _ => all = None,
            }
        }
        all
    }

    pub(super) fn trust_domain(&mut self, section: &Section<'a>) -> Option<TrustDomainSettings> {
        let name = self.known_as(section, "name", None, true).and_then(|place| {
            let text = place.string()?;
            let name = TrustDomain::parse(text);
            if name.is_none() {
                place.refuse(format!(
                    "`{text}` is not the name of a trust domain such as `example.org`: lower-case \
                     letters, digits, `.`, `-` and `_`, at most 255 bytes, without `spiffe://` \
                     (SPIFFE-ID, section 2.1)"
                ));
            }
            name
        });
        let ca_file = self.path(section, "ca_file", None, Use::Pem);
        let crl_file = self.optional_path(section, "crl_file", Use::Pem);
        let name = name?;
        Some(TrustDomainSettings {
            ca_name: format!("trust-domain-ca-{name}.pem"),
            crl_name: format!("trust-domain-crl-{name}.pem"),
            name,
            authorities: AuthoritySettings { ca_file: ca_file?, crl_file },
        })
    }
}
