//! A PostgreSQL server of Debian's package, on loopback, with TLS and roles as `database roles`
//! makes them.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio_postgres::{Client, NoTls};

use super::{Site, grantgate};

const PASSWORD: &str = "not a secret";

/// A running server; killed when dropped.
pub struct Postgres {
    directory: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

/// Where Debian keeps the newest version; none where there is none.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<PathBuf> = versions.filter_map(|one| Some(one.ok()?.path())).collect();
    found.sort();
    found.pop().map(|version| version.join("bin"))
}

/// As a user who is not root, which the server insists on.
fn unprivileged(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

fn done(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Postgres {
    /// One with the certificate of the site's `localhost`, an empty schema and all roles; none
    /// where the machine has no server, which is an error where every test must run.
    pub async fn start(site: &Site) -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(std::env::var_os("GRANTGATE_TESTS_COMPLETE").is_none(), "no PostgreSQL here");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("password"), PASSWORD).unwrap();
        fs::copy(site.path("certs/sandbox.pem"), at("server.crt")).unwrap();
        fs::copy(site.path("certs/sandbox.key"), at("server.key")).unwrap();
        done(Command::new("chmod").args(["0600"]).arg(at("server.key")));
        if rustix::process::geteuid().is_root() {
            done(Command::new("chown").args(["-R", "postgres:postgres"]).arg(directory.path()));
        }
        let data = at("data");
        done(
            unprivileged(&programs.join("initdb"))
                .args(["--auth=scram-sha-256", "--username=postgres", "--no-sync", "--pwfile"])
                .arg(at("password"))
                .arg(&data),
        );
        let root = directory.path().display();
        let settings = format!(
            "listen_addresses = '127.0.0.1,127.0.0.2'\nunix_socket_directories = '{root}'\nfsync = off\n\
             ssl = on\nssl_cert_file = '{root}/server.crt'\nssl_key_file = '{root}/server.key'\n"
        );
        fs::write(data.join("grantgate.conf"), settings).unwrap();
        let include = "include 'grantgate.conf'\n";
        let known = fs::read_to_string(data.join("postgresql.conf")).unwrap();
        fs::write(data.join("postgresql.conf"), known + include).unwrap();
        let rules = "local all postgres trust\nlocal replication postgres trust\nlocal grantgate all scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(data.join("pg_hba.conf"), rules).unwrap();
        let mut server = Self { directory, port: 0, child: None };
        server.run().await;
        // Twice: it can be repeated.
        for _ in 0..2 {
            server.psql(&grantgate(&["database", "roles"]));
        }
        let admin = server.admin("postgres").await;
        for role in ["owner", "gateway", "publisher", "reader"] {
            let set = format!("ALTER ROLE grantgate_{role} PASSWORD '{PASSWORD}'");
            admin.batch_execute(&set).await.unwrap();
            let file = server.file(site, role);
            fs::write(site.path(&format!("{role}.toml")), file).unwrap();
        }
        fs::write(site.path("secrets/database"), PASSWORD).unwrap();
        done(Command::new("chmod").arg("0600").arg(site.path("secrets/database")));
        Some(server)
    }

    /// A copy that follows this one.
    pub async fn standby(&self) -> Self {
        let directory = tempfile::tempdir().unwrap();
        if rustix::process::geteuid().is_root() {
            done(Command::new("chown").args(["postgres:postgres"]).arg(directory.path()));
        }
        let mut copy = unprivileged(&programs().unwrap().join("pg_basebackup"));
        copy.args(["--write-recovery-conf", "--checkpoint=fast", "-U", "postgres", "-p"]);
        copy.arg(self.port.to_string()).arg("-h").arg(self.directory.path());
        done(copy.arg("-D").arg(directory.path().join("data")));
        let mut standby = Self { directory, port: 0, child: None };
        standby.run().await;
        standby
    }

    /// The port of its server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What an administrator does.
    fn psql(&self, script: &str) {
        let mut psql = Command::new(programs().unwrap().join("psql"));
        psql.args([
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "postgres",
            "-p",
            &self.port.to_string(),
        ]);
        psql.arg("-h").arg(self.directory.path()).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = psql.spawn().unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Starts the server, on its port if it had one. No server takes port 0, so a free one may be
    /// taken by somebody else meanwhile: then another one is tried.
    pub async fn run(&mut self) {
        for _ in 0..10 {
            if self.port == 0 {
                let free = TcpListener::bind("127.0.0.1:0").unwrap();
                self.port = free.local_addr().unwrap().port();
            }
            let mut command = unprivileged(&programs().unwrap().join("postgres"));
            command.arg("-D").arg(self.directory.path().join("data"));
            command.args(["-p", &self.port.to_string(), "-c"]);
            command.arg(format!("unix_socket_directories={}", self.directory.path().display()));
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            self.child = Some(command.spawn().unwrap());
            for _ in 0..1_000 {
                if self.connect("postgres").await.is_ok() {
                    return;
                }
                if self.child.as_mut().unwrap().try_wait().unwrap().is_some() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            self.port = 0;
        }
        panic!("the server does not start");
    }

    /// `kill -9` of the server: nothing is finished.
    pub fn kill(&mut self) {
        if self.child.is_some() {
            // What is stopped would stay for ever.
            self.signal(Signal::CONT);
        }
        if let Some(mut child) = self.child.take() {
            // Its children notice by themselves.
            let _ = child.kill();
            let _ = child.wait();
            let _ = fs::remove_file(self.directory.path().join("data/postmaster.pid"));
        }
    }

    /// Stops or goes on with every process of the server: half open, as if its machine hung.
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().unwrap().id();
        let all = fs::read_to_string(format!("/proc/{child}/task/{child}/children"));
        let all = all.unwrap_or_default();
        let children = all.split_whitespace().map(|id| id.parse::<i32>().unwrap());
        for id in children.chain([i32::try_from(child).unwrap()]) {
            let _ = kill_process(Pid::from_raw(id).unwrap(), signal);
        }
    }

    async fn connect(&self, database: &str) -> Result<Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.directory.path()).port(self.port).user("postgres").dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// As the server's administrator.
    pub async fn admin(&self, database: &str) -> Client {
        self.connect(database).await.unwrap()
    }

    /// The URL for a role.
    pub fn url(&self, role: &str) -> String {
        format!("postgresql://grantgate_{role}@localhost:{}/grantgate", self.port)
    }

    /// The same by way of the socket of this machine.
    pub fn socket_url(&self, role: &str) -> String {
        let directory = self.directory.path().display();
        format!("postgresql://grantgate_{role}@/grantgate?host={directory}&port={}", self.port)
    }

    /// A file for `--database`.
    fn file(&self, site: &Site, role: &str) -> String {
        let path = |name: &str| site.path(name).display().to_string();
        format!(
            "url = \"{}\"\npassword_file = \"{}\"\nca_file = \"{}\"\n",
            self.url(role),
            path("secrets/database"),
            path("certs/servers-ca.pem")
        )
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}
