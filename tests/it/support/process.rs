//! A gateway in a process of its own.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak, mpsc};
use std::time::Duration;

use super::{PATH, Site};
use crate::seam::Seam;

/// A running `grantgate serve`; killed when dropped.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub remote_admin: Option<SocketAddr>,
    log: Arc<Mutex<Vec<String>>>,
    /// Gone once the log was read to its end.
    reading: Weak<()>,
    /// Whoever holds it keeps the log from being read.
    gate: Arc<Mutex<()>>,
}

impl Process {
    /// Starts `serve` and waits until both ports are bound.
    pub fn serve(site: &Site, seam: &Seam) -> Self {
        Self::serve_with(site, seam, &[])
    }

    pub fn serve_with(site: &Site, seam: &Seam, more: &[(&str, &str)]) -> Self {
        Self::start(serve(site, seam, more))
    }

    /// Starts `serve` with a socket that is bound already, as a service manager does.
    pub fn inheriting(site: &Site, seam: &Seam, socket: &TcpListener) -> Self {
        let mut command = serve(site, seam, &[]);
        let socket = socket.try_clone().unwrap();
        command.stdin(std::os::fd::OwnedFd::from(socket)).env("INHERIT", "1");
        Self::start(command)
    }

    /// Starts a [`serve`] command and waits until both ports are bound.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let (sender, receiver) = mpsc::channel();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        let reader = Arc::new(());
        let reading = Arc::downgrade(&reader);
        let gate = Arc::new(Mutex::new(()));
        let open = gate.clone();
        std::thread::spawn(move || {
            let _reader = reader;
            // Reads on after the first address, so that the process never blocks.
            for line in log.lines().map_while(Result::ok) {
                drop(open.lock().unwrap());
                let value: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                let parse = |key: &str| value[key].as_str()?.parse::<SocketAddr>().ok();
                if let (Some(address), Some(admin)) = (parse("address"), parse("admin")) {
                    let _ = sender.send((address, admin, parse("remote_admin")));
                }
                kept.lock().unwrap().push(line);
            }
        });
        let address = receiver.recv_timeout(Duration::from_secs(20));
        let Ok((address, admin, remote_admin)) = address else {
            let _ = child.kill();
            panic!("the gateway did not start");
        };
        Self { child, address, admin, remote_admin, log: lines, reading, gate }
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// What it logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Nothing reads its log while what is returned is locked.
    pub fn gate(&self) -> Arc<Mutex<()>> {
        self.gate.clone()
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}{PATH}", self.address.port())
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end after a signal, which is in order, and gives the whole log.
    pub async fn end(self) -> String {
        self.end_lines().await.concat()
    }

    /// The same, line by line.
    pub async fn end_lines(self) -> Vec<String> {
        let (log, reading) = (self.log.clone(), self.reading.clone());
        assert_eq!(tokio::task::spawn_blocking(|| self.wait()).await.unwrap(), Some(0));
        // Until its end, which the reader sees a moment later.
        super::until("the log has ended", || reading.strong_count() == 0).await;
        log.lock().unwrap().clone()
    }

    /// Waits for the end after a signal.
    pub fn wait(mut self) -> Option<i32> {
        for _ in 0..3000 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        panic!("the process did not end");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command for [`Process::start`].
pub fn serve(site: &Site, seam: &Seam, more: &[(&str, &str)]) -> Command {
    serve_by(env!("CARGO_BIN_EXE_grantgate").as_ref(), site, seam, more)
}

/// The same with a program of another version.
pub fn serve_by(program: &OsStr, site: &Site, seam: &Seam, more: &[(&str, &str)]) -> Command {
    let fixed = [("GRANTGATE__LOG__FORMAT", "json"), ("GRANTGATE__LIMITS__STOP_DELAY_MS", "0")];
    let settings = [&fixed[..], more].concat();
    // A write beyond a limit of file size is then an error, not the end. With INHERIT,
    // standard input is passed on as sd_listen_fds(3) says; DISK is a directory that gets
    // a file system of 3 MiB of its own; UNDER is a program to run it under.
    let script = r#"trap '' XFSZ
        if [ -n "$INHERIT" ]; then
            exec 3<&0 0</dev/null
            export LISTEN_FDS=1 LISTEN_PID=$$
        fi
        if [ -n "$DISK" ]; then
            exec unshare --map-root-user --mount sh -c '
                mount -t tmpfs -o size=3m,mode=700 tmpfs "$DISK" && exec "$@"' sh "$0" serve "$@"
        fi
        exec $UNDER "$0" serve "$@""#;
    let mut command = Command::new("sh");
    command
        .args(["-c".as_ref(), script.as_ref(), program, "--config".as_ref()])
        .arg(site.path("grantgate.toml"))
        .envs(site.environment(seam, &settings))
        .stderr(Stdio::piped());
    command
}

/// Whether a test can do what it needs other programs for. With
/// `GRANTGATE_TESTS_COMPLETE` set it must.
pub fn can(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).status();
    let can = status.is_ok_and(|status| status.success());
    let complete = std::env::var_os("GRANTGATE_TESTS_COMPLETE").is_some();
    assert!(can || !complete, "`{program}` is missing or not allowed");
    can
}

/// Sends a signal by name.
pub fn signal(id: u32, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status().unwrap();
    assert!(status.success());
}
