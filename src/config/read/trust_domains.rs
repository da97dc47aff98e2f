//! `[[trust_domain]]`: whose authorities are believed about which SPIFFE ids.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::Reader;
use super::values::Use;
use crate::config::{AuthoritySettings, TrustDomainSettings};
use crate::domain::{BundleForm, TrustDomain};
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
        let authorities = self.authorities(section);
        let crl_file = self.optional_path(section, "crl_file", Use::Pem);
        let (name, (form, ca_file)) = (name?, authorities?);
        Some(TrustDomainSettings {
            ca_name: format!("trust-domain-ca-{name}"),
            crl_name: format!("trust-domain-crl-{name}"),
            name,
            authorities: AuthoritySettings { ca_file, crl_file },
            form,
        })
    }

    /// Exactly one of two forms: of two files that differ, which would count?
    fn authorities(&mut self, section: &Section<'a>) -> Option<(BundleForm, PathBuf)> {
        let pem = self.optional_path(section, "ca_file", Use::Pem);
        let bundle = self.optional_path(section, "bundle_file", Use::Alone);
        if section.has("ca_file") == section.has("bundle_file") {
            section.refuse(
                "say where the authorities of the trust domain are: exactly one of `ca_file` (PEM) \
                 and `bundle_file` (a SPIFFE bundle, which is a JWK Set)",
            );
            return None;
        }
        pem.map(|path| (BundleForm::Pem, path))
            .or_else(|| bundle.map(|path| (BundleForm::JwkSet, path)))
    }
}
