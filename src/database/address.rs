//! Where a database is, and as whom it is asked.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// To one host, until a connection may be used.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A peer that has gone without a word is noticed after about this.
const SILENCE: Duration = Duration::from_secs(15);

/// A database's URL: hosts, user and name, and no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(Config);

/// What the files of a database are.
#[derive(Debug, Clone)]
pub struct Files {
    /// Where it is.
    pub address: Address,
    /// The user's password.
    pub password_file: Option<PathBuf>,
    /// Trust only these authorities.
    pub ca_file: Option<PathBuf>,
}

impl Address {
    /// Reads `postgresql://user@host[:port][,host…]/database`, or with `?host=/directory[&port=…]` one
    /// that listens on a Unix socket.
    ///
    /// # Errors
    /// What is wrong with it, without a password that may stand in it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = "must be postgresql://user@host:port/database";
        if !text.starts_with("postgresql://") && !text.starts_with("postgres://") {
            return Err(form.into());
        }
        let (before, query) = text.split_once('?').unwrap_or((text, ""));
        let (host, port) = query.split_once('&').unwrap_or((query, "port=5432"));
        let is_socket = host.starts_with("host=%2F") || host.starts_with("host=/");
        let is_port = port.strip_prefix("port=").is_some_and(|port| port.parse::<u16>().is_ok());
        if !(query.is_empty() || is_socket && is_port) {
            let text =
                "may have no parameters but `?host=/directory`, for a Unix socket, and `&port=`";
            return Err(text.into());
        }
        if before.contains('#') {
            return Err(form.into());
        }
        // The library's own error may repeat what it could not read.
        let config: Config = text.parse().map_err(|_| form.to_owned())?;
        if config.get_password().is_some() {
            return Err("may hold no password; put it into a file and name that".into());
        }
        if config.get_user().is_none_or(str::is_empty) {
            return Err(format!("names no user: it {form}"));
        }
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err(format!("names no database: it {form}"));
        }
        let hosts = config.get_hosts();
        let sockets = hosts.iter().filter(|host| matches!(host, Host::Unix(_))).count();
        if hosts.is_empty() || (sockets > 0 && sockets < hosts.len()) {
            return Err(format!("names no host: it {form}"));
        }
        Ok(Self(config))
    }

    /// Whether it is on this machine, and spoken to without TLS.
    pub(super) fn is_socket(&self) -> bool {
        self.0.get_hosts().iter().any(|host| matches!(host, Host::Unix(_)))
    }

    /// For people.
    #[must_use]
    pub fn host(&self) -> String {
        let names = self.0.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        names.collect::<Vec<_>>().join(",")
    }

    /// As whom it is asked.
    #[must_use]
    pub fn user(&self) -> &str {
        self.0.get_user().unwrap_or_default()
    }

    /// Those settings for each host.
    pub(super) fn each(&self, config: &Config) -> Vec<Config> {
        let ports = self.0.get_ports();
        let one = |(place, host): (usize, &Host)| {
            let mut one = config.clone();
            match host {
                Host::Tcp(name) => one.host(name),
                Host::Unix(path) => one.host_path(path),
            };
            if let Some(port) = ports.get(place).or(ports.first()) {
                one.port(*port);
            }
            one
        };
        self.0.get_hosts().iter().enumerate().map(one).collect()
    }

    /// What the client needs, without a host, and with the settings that are the same for all.
    pub(super) fn config(&self) -> Config {
        let mut config = Config::new();
        config.user(self.user()).dbname(self.0.get_dbname().unwrap_or_default());
        config
            .application_name(concat!("grantgate/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(SILENCE)
            .keepalives_idle(SILENCE / 3)
            .keepalives_interval(SILENCE / 3)
            .keepalives_retries(2);
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_user_host_and_database_and_no_secret() {
        for good in [
            "postgresql://gate@db.example/grantgate",
            "postgres://gate@db.example:5433,other.example:5433/grantgate",
            "postgresql://gate@/grantgate?host=/run/postgresql",
            "postgresql://gate@/grantgate?host=/run/postgresql&port=5433",
        ] {
            assert!(Address::parse(good).is_ok(), "{good}: {:?}", Address::parse(good));
        }
        for (bad, said) in [
            ("", "must be postgresql://"),
            ("https://db.example/", "must be postgresql://"),
            ("host=db user=gate", "must be postgresql://"),
            ("postgresql://gate:hunter2@db.example/grantgate", "no password"),
            ("postgresql://db.example/grantgate", "names no user"),
            ("postgresql://gate@db.example", "names no database"),
            ("postgresql://gate@/grantgate", "names no host"),
            ("postgresql://gate@db.example/grantgate?sslmode=disable", "no parameters"),
            ("postgresql://gate@db.example/grantgate?host=/run&password=x", "no parameters"),
            ("postgresql://gate@db.example:port/grantgate", "must be postgresql://"),
        ] {
            let error = Address::parse(bad).unwrap_err();
            assert!(error.contains(said) && !error.contains("hunter2"), "{bad}: {error}");
        }
        let two = Address::parse("postgresql://gate@a,b/grantgate").unwrap();
        assert_eq!((two.host().as_str(), two.user()), ("a,b", "gate"));
    }
}
