//! The ways that a signed order takes to gateways: by the database, and directly to each.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use reqwest::Url;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Ended, Open, exit};
use crate::bundle::{SignedDirective, Trust};
use crate::cli::database::{At, block_on, desk};
use crate::cli::https::{self, Known};
use crate::cli::problems::printable;
use crate::cli::{Exit, report};
use crate::config::DirectFiles;
use crate::database::Desk;
use crate::domain::{Problem, innermost};

/// A gateway that does not answer in this time has not heard.
const ANSWER_MAX: Duration = Duration::from_secs(8);

/// Where there is another way, the database is not waited for any longer.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// Of what a gateway says that refuses, so much is shown.
const SAID_BYTES_MAX: usize = 500;

/// Whose signatures count, and where what they sign goes.
pub(in crate::cli) struct Ways {
    pub(in crate::cli) trust: Trust,
    /// Or why it cannot be reached, where there is another way.
    pub(in crate::cli) database: Result<Open, String>,
    /// Gateways that are told themselves.
    pub(in crate::cli) direct: Option<Direct>,
}

/// Does something with signed orders, where the database cannot be reached as well.
pub(in crate::cli) fn with_ways(
    at: &At,
    work: impl AsyncFnOnce(&Ways) -> Result<Exit, Ended>,
) -> Exit {
    let (access, trust, direct) = match desk(at) {
        Ok(desk) => desk,
        Err(exit) => return exit,
    };
    let direct = match direct.as_ref().map(Direct::new).transpose() {
        Ok(direct) => direct,
        Err(problems) => {
            report("error", &problems);
            return Exit::Invalid;
        }
    };
    let ended = block_on(async {
        let connect = Desk::connect(&access);
        let database = match &direct {
            None => Ok(connect.await?),
            Some(_) => match timeout(CONNECT_MAX, connect).await {
                Ok(connected) => connected.map_err(|error| error.to_string()),
                Err(_) => Err(format!("it has no answer within {} s", CONNECT_MAX.as_secs())),
            },
        };
        let database = database.map(|desk| Open { desk, trust: trust.clone() });
        work(&Ways { trust, database, direct }).await
    });
    exit(&access, ended)
}

/// Gateways that are told themselves.
pub(in crate::cli) struct Direct {
    client: reqwest::Client,
    gateways: Vec<Url>,
}

impl Direct {
    fn new(files: &DirectFiles) -> Result<Self, Vec<Problem>> {
        let DirectFiles { gateways, ca_file, certificate_file, private_key_file } = files;
        let known = Known {
            ca: ca_file.as_deref(),
            ca_place: "direct.ca_file",
            identity: Some((certificate_file, private_key_file)),
        };
        Ok(Self { client: https::client(&known, ANSWER_MAX)?, gateways: gateways.clone() })
    }

    /// Tells all at once, and says which follow it, and of the others why not.
    pub(in crate::cli) async fn tell(&self, signed: &SignedDirective) -> Vec<Told> {
        let mut telling = JoinSet::new();
        for gateway in &self.gateways {
            let (client, gateway, note) =
                (self.client.clone(), gateway.clone(), signed.note.clone());
            telling.spawn(async move {
                let why = tell(&client, &gateway, note).await.err();
                Told { gateway: gateway.as_str().trim_end_matches('/').to_owned(), why }
            });
        }
        let mut told = telling.join_all().await;
        told.sort_by(|one, other| one.gateway.cmp(&other.gateway));
        told
    }
}

/// What one gateway said.
pub(in crate::cli) struct Told {
    pub(in crate::cli) gateway: String,
    /// None where it follows it.
    pub(in crate::cli) why: Option<String>,
}

async fn tell(client: &reqwest::Client, gateway: &Url, note: String) -> Result<(), String> {
    let failed = |error: reqwest::Error| match error.is_timeout() {
        true => "it does not answer in time".to_owned(),
        false => format!("it cannot be told: {}", innermost(&error.without_url())),
    };
    let mut url = gateway.clone();
    url.set_path("/orders");
    let request = client.post(url).header(CONTENT_TYPE, "text/plain").body(note);
    let mut answer = request.send().await.map_err(failed)?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let mut said = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        said.extend(chunk.iter().take(SAID_BYTES_MAX.saturating_sub(said.len())));
        if said.len() >= SAID_BYTES_MAX {
            break;
        }
    }
    let said = String::from_utf8_lossy(&said);
    Err(format!("it answers with status {status}: {}", printable(said.trim())))
}
