//! Reads plain objects from a web server, with the client, the limits and the rules for addresses that the Hub has.

use std::{ops::Range, sync::Arc, time::Duration};

use reqwest::{Client, Response, StatusCode, header};
use tokio::{
    runtime::{self, Runtime},
    task::JoinSet,
};

use super::{
    Limits,
    download::Pace,
    endpoint::Endpoint,
    errors::{retry_after, root},
};
use crate::system;

/// Number of requests at once.
const AT_ONCE: usize = 32;

/// A web server with objects below an address.
pub struct ObjectServer {
    endpoint: Endpoint,
    client: Client,
    runtime: Runtime,
    limits: Limits,
}

/// An object to read, by its path below the address, or a part of it.
#[derive(Clone, Debug)]
pub struct AskedObject {
    /// Path below the address.
    pub path: String,
    /// The bytes that are wanted; `None` for all.
    pub range: Option<Range<u64>>,
}

/// Result of reading an object: its bytes, or nothing if there is no such object; the error says in words why it cannot be read.
pub type ReadObject = Result<Option<Vec<u8>>, String>;

/// Why an attempt failed.
enum Failed {
    /// Trying again may help, after the wait that the server asks for.
    Perhaps(String, Option<Duration>),
    /// Trying again would not help.
    Surely(String),
}

impl ObjectServer {
    /// Creates a client without sending anything. The error says in words what is wrong with the address.
    pub fn new(address: &str, limits: Limits) -> Result<Self, String> {
        let endpoint = Endpoint::parse(address).map_err(|error| match error {
            crate::source::SourceError::BadHub { reason, .. } => reason,
            error => error.to_string(),
        })?;
        let client = endpoint.client(&limits).map_err(|error| root(&error))?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        Ok(Self { endpoint, client, runtime, limits })
    }

    /// Reads objects of at most `most` bytes, several at a time, and calls `each` with the number of each and what came of it, until
    /// that returns false. `count` is called for every attempt.
    pub fn get(
        &self,
        asked: &[AskedObject],
        most: u64,
        count: &Arc<dyn Fn() + Send + Sync>,
        each: &mut dyn FnMut(usize, ReadObject) -> bool,
    ) {
        self.runtime.block_on(async {
            let (mut running, mut next) = (JoinSet::new(), asked.iter().enumerate());
            loop {
                while running.len() < AT_ONCE
                    && let Some((number, object)) = next.next()
                {
                    let url = self.endpoint.join(object.path.split('/'));
                    let (client, limits, count) = (self.client.clone(), self.limits, count.clone());
                    let range = object.range.clone();
                    running.spawn(async move {
                        let read = persist(&client, &limits, &url, range.as_ref(), most, &*count).await;
                        (number, read)
                    });
                }
                let Some(ended) = running.join_next().await else { return };
                let (number, read) = ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
                if !each(number, read) {
                    // Dropping the rest closes their connections.
                    return;
                }
            }
        });
    }
}

/// Repeats a request until it succeeds or fails for good.
async fn persist(
    client: &Client,
    limits: &Limits,
    url: &reqwest::Url,
    range: Option<&Range<u64>>,
    most: u64,
    count: &(dyn Fn() + Send + Sync),
) -> ReadObject {
    let mut pauses = limits.pauses();
    loop {
        count();
        match attempt(client, limits, url, range, most).await {
            Ok(read) => return Ok(read),
            Err(Failed::Surely(reason)) => return Err(reason),
            Err(Failed::Perhaps(reason, asked)) => match pauses.next(asked) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(format!("{reason} (tried {} times)", pauses.failures)),
            },
        }
    }
}

async fn attempt(
    client: &Client,
    limits: &Limits,
    url: &reqwest::Url,
    range: Option<&Range<u64>>,
    most: u64,
) -> Result<Option<Vec<u8>>, Failed> {
    let mut request = client.get(url.clone());
    if let Some(Range { start, end }) = range {
        request = request.header(header::RANGE, format!("bytes={start}-{}", end.saturating_sub(1)));
    }
    let late = || Failed::Perhaps("no answer in time".to_owned(), None);
    let sent = tokio::time::timeout(limits.answer, request.send()).await.map_err(|_| late())?;
    let response = sent.map_err(|error| transport(&error))?;
    let status = response.status();
    match status.as_u16() {
        200 | 206 => body(limits, response, range, most).await.map(Some),
        404 | 410 => Ok(None),
        // The object ends before the range begins.
        416 => Ok(Some(Vec::new())),
        408 | 425 | 429 | 500 | 502..=504 | 506.. => {
            let asked = retry_after(response.headers(), system::now_ns());
            Err(Failed::Perhaps(format!("the server answered {}", status.as_u16()), asked))
        }
        other => Err(Failed::Surely(format!("the server answered {other}"))),
    }
}

/// Reads a body, and takes the range from it if the server has sent the whole object.
async fn body(
    limits: &Limits,
    mut response: Response,
    range: Option<&Range<u64>>,
    most: u64,
) -> Result<Vec<u8>, Failed> {
    let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
    let expected = response.content_length();
    let mut pace = Pace::new(limits.idle, limits.slowest);
    let mut bytes = Vec::new();
    while let Some(more) = response.chunk().await.map_err(|error| transport(&error))? {
        if bytes.len() as u64 + more.len() as u64 > most {
            return Err(Failed::Surely("the server sent more bytes than any object has".to_owned()));
        }
        bytes.extend_from_slice(&more);
        if pace.is_too_slow(more.len() as u64) && Some(bytes.len() as u64) != expected {
            return Err(Failed::Perhaps("the server sends too slowly".to_owned(), None));
        }
    }
    if expected.is_some_and(|expected| expected != bytes.len() as u64) {
        return Err(Failed::Perhaps("the server stopped early".to_owned(), None));
    }
    match range {
        Some(range) if !is_part => {
            let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
            Ok(bytes[place(range.start)..place(range.end)].to_vec())
        }
        _ => Ok(bytes),
    }
}

/// Returns the meaning of a missing or incomplete response.
fn transport(error: &reqwest::Error) -> Failed {
    if error.is_redirect() || error.is_builder() {
        return Failed::Surely(clean(&root(error)));
    }
    let reason = match () {
        () if error.is_timeout() => "no answer in time".to_owned(),
        () if error.is_connect() => format!("cannot connect: {}", root(error)),
        () => format!("the connection broke: {}", root(error)),
    };
    Failed::Perhaps(clean(&reason), None)
}

/// Makes a text from elsewhere fit to print.
fn clean(text: &str) -> String {
    const LONGEST: usize = 300;
    text.trim().chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
