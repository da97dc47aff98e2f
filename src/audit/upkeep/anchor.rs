//! Checkpoints on their way out: to where whoever could change the log cannot change them.
//!
//! On a thread of its own: no grant waits for a disk or a command here. Each checkpoint goes
//! to the log stream and is appended to a file; the newest is kept beside the segments and
//! given to a command. When they come faster than the command takes them it gets the newest,
//! which proves all that those before it do.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::audit::journal::queue::Published;
use crate::audit::log::directory::NEWEST_CHECKPOINT;
use crate::audit::upkeep::{OnFailure, Task};
use crate::files::{install, open_to_append};

/// How long a command may take for one checkpoint.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(10);

const COMMAND_LOOK_EVERY: Duration = Duration::from_millis(20);

/// A delivery that takes longer hangs: a file on a machine that is gone, for one.
const DELIVERY_TIME_MAX: Duration = Duration::from_secs(15);

/// Those that come sooner after a delivery than this are delivered together: under load there
/// is one for every few thousand records, and each delivery syncs files.
const PAUSE: Duration = Duration::from_millis(250);

/// So many checkpoints wait for their delivery; those beyond are in the log only.
const WAITING_MAX: usize = 10_000;

/// Where checkpoints go.
#[derive(Debug, Clone, Default)]
pub struct AnchorSettings {
    /// The audit directory: its `checkpoint` is the newest.
    pub directory: PathBuf,
    /// Each is appended to this file.
    pub file: Option<PathBuf>,
    /// A program with its arguments; the checkpoint is its standard input.
    pub command: Vec<String>,
}

/// Hands checkpoints on.
pub struct Anchors {
    state: Arc<Mutex<State>>,
    thread: Mutex<Option<Thread>>,
}

/// Where checkpoints are put in, and what tells that the thread has ended.
type Thread = (SyncSender<Published>, Receiver<()>);

#[derive(Default)]
struct State {
    newest: Option<Published>,
    failure: Option<String>,
    /// Since when the delivery takes that is under way.
    delivering: Option<Instant>,
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Anchors {
    /// Starts the thread. `failed` is told of failures.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(settings: AnchorSettings, failed: OnFailure) -> io::Result<Self> {
        let state = Arc::new(Mutex::new(State::default()));
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let (ended, end) = channel();
        let shared = state.clone();
        let run = move || {
            run(&settings, &receiver, &shared, &failed);
            let _ = ended.send(());
        };
        std::thread::Builder::new().name("audit-anchor".into()).spawn(run)?;
        Ok(Self { state, thread: Mutex::new(Some((sender, end))) })
    }

    /// Hands a checkpoint on, without waiting.
    pub fn publish(&self, checkpoint: Published) {
        lock(&self.state).newest = Some(checkpoint.clone());
        if let Some((sender, _)) = lock(&self.thread).as_ref() {
            // Where so many wait the delivery hangs, which shows.
            let _ = sender.try_send(checkpoint);
        }
    }

    /// Waits until the last checkpoint is delivered, unless that hangs. There is none after
    /// it.
    pub fn finish(&self) {
        let Some((sender, end)) = lock(&self.thread).take() else { return };
        drop(sender);
        if end.recv_timeout(DELIVERY_TIME_MAX) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("the last checkpoint is not anchored: its delivery hangs");
        }
    }

    /// The newest checkpoint.
    #[must_use]
    pub fn newest(&self) -> Option<Published> {
        lock(&self.state).newest.clone()
    }

    /// Why the newest is not where it should be.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let state = lock(&self.state);
        let took = state.delivering.map(|since| since.elapsed());
        match took.filter(|took| *took > DELIVERY_TIME_MAX) {
            Some(took) => Some(format!("its delivery has taken {} s", took.as_secs())),
            None => state.failure.clone(),
        }
    }
}

fn run(
    settings: &AnchorSettings,
    receiver: &Receiver<Published>,
    state: &Mutex<State>,
    failed: &OnFailure,
) {
    let mut not_before = Instant::now();
    while let Ok(first) = receiver.recv() {
        let mut all = vec![first];
        // To the end of the pause, or of the log.
        let left = || not_before.saturating_duration_since(Instant::now());
        while let Ok(next) = receiver.recv_timeout(left()) {
            all.push(next);
        }
        lock(state).delivering = Some(Instant::now());
        let failure = deliver(settings, &all).err();
        if let Some(error) = &failure {
            failed(Task::Anchor);
            tracing::error!(%error, "a checkpoint could not be anchored");
        }
        let mut state = lock(state);
        (state.failure, state.delivering) = (failure, None);
        not_before = Instant::now() + PAUSE;
    }
}

/// To every place, whatever one of them says.
fn deliver(settings: &AnchorSettings, all: &[Published]) -> Result<(), String> {
    for checkpoint in all {
        let (size, root) = (checkpoint.size, checkpoint.root.as_str());
        tracing::info!(size, root, checkpoint = checkpoint.text.as_deref(), "audit checkpoint");
    }
    let texts: Vec<&str> = all.iter().filter_map(|c| c.text.as_deref()).collect();
    let Some(newest) = texts.last() else { return Ok(()) };
    let place = settings.directory.join(NEWEST_CHECKPOINT);
    let failed = |path: &Path, error: io::Error| format!("`{}`: {error}", path.display());
    let kept = keep(&place, newest).map_err(|e| failed(&place, e));
    let appended = settings
        .file
        .as_ref()
        .map_or(Ok(()), |file| append(file, &texts.concat()).map_err(|error| failed(file, error)));
    let given = tell(&settings.command, newest);
    kept.and(appended).and(given)
}

/// Puts the newest in the place of the one before.
fn keep(place: &Path, text: &str) -> io::Result<()> {
    install(&place.with_extension("making"), place, |file| file.write_all(text.as_bytes()))
}

/// All of it or nothing. What a crash left of an earlier one is set apart by an empty line.
fn append(path: &Path, text: &str) -> io::Result<()> {
    let mut file = open_to_append(path)?;
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let apart = if last == *b"\n" { "" } else { "\n\n" };
    let written = file.write_all(format!("{apart}{text}").as_bytes());
    if let Err(error) = written {
        let _ = file.set_len(length);
        return Err(error);
    }
    file.sync_data()
}

fn tell(command: &[String], text: &str) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let failed = |text: String| Err(format!("`{program}`: {text}"));
    let started = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Nothing of the environment: the workspace key may be in it.
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return failed(error.to_string()),
    };
    // Shorter than any pipe is wide; one that does not read it may end all the same.
    let _ = child.stdin.take().map(|mut input| input.write_all(text.as_bytes()));
    match wait(&mut child) {
        Ok(None) => {
            failed(format!("took more than {} s and was ended", COMMAND_TIME_MAX.as_secs()))
        }
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => failed(status.to_string()),
        Err(error) => failed(error.to_string()),
    }
}

fn wait(child: &mut Child) -> io::Result<Option<std::process::ExitStatus>> {
    let since = Instant::now();
    while since.elapsed() < COMMAND_TIME_MAX {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::park_timeout(COMMAND_LOOK_EVERY);
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;
    use crate::audit::Checkpoint;
    use crate::note::SigningKey;

    fn published(key: &SigningKey, size: u64) -> Published {
        let root = crate::audit::tree::Hash::of_leaf(b"x").to_base64();
        let text = key.sign(&format!("a\n{size}\n{root}\n"));
        Published { size, root, text: Some(text) }
    }

    #[test]
    fn each_checkpoint_gets_to_the_file_and_the_newest_to_the_others() {
        let (key, _) = SigningKey::generate("a").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let told = path("told");
        let settings = AnchorSettings {
            directory: directory.path().to_owned(),
            file: Some(path("anchors")),
            command: [
                "sh",
                "-c",
                &format!("cat > {}; env >> {}.env", told.display(), told.display()),
            ]
            .map(str::to_owned)
            .into(),
        };
        let anchors = Anchors::start(settings, Arc::new(|_| {})).unwrap();
        for size in 1..=5 {
            anchors.publish(published(&key, size));
        }
        assert_eq!(anchors.newest().unwrap().size, 5);
        anchors.finish();
        let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
        let all = read("anchors");
        let sizes: Vec<u64> = Checkpoint::texts(&all)
            .into_iter()
            .map(|text| Checkpoint::verify(text, key.verifier()).unwrap().size)
            .collect();
        assert_eq!(sizes, [1, 2, 3, 4, 5]);
        for name in ["checkpoint", "told"] {
            assert_eq!(Checkpoint::verify(&read(name), key.verifier()).unwrap().size, 5, "{name}");
        }
        let environment = read("told.env");
        assert!(!environment.contains("CARGO"), "{environment}");
    }

    #[test]
    fn what_one_place_refuses_the_others_get() {
        let (key, _) = SigningKey::generate("a").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let settings = |file: &str, command: &[&str]| AnchorSettings {
            directory: directory.path().to_owned(),
            file: Some(directory.path().join(file)),
            command: command.iter().map(|part| (*part).to_owned()).collect(),
        };
        let one = [published(&key, 1)];
        let error = deliver(&settings("none/anchors", &["true"]), &one).unwrap_err();
        assert!(error.contains("none/anchors"), "{error}");
        assert!(directory.path().join("checkpoint").exists());
        let error = deliver(&settings("anchors", &["false"]), &one).unwrap_err();
        assert!(error.contains("`false`: exit status: 1"), "{error}");
        assert!(directory.path().join("anchors").exists());
        let error = deliver(&settings("anchors", &["/nowhere"]), &one).unwrap_err();
        assert!(error.contains("`/nowhere`: No such file"), "{error}");
    }

    #[test]
    fn what_a_crash_left_of_a_checkpoint_spoils_none_of_the_others() {
        let (key, _) = SigningKey::generate("a").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("anchors");
        let texts: Vec<String> = (1..=3).map(|size| published(&key, size).text.unwrap()).collect();
        append(&path, &texts[0]).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"a\n18").unwrap();
        append(&path, &texts[1]).unwrap();
        file.write_all(b"a\n19\n").unwrap();
        append(&path, &texts[2]).unwrap();
        let all = std::fs::read_to_string(&path).unwrap();
        let good = Checkpoint::texts(&all)
            .into_iter()
            .filter_map(|text| Checkpoint::verify(text, key.verifier()).ok())
            .map(|checkpoint| checkpoint.size);
        // Of the second fragment, whose line has its end, nobody can tell that it is one.
        assert!(good.collect::<Vec<_>>().starts_with(&[1, 2]), "{all}");
    }

    #[test]
    fn a_delivery_that_hangs_is_seen_and_a_pipe_is_no_file() {
        let (key, _) = SigningKey::generate("a").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let settings = AnchorSettings {
            directory: directory.path().to_owned(),
            file: Some(pipe),
            command: Vec::new(),
        };
        let error = deliver(&settings, &[published(&key, 1)]).unwrap_err();
        assert!(error.contains("is a pipe, not a regular file"), "{error}");
        let anchors = Anchors::start(settings, std::sync::Arc::new(|_| {})).unwrap();
        lock(&anchors.state).delivering = Instant::now().checked_sub(2 * DELIVERY_TIME_MAX);
        assert!(anchors.failure().unwrap().contains("has taken 30 s"));
        anchors.finish();
    }
}
