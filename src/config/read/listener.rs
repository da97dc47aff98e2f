//! `[listener]` and `[admin]`: what is bound.

use super::Reader;
use super::conflicts::NamedAddress;
use super::urls::ascii_form;
use super::values::Use;
use crate::config::{
    AdminSettings, AuthoritySettings, ClientSettings, ForwardedHeader, ListenerSettings,
    RemoteAdminSettings, TrustDomainSettings,
};
use crate::domain::{Host, HostError, Networks};
use crate::toml_source::Section;

/// As many as are set, or as the cores that this process may use.
fn workers_of(number: usize) -> usize {
    if number > 0 {
        return number;
    }
    std::thread::available_parallelism().map_or(1, usize::from)
}

const FORWARDED_HEADERS: &[(&str, ForwardedHeader)] = &[
    ("x-forwarded-for", ForwardedHeader::XForwardedFor),
    ("forwarded", ForwardedHeader::Forwarded),
];

impl<'a> Reader<'a> {
    pub(super) fn listener(
        &mut self,
        section: Section<'a>,
        domains: Option<Vec<TrustDomainSettings>>,
    ) -> Option<ListenerSettings> {
        let address = self.address(&section, "address", "0.0.0.0:8443");
        let certificate_file = self.path(&section, "certificate_file", None, Use::Pem);
        let private_key_file = self.path(&section, "private_key_file", None, Use::Pem);
        let clients = self.clients(&section, domains);
        let hostnames = self.hostnames(&section);
        let workers = self.number(&section, "workers", 0..=256, 0);
        let proxy_protocol_from = self.networks(&section, "proxy_protocol_from");
        let forwarded_from = self.networks(&section, "forwarded_from");
        let forwarded_header = self.choice(&section, "forwarded_header", FORWARDED_HEADERS);
        let unused = forwarded_from.as_ref().is_some_and(Networks::is_empty)
            && forwarded_header == Some(ForwardedHeader::Forwarded);
        let text = "does nothing: `listener.forwarded_from` is empty";
        self.warn(&section, "forwarded_header", unused, text);
        section.finish();
        Some(ListenerSettings {
            address: address?,
            certificate_file: certificate_file?,
            private_key_file: private_key_file?,
            clients: clients?,
            hostnames: hostnames?,
            workers: workers.and_then(|number| usize::try_from(number).ok()).map(workers_of)?,
            proxy_protocol_from: proxy_protocol_from?,
            forwarded_from: forwarded_from?,
            forwarded_header: forwarded_header?,
        })
    }

    /// Turned on by any authorities.
    fn clients(
        &mut self,
        section: &Section<'a>,
        domains: Option<Vec<TrustDomainSettings>>,
    ) -> Option<Option<ClientSettings>> {
        let ca_file = self.optional_path(section, "client_ca_file", Use::Pem);
        let crl_file = self.optional_path(section, "client_crl_file", Use::Pem);
        let choices = [("optional", false), ("required", true)];
        let required = self.choice(section, "client_certificates", &choices);
        if let (None, Some(place)) = (&ca_file, section.value("client_crl_file")) {
            place.refuse("`listener.client_crl_file` needs `listener.client_ca_file`");
        }
        let (domains, required) = (domains?, required?);
        if ca_file.is_none() && domains.is_empty() {
            if required {
                section.refuse(
                    "required client certificates need `listener.client_ca_file` or a \
                     `[[trust_domain]]`",
                );
            }
            return Some(None);
        }
        let general = ca_file.map(|ca_file| AuthoritySettings { ca_file, crl_file });
        Some(Some(ClientSettings { general, domains, required }))
    }

    /// Proxies that are believed.
    fn networks(&mut self, section: &Section<'a>, key: &str) -> Option<Networks> {
        let written = self.list(section, key)?;
        let mut networks = Networks::default();
        for (place, text) in &written {
            if let Err(error) = networks.add(text) {
                place.refuse(format!("`{text}` {error}"));
            }
        }
        let text = "believes every client about where it comes from: list the proxies only";
        self.warn(section, key, networks.has_everyone(), text);
        Some(networks)
    }

    /// Only what the `Host` of a request can equal.
    fn hostnames(&mut self, section: &Section<'a>) -> Option<Vec<Host>> {
        let written = self.list(section, "hostnames")?;
        let mut hosts: Vec<Host> = Vec::new();
        for (place, text) in &written {
            match Host::parse(text) {
                Ok(host) if hosts.contains(&host) => {
                    place.refuse(format!("`{text}` is in `listener.hostnames` twice"));
                }
                Ok(host) => hosts.push(host),
                Err(HostError::Empty) => place.refuse(
                    "`listener.hostnames` has an empty name, which no request has; leave the \
                     list empty to allow any host",
                ),
                Err(error) => {
                    let form = ascii_form(text).filter(|_| error == HostError::NotAscii);
                    let form = form.map_or_else(String::new, |form| format!(": `{form}`"));
                    place.refuse(format!("`{text}` {error}{form}"));
                }
            }
        }
        Some(hosts)
    }

    pub(super) fn admin(&mut self, section: Section<'a>) -> Option<AdminSettings> {
        let address = self.address(&section, "address", "127.0.0.1:9464");
        if let (Some(place), Some(address)) = (section.value("address"), address)
            && !address.ip().is_loopback()
        {
            place.refuse(
                "the admin listener has no TLS and no authentication: bind it to a loopback \
                 address such as 127.0.0.1:9464, and set `admin.remote` for other machines",
            );
        }
        let remote = self.remote_admin(section.section("remote"));
        section.finish();
        Some(AdminSettings { address: address?, remote: remote? })
    }

    /// All of it or none of it.
    fn remote_admin(&mut self, section: Section<'a>) -> Option<Option<RemoteAdminSettings>> {
        let place = self.known(&section, "address");
        let address = place.map(|place| {
            let address = self.parse_address(&place, "0.0.0.0:9465")?;
            let setting = section.path_of("address");
            self.addresses.push(NamedAddress { setting, place: Some(place), address });
            Some(address)
        });
        let certificate_file = self.optional_path(&section, "certificate_file", Use::Pem);
        let private_key_file = self.optional_path(&section, "private_key_file", Use::Pem);
        let client_ca_file = self.optional_path(&section, "client_ca_file", Use::Pem);
        let remote = match (address, certificate_file, private_key_file, client_ca_file) {
            (None, None, None, None) => Some(None),
            (
                Some(address),
                Some(certificate_file),
                Some(private_key_file),
                Some(client_ca_file),
            ) => address.map(|address| {
                Some(RemoteAdminSettings {
                    address,
                    certificate_file,
                    private_key_file,
                    client_ca_file,
                })
            }),
            _ => {
                section.refuse(
                    "`admin.remote` needs `address`, `certificate_file`, `private_key_file` and \
                     `client_ca_file`: only clients with a certificate are served",
                );
                None
            }
        };
        section.finish();
        remote
    }
}
