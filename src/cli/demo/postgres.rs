//! A PostgreSQL server of this machine, for the time of a demo.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Failure, pause};
use crate::database::ROLES;
use crate::files::{create_new, replace};

/// Where Debian and its like keep each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// A server takes this long at most to start.
const LOOKS_MAX: u32 = 600;

/// A user of its own, where the demo is run by root: the server refuses to be root's.
const UNPRIVILEGED: &str = "postgres";

const ROLE_NAMES: [&str; 4] = ["owner", "gateway", "publisher", "reader"];

/// A running server; it ends with this value.
pub(super) struct Postgres {
    programs: PathBuf,
    directory: PathBuf,
    port: u16,
    server: Child,
}

/// Where the programs of the newest version are.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let mut found: Vec<PathBuf> = versions.filter_map(|one| Some(one.ok()?.path())).collect();
    found.sort_by_key(number);
    let of_versions = found.into_iter().rev().map(|version| version.join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all: Vec<PathBuf> = of_versions.chain(std::env::split_paths(&path)).collect();
    all.into_iter().find(|bin| bin.join("initdb").exists() && bin.join("postgres").exists())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A program as a user whom the server accepts.
fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let user = [format!("--reuid={UNPRIVILEGED}"), format!("--regid={UNPRIVILEGED}")];
    command.args(user).arg("--clear-groups").arg(program);
    command
}

fn done(command: &mut Command) -> Result<(), Failure> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| {
        let program = command.get_program().to_string_lossy().into_owned();
        format!("`{program}` cannot be run: {error}")
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}

impl Postgres {
    /// Makes one with a certificate for `localhost`, and the roles and the database of grantgate.
    pub(super) fn start(directory: &Path, certificate: (&Path, &Path)) -> Result<Self, Failure> {
        let programs = programs().ok_or(
            "there is no PostgreSQL on this machine: install it (`apt-get install postgresql`, \
             `dnf install postgresql-server`, `brew install postgresql`) and try again",
        )?;
        std::fs::create_dir_all(directory)?;
        let (password, chain, key) = (
            directory.join("password"),
            directory.join("server.crt"),
            directory.join("server.key"),
        );
        create_new(&password, Self::password()?.as_bytes(), 0o600)?;
        create_new(&chain, &std::fs::read(certificate.0)?, 0o644)?;
        create_new(&key, &std::fs::read(certificate.1)?, 0o600)?;
        if is_root() {
            let owner = format!("{UNPRIVILEGED}:{UNPRIVILEGED}");
            done(Command::new("chown").args(["-R", &owner]).arg(directory))?;
            // Its way leads through a folder that is root's alone.
            let way = directory.parent().unwrap_or(directory);
            done(Command::new("chmod").arg("a+x").arg(way))?;
        }
        let data = directory.join("data");
        done(
            unprivileged(&programs.join("initdb"))
                .args(["--auth=scram-sha-256", "--username=postgres", "--no-sync", "--pwfile"])
                .arg(&password)
                .arg("--pgdata")
                .arg(&data),
        )?;
        let rules = "local all postgres trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
        replace(&data.join("pg_hba.conf"), rules.as_bytes(), 0o600)?;
        let port = free_port()?;
        let server = Self::run(&programs, directory, port)?;
        let own = Self { programs, directory: directory.to_owned(), port, server };
        own.until_it_answers()?;
        own.psql(ROLES)?;
        Ok(own)
    }

    fn run(programs: &Path, directory: &Path, port: u16) -> Result<Child, Failure> {
        let shown = directory.display();
        let mut command = unprivileged(&programs.join("postgres"));
        command.arg("-D").arg(directory.join("data")).arg("-p").arg(port.to_string());
        for setting in [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={shown}"),
            "unix_socket_permissions=0700".to_owned(),
            "fsync=off".to_owned(),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={shown}/server.crt"),
            format!("ssl_key_file={shown}/server.key"),
        ] {
            command.arg("-c").arg(setting);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map_err(|error| format!("the database does not start: {error}").into())
    }

    fn until_it_answers(&self) -> Result<(), Failure> {
        for _ in 0..LOOKS_MAX {
            if self.psql("SELECT 1;").is_ok() {
                return Ok(());
            }
            pause();
        }
        Err("the database does not start".into())
    }

    /// As the administrator.
    fn psql(&self, script: &str) -> Result<(), Failure> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-p"]);
        psql.arg(self.port.to_string()).arg("-h").arg(&self.directory);
        psql.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = psql.spawn()?;
        if let Some(mut input) = child.stdin.take() {
            io::Write::write_all(&mut input, script.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into()),
        }
    }

    /// Gives each role a password, and writes it with a file for `--database` beside `files`.
    pub(super) fn roles(&self, files: &Path, trust: &str) -> Result<(), Failure> {
        for role in ROLE_NAMES {
            let password = Self::password()?;
            // Digits only.
            self.psql(&format!("ALTER ROLE grantgate_{role} PASSWORD '{password}';"))?;
            create_new(
                &files.join(format!("secrets/database_{role}")),
                password.as_bytes(),
                0o600,
            )?;
            let text = format!(
                "url = \"{}\"\npassword_file = \"secrets/database_{role}\"\nca_file = \
                 \"certs/servers-ca.pem\"\n\n[bundle]\n{trust}",
                self.url(role)
            );
            create_new(&files.join(format!("{role}.toml")), text.as_bytes(), 0o644)?;
        }
        Ok(())
    }

    pub(super) fn url(&self, role: &str) -> String {
        format!("postgresql://grantgate_{role}@localhost:{}/grantgate", self.port)
    }

    /// The number of its process.
    pub(super) fn id(&self) -> u32 {
        self.server.id()
    }

    fn password() -> Result<String, Failure> {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| "there are no random bytes")?;
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// No server takes port 0: somebody else may take this one meanwhile.
fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    listener.local_addr().map(|address| address.port())
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its children end by themselves, and nothing of it is kept.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
