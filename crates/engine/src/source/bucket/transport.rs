//! Sends the requests to buckets, with the client, the rules for addresses and the retries that the Hub has.
//!
//! Answers are read to their end here, so that one that breaks off is repeated like one that does not come. An answer that means
//! something to `object_store` (there is no such object, another writer was faster) is passed on; any other becomes a
//! [`BucketError`], which comes out again at the other end of the crate.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http_body::Body;
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpService,
};
use reqwest::{Client, Method, Response, Url, header, redirect};

use super::{BucketError, BucketRequest, CountRequest, Variables, address::Service, error::clean};
use crate::{
    source::hub::{self, Limits, Pace, is_loopback, retry_after, root},
    system,
};

/// Maximum size of an answer that is not an object, in bytes.
const LARGEST_ANSWER: u64 = 64 << 20;

/// Maximum size of an answer that refuses, in bytes.
const LARGEST_REFUSAL: u64 = 64 << 10;

/// Maximum time for an answer of a service that gives a machine its credentials. It is beside the machine, or not there.
const METADATA_PATIENCE: Duration = Duration::from_secs(2);

/// Hosts that give a machine its credentials, by plain http on a link that ends at the machine.
const METADATA_HOSTS: &[&str] = &[
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "[fd00:ec2::254]",
    "[fd00:ec2::23]",
    "metadata.google.internal",
    "metadata",
];

/// Creates the client of a store.
#[derive(Clone, Debug)]
pub(super) struct Connector(Arc<Transport>);

/// What requests are sent with.
struct Transport {
    service: Service,
    /// The client for addresses of others, and that for this machine.
    clients: [Client; 2],
    limits: Limits,
    most: u64,
    count: CountRequest,
    /// Another address of the service that gives a machine its credentials.
    metadata: Option<String>,
    /// Set once there is no such service, so that it is not waited for again.
    no_metadata: OnceLock<()>,
}

/// Where a request leads.
enum Reach {
    /// To a bucket or to a service for credentials.
    Far(usize),
    /// To the service that gives a machine its credentials.
    Metadata,
    /// To the network without encryption.
    Open,
}

/// Why an attempt failed.
enum Failed {
    /// Trying again may help, after the wait that the server asks for.
    Perhaps(BucketError, Option<Duration>),
    /// Trying again would not help.
    Surely(BucketError),
}

impl Failed {
    fn perhaps(reason: impl Into<String>) -> Self {
        Self::Perhaps(BucketError::Other(reason.into()), None)
    }

    fn surely(reason: impl Into<String>) -> Self {
        Self::Surely(BucketError::Other(reason.into()))
    }
}

impl Connector {
    /// Prepares requests to a service; sends none.
    pub(super) fn new(
        service: Service,
        variables: &Variables,
        limits: Limits,
        most: u64,
        count: CountRequest,
    ) -> Result<Self, String> {
        let clients = [false, true].map(|is_local| {
            let client = hub::client(&limits, is_local).redirect(redirect::Policy::none());
            client.build().map_err(|error| root(&error))
        });
        let [far, local] = clients;
        let metadata = variables.get("AWS_METADATA_ENDPOINT").map(str::to_owned);
        let no_metadata = OnceLock::new();
        if variables.get("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            no_metadata.set(()).ok();
        }
        let transport = Transport { service, clients: [far?, local?], limits, most, count, metadata, no_metadata };
        for name in service.endpoints() {
            let Some(given) = variables.get(name) else { continue };
            let url = Url::parse(given).map_err(|error| format!("{name}: {error}"))?;
            if !url.username().is_empty() || url.password().is_some() {
                return Err(format!("{name} holds a user name or password; set {} instead", service.credentials()));
            }
            if !matches!(transport.reach(&url), Reach::Far(_)) {
                return Err(format!("{name}: {OPEN}"));
            }
        }
        Ok(Self(Arc::new(transport)))
    }
}

/// Why an address is not used.
const OPEN: &str = "plain http would show the data and the credentials to the network; use https";

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

impl HttpService for Connector {
    fn call<'s, 'f>(
        &'s self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        // `Unknown` is the kind that the crate does not repeat: that has been done.
        Box::pin(
            async move { self.0.send(request).await.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error)) },
        )
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("service", &self.service).finish_non_exhaustive()
    }
}

impl Transport {
    fn reach(&self, url: &Url) -> Reach {
        let is_metadata = || url.host_str().is_some_and(|host| METADATA_HOSTS.contains(&host));
        match url.scheme() {
            _ if self.metadata.as_ref().is_some_and(|at| url.as_str().starts_with(at)) => Reach::Metadata,
            "https" => Reach::Far(usize::from(is_loopback(url))),
            "http" if is_loopback(url) => Reach::Far(1),
            "http" if is_metadata() => Reach::Metadata,
            _ => Reach::Open,
        }
    }

    /// Sends a request until it is answered or fails for good.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, BucketError> {
        let url = Url::parse(&request.uri().to_string()).map_err(|error| BucketError::Other(error.to_string()))?;
        let client = match self.reach(&url) {
            Reach::Far(client) => &self.clients[client],
            Reach::Metadata => return self.ask_metadata(request, url).await,
            Reach::Open => return Err(BucketError::Other(OPEN.to_owned())),
        };
        let kind = kind_of(&request, &url);
        let mut pauses = self.limits.pauses();
        loop {
            kind.into_iter().for_each(|kind| (self.count)(kind));
            match self.attempt(client, request.clone(), &url, kind).await {
                Ok(response) => return Ok(response),
                Err(Failed::Surely(error)) => return Err(error),
                Err(Failed::Perhaps(error, asked)) => match (pauses.next(asked), error) {
                    (Some(wait), _) => tokio::time::sleep(wait).await,
                    (None, BucketError::Other(reason)) => {
                        return Err(BucketError::Other(format!("{reason} (tried {} times)", pauses.failures)));
                    }
                    (None, error) => return Err(error),
                },
            }
        }
    }

    /// Asks for the credentials of this machine, once.
    async fn ask_metadata(&self, request: HttpRequest, url: Url) -> Result<HttpResponse, BucketError> {
        let none = || BucketError::NoCredentials(self.service.credentials());
        if self.no_metadata.get().is_some() {
            return Err(none());
        }
        let [_, local] = &self.clients;
        let asked = tokio::time::timeout(METADATA_PATIENCE, self.attempt(local, request, &url, None)).await;
        match asked {
            Ok(Ok(response)) if response.status().is_success() => Ok(response),
            _ => {
                self.no_metadata.set(()).ok();
                Err(none())
            }
        }
    }

    async fn attempt(
        &self,
        client: &Client,
        request: HttpRequest,
        url: &Url,
        kind: Option<BucketRequest>,
    ) -> Result<HttpResponse, Failed> {
        let taken = Arc::<AtomicU64>::default();
        let (parts, body) = request.into_parts();
        let mut request = reqwest::Request::new(parts.method, url.clone());
        *request.headers_mut() = parts.headers;
        if body.content_length() > 0 {
            *request.body_mut() = Some(reqwest::Body::wrap(Watched { body, taken: taken.clone() }));
        }
        let response = self.answered(client.execute(request), &taken).await?;
        let status = response.status().as_u16();
        match status {
            200..=299 => {
                let most = if kind == Some(BucketRequest::Read) { self.most } else { LARGEST_ANSWER };
                self.whole(response, most).await
            }
            304 | 404 | 409 | 412 => self.passed_on(response).await,
            _ => Err(self.refused(response).await),
        }
    }

    /// Waits for an answer, for as long as the request is still being taken.
    async fn answered(
        &self,
        sent: impl Future<Output = reqwest::Result<Response>>,
        taken: &AtomicU64,
    ) -> Result<Response, Failed> {
        let mut sent = std::pin::pin!(sent);
        loop {
            let before = taken.load(Ordering::Relaxed);
            match tokio::time::timeout(self.limits.idle, &mut sent).await {
                Ok(answered) => return answered.map_err(|error| transport(&error)),
                Err(_) if taken.load(Ordering::Relaxed) > before => {}
                Err(_) => return Err(Failed::perhaps("no answer in time")),
            }
        }
    }

    /// Reads an answer to its end.
    async fn whole(&self, mut response: Response, most: u64) -> Result<HttpResponse, Failed> {
        let mut bytes = Vec::new();
        let expected = response.content_length();
        let mut pace = Pace::new(self.limits.idle, self.limits.slowest);
        loop {
            let more = tokio::time::timeout(self.limits.idle, response.chunk()).await;
            let more = more.map_err(|_| Failed::perhaps("no answer in time"))?;
            let Some(more) = more.map_err(|error| transport(&error))? else { break };
            if bytes.len() as u64 + more.len() as u64 > most {
                return Err(Failed::surely("the server sent more bytes than any object has"));
            }
            bytes.extend_from_slice(&more);
            if pace.is_too_slow(more.len() as u64) && Some(bytes.len() as u64) != expected {
                return Err(Failed::perhaps("the server sends too slowly"));
            }
        }
        if expected.is_some_and(|expected| expected != bytes.len() as u64) {
            return Err(Failed::perhaps("the server stopped early"));
        }
        let length = header::HeaderValue::from(bytes.len());
        let mut whole = HttpResponse::new(bytes.into());
        *whole.status_mut() = response.status();
        *whole.headers_mut() = std::mem::take(response.headers_mut());
        // The crate asks for it, also where the answer came in chunks. Of an answer without a body it is the size of the object.
        whole.headers_mut().entry(header::CONTENT_LENGTH).or_insert(length);
        Ok(whole)
    }

    /// Passes on an answer that means something to the crate, unless it is about the bucket and not about an object.
    async fn passed_on(&self, response: Response) -> Result<HttpResponse, Failed> {
        let status = response.status().as_u16();
        let asked = retry_after(response.headers(), system::now_ns());
        let whole = self.whole(response, LARGEST_REFUSAL).await?;
        let (parts, body) = whole.into_parts();
        let body = body.bytes().await.map_err(|error| Failed::perhaps(clean(&root(&error))))?;
        match (status, code_of(&parts.headers, &body).as_str()) {
            (404, "NoSuchBucket" | "ContainerNotFound") => Err(Failed::Surely(BucketError::NoBucket)),
            // Another writer is at it, and may still fail.
            (409, "ConditionalRequestConflict" | "OperationAborted") => {
                Err(Failed::Perhaps(BucketError::Conflict, asked))
            }
            _ => Ok(HttpResponse::from_parts(parts, body.into())),
        }
    }

    /// Returns the meaning of a refusal.
    async fn refused(&self, response: Response) -> Failed {
        let status = response.status().as_u16();
        let asked = retry_after(response.headers(), system::now_ns());
        let headers = response.headers().clone();
        let body = match self.whole(response, LARGEST_REFUSAL).await {
            Ok(whole) => whole.into_body().bytes().await.map(Vec::from).unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        let code = code_of(&headers, &body);
        let said = if code.is_empty() { status.to_string() } else { format!("{status} ({code})") };
        let region = headers.get("x-amz-bucket-region").and_then(|region| region.to_str().ok().map(word));
        let region = region.or_else(|| between(&body, "<Region>", "</Region>"));
        match (status, code.as_str()) {
            (300..=399, _) | (400, "AuthorizationHeaderMalformed") => Failed::surely(match region {
                Some(region) => format!("the bucket is in the region `{region}`: set AWS_REGION"),
                None => format!("the server answered {said}: is the region right (AWS_REGION)?"),
            }),
            (_, "RequestTimeTooSkewed") => Failed::surely("the clock of this machine is wrong (RequestTimeTooSkewed)"),
            (
                _,
                "ExpiredToken"
                | "TokenRefreshRequired"
                | "InvalidToken"
                | "InvalidAccessKeyId"
                | "SignatureDoesNotMatch",
            )
            | (_, "AuthenticationFailed")
            | (401, _) => Failed::Surely(BucketError::BadCredentials(code)),
            (403, _) => Failed::Surely(BucketError::Denied(code)),
            (416, _) => Failed::Surely(BucketError::EndsBefore),
            (501, _) => Failed::Surely(BucketError::Unsupported),
            // What the service has received is not what was sent.
            (400, "BadDigest" | "IncompleteBody" | "Md5Mismatch" | "RequestTimeout" | "XAmzContentSHA256Mismatch") => {
                Failed::Perhaps(BucketError::Other(format!("the server answered {said}")), asked)
            }
            (408 | 425 | 429 | 500 | 502..=504 | 506.., _) => {
                Failed::Perhaps(BucketError::Other(format!("the server answered {said}")), asked)
            }
            _ => Failed::surely(format!("the server answered {said}")),
        }
    }
}

/// A body that notes that pieces of it are taken.
struct Watched {
    body: HttpRequestBody,
    taken: Arc<AtomicU64>,
}

impl Body for Watched {
    type Data = <HttpRequestBody as Body>::Data;
    type Error = <HttpRequestBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        self.taken.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// Returns what a request does to the bucket; `None` if it is for credentials.
fn kind_of(request: &HttpRequest, url: &Url) -> Option<BucketRequest> {
    let asks =
        |name: &str, value: &str| url.query_pairs().any(|(own, is)| own == name && (value.is_empty() || is == value));
    match *request.method() {
        Method::GET if asks("list-type", "2") || asks("comp", "list") => Some(BucketRequest::List),
        Method::GET | Method::HEAD => Some(BucketRequest::Read),
        Method::PUT => Some(BucketRequest::Write(request.body().content_length())),
        Method::DELETE => Some(BucketRequest::Remove),
        Method::POST if asks("delete", "") || asks("comp", "batch") => Some(BucketRequest::Remove),
        Method::POST if asks("uploads", "") || asks("uploadId", "") => {
            Some(BucketRequest::Write(request.body().content_length()))
        }
        _ => None,
    }
}

/// Returns the service's own word for what went wrong; empty if there is none.
fn code_of(headers: &header::HeaderMap, body: &[u8]) -> String {
    let in_header = headers.get("x-ms-error-code").and_then(|code| code.to_str().ok().map(word));
    in_header.or_else(|| between(body, "<Code>", "</Code>")).unwrap_or_default()
}

/// Returns the word between two tags of an XML text.
fn between(text: &[u8], begin: &str, end: &str) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    Some(word(text.split_once(begin)?.1.split_once(end)?.0))
}

/// Makes a word from elsewhere fit to print.
fn word(text: &str) -> String {
    const LONGEST: usize = 64;
    text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(LONGEST).collect()
}

/// Returns the meaning of a missing or incomplete response.
fn transport(error: &reqwest::Error) -> Failed {
    if error.is_redirect() || error.is_builder() {
        return Failed::surely(clean(&root(error)));
    }
    let reason = match () {
        () if error.is_timeout() => "no answer in time".to_owned(),
        () if error.is_connect() => format!("cannot connect: {}", root(error)),
        () => format!("the connection broke: {}", root(error)),
    };
    Failed::perhaps(clean(&reason))
}
