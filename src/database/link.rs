//! A connection that is made when it is needed, and anew when it is gone.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, Notify};
use tokio::time::{sleep, timeout};
use tokio_postgres::config::{ChannelBinding, SslMode, TargetSessionAttrs};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{Address, CONNECT_TIMEOUT, Files};
use super::error::DatabaseError;
use crate::domain::{Backoff, Problem, Secret};
use crate::files::{read_plain, read_secret};
use crate::tls::{ClientTls, PemFile, Roots};

/// No statement of a gateway's takes so long where all is well.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// And its answer is not waited for longer.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// All that is needed to connect.
pub struct Access {
    address: Address,
    password: Option<Secret>,
    /// None to a socket on this machine.
    tls: Option<MakeRustlsConnect>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("host", &self.address.host()).finish_non_exhaustive()
    }
}

impl Access {
    /// Reads the files; connects to nothing.
    ///
    /// # Errors
    /// Every problem of the files.
    pub fn load(files: &Files) -> Result<Self, Vec<Problem>> {
        let password = files.password_file.as_deref().map(|path| {
            let bytes = read_secret(path)?;
            let text = std::str::from_utf8(&bytes).unwrap_or_default();
            match text.trim_end_matches(['\r', '\n']) {
                "" => {
                    let text = "holds no password: one line of UTF-8";
                    Err(Problem::of_file(path.display().to_string(), text))
                }
                password => Ok(Secret::new(password.to_owned())),
            }
        });
        let tls = (!files.address.is_socket()).then(|| tls(files));
        match (password.transpose(), tls.transpose()) {
            (Ok(password), Ok(tls)) => Ok(Self { address: files.address.clone(), password, tls }),
            (password, tls) => Err([password.err(), tls.err()].into_iter().flatten().collect()),
        }
    }

    /// Where.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.host()
    }

    /// As whom.
    #[must_use]
    pub fn user(&self) -> &str {
        self.address.user()
    }

    /// Connects, to one that can be written to. The server's certificate must be good for its
    /// name, and the password is of use to nobody between: no setting weakens that.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn connect(&self, statements: Option<Duration>) -> Result<Client, DatabaseError> {
        self.connect_to_hear(statements, &Arc::default()).await
    }

    /// The same, and `told` is told when somebody notifies those who listen.
    async fn connect_to_hear(
        &self,
        statements: Option<Duration>,
        told: &Arc<Notify>,
    ) -> Result<Client, DatabaseError> {
        let mut config = self.address.config();
        if let Some(password) = &self.password {
            config.password(password.expose());
        }
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        let most = statements.map_or(0, |most| most.as_millis());
        config.options(format!("-c search_path=grantgate -c statement_timeout={most}"));
        let mut last = DatabaseError::Connection("no host".into());
        // One after the other, each with its own time: one that takes a connection and says nothing
        // must not keep the next from being asked.
        for config in self.address.each(&config) {
            match timeout(CONNECT_TIMEOUT, self.connect_to(config, told)).await {
                Ok(Ok(client)) => return Ok(client),
                Ok(Err(error)) => last = error.into(),
                Err(_) => last = DatabaseError::Timeout(CONNECT_TIMEOUT.as_secs()),
            }
        }
        Err(last)
    }

    async fn connect_to(
        &self,
        mut config: Config,
        told: &Arc<Notify>,
    ) -> Result<Client, tokio_postgres::Error> {
        match self.tls.clone() {
            Some(tls) => {
                config.ssl_mode(SslMode::Require).channel_binding(ChannelBinding::Require);
                let (client, connection) = config.connect(tls).await?;
                tokio::spawn(heard(connection, told.clone()));
                Ok(client)
            }
            None => {
                config.ssl_mode(SslMode::Disable).channel_binding(ChannelBinding::Disable);
                let (client, connection) = config.connect(NoTls).await?;
                tokio::spawn(heard(connection, told.clone()));
                Ok(client)
            }
        }
    }
}

/// Moves a connection on to its end. Whoever asks next is told why there is none any more.
async fn heard<S, T>(mut connection: Connection<S, T>, told: Arc<Notify>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match std::future::poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(_))) => told.notify_one(),
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::debug!(%error, "the connection to the database ended");
                return;
            }
            None => return,
        }
    }
}

fn tls(files: &Files) -> Result<MakeRustlsConnect, Problem> {
    let made = match &files.ca_file {
        None => ClientTls::new(&Roots::System),
        Some(path) => {
            let (name, bytes) = (path.display().to_string(), read_plain(path)?);
            ClientTls::new(&Roots::Only(PemFile { name: &name, bytes: &bytes }))
        }
    };
    let tls = made.map_err(|error| error.into_problem("database"))?;
    Ok(MakeRustlsConnect::new(tls.without_protocols().into_config()))
}

/// What comes of a question, if anything does in time.
pub(super) async fn answered<T>(
    asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, DatabaseError> {
    let answer = timeout(ANSWER_TIMEOUT, asked).await;
    Ok(answer.map_err(|_| DatabaseError::Timeout(ANSWER_TIMEOUT.as_secs()))??)
}

/// Which those notify who give a bundle or an order to gateways.
const LISTEN: &str = "LISTEN grantgate_heads";

/// One connection, for all that a gateway asks.
pub struct Link {
    access: Arc<parking_lot::Mutex<Arc<Access>>>,
    client: Mutex<Option<Arc<Client>>>,
    told: Arc<Notify>,
    /// Where somebody keeps it connected. Who asks does not connect then: it may have no time for that.
    kept: Option<Kept>,
}

/// Of a connection that is kept.
#[derive(Default)]
struct Kept {
    /// Told when there is none, and somebody asks.
    wanted: Notify,
    /// Tells who waits that there is one.
    made: Notify,
}

/// A connection that is kept is looked at this often.
const KEPT_EVERY: Duration = Duration::from_secs(2);

/// And has so long to answer.
const KEPT_TIMEOUT: Duration = Duration::from_secs(5);

/// Without one, another is tried for after this, doubled each time.
const KEPT_AGAIN_FIRST: Duration = Duration::from_millis(250);
const KEPT_AGAIN_LONGEST: Duration = Duration::from_secs(10);

impl Link {
    /// Connects when it is first needed.
    #[must_use]
    pub fn new(access: Access) -> Self {
        Self {
            access: Arc::new(parking_lot::Mutex::new(Arc::new(access))),
            client: Mutex::new(None),
            told: Arc::default(),
            kept: None,
        }
    }

    /// A connection of its own to the same place: what is asked on it waits for nothing that is asked
    /// on this one, nor for a connection, while somebody [keeps](Self::keep) it.
    #[must_use]
    pub fn beside(&self) -> Self {
        let (access, kept) = (self.access.clone(), Some(Kept::default()));
        Self { access, client: Mutex::new(None), told: Arc::default(), kept }
    }

    /// Connects, if that can be done in this time: what is asked from then on waits for less.
    pub async fn begin(&self, at_most: Duration) {
        if !matches!(timeout(at_most, self.look()).await, Ok(Ok(()))) {
            tracing::warn!("there is no connection to the database yet");
        }
    }

    /// Keeps it connected, without end.
    pub async fn keep(self: Arc<Self>) {
        let Some(Kept { wanted, .. }) = &self.kept else { return };
        let mut backoff = Backoff::default();
        loop {
            match self.look().await {
                Ok(()) => {
                    backoff.reset();
                    tokio::select! {
                        () = sleep(KEPT_EVERY) => {}
                        () = wanted.notified() => {}
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "there is no connection to the database");
                    // Sooner where somebody asks.
                    let asked = async {
                        sleep(KEPT_AGAIN_FIRST).await;
                        wanted.notified().await;
                    };
                    tokio::select! {
                        () = sleep(backoff.wait(KEPT_AGAIN_FIRST, KEPT_AGAIN_LONGEST)) => {}
                        () = asked => {}
                    }
                }
            }
        }
    }

    /// Whether it answers; a new one where there is none.
    async fn look(&self) -> Result<(), DatabaseError> {
        let known = self.client.lock().await.clone().filter(|client| !client.is_closed());
        let client = match known {
            Some(client) => client,
            None => {
                let access = self.access.lock().clone();
                let made = Arc::new(access.connect(Some(STATEMENT_TIMEOUT)).await?);
                *self.client.lock().await = Some(made.clone());
                self.kept.iter().for_each(|kept| kept.made.notify_waiters());
                made
            }
        };
        let failed = match timeout(KEPT_TIMEOUT, client.batch_execute("SELECT 1")).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.into(),
            Err(_) => DatabaseError::Timeout(KEPT_TIMEOUT.as_secs()),
        };
        self.give_up(&client).await;
        Err(failed)
    }

    /// Connects anew, with what the files hold now.
    pub async fn renew(&self, access: Access) {
        *self.access.lock() = Arc::new(access);
        *self.client.lock().await = None;
    }

    /// Resolves when something may have changed there: somebody said so, or there is a new
    /// connection, which does not know what was said before. It is a hint, and may never come.
    pub async fn told(&self) {
        self.told.notified().await;
    }

    /// What was new is followed: the database is to hear that soon.
    pub fn tell_soon(&self) {
        self.told.notify_one();
    }

    /// The connection, or a new one.
    pub(super) async fn client(&self) -> Result<Arc<Client>, DatabaseError> {
        let mut kept = self.client.lock().await;
        if let Some(client) = kept.as_ref().filter(|client| !client.is_closed()) {
            return Ok(client.clone());
        }
        if let Some(Kept { wanted, made }) = &self.kept {
            // Before the lock is free: it cannot be made in between.
            let made = made.notified();
            drop(kept);
            wanted.notify_one();
            let waited = timeout(CONNECT_TIMEOUT, made).await;
            let client = self.client.lock().await.clone().filter(|_| waited.is_ok());
            let none = || DatabaseError::Connection("there is no connection".into());
            return client.ok_or_else(none);
        }
        let access = self.access.lock().clone();
        let client = access.connect_to_hear(Some(STATEMENT_TIMEOUT), &self.told).await?;
        // A pooler between may not have it: then the second's word has to do.
        if let Err(error) = answered(client.batch_execute(LISTEN)).await {
            tracing::debug!(%error, "the database does not say when there is something new");
        }
        self.told.notify_one();
        let client = Arc::new(client);
        *kept = Some(client.clone());
        Ok(client)
    }

    /// A connection for something that takes long.
    pub(super) async fn another(&self) -> Result<Client, DatabaseError> {
        let access = self.access.lock().clone();
        access.connect(None).await
    }

    /// What was asked on this connection had no answer: it is not asked again on it.
    pub(super) async fn give_up(&self, client: &Arc<Client>) {
        let mut kept = self.client.lock().await;
        kept.take_if(|known| Arc::ptr_eq(known, client));
    }
}
