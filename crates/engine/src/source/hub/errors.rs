//! Classifies failed requests: errors for the user, reasons to try again, and reasons to start over.

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use reqwest::{Response, header};

use super::{Token, endpoint::Endpoint};
use crate::{source::SourceError, system};

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// Trying again would not help.
    Final(SourceError),
    /// Trying again may help.
    Transient {
        /// What happened.
        reason: String,
        /// The wait that the server asks for.
        after: Option<Duration>,
    },
    /// The hub cannot be reached: it refused the connection, or its name is unknown.
    Unreachable {
        /// What happened.
        reason: String,
    },
    /// The received bytes are useless; starting over may help.
    Spoiled {
        /// What is wrong with them.
        reason: String,
    },
}

impl Fault {
    pub(super) fn transient(reason: impl Into<String>) -> Self {
        Self::Transient { reason: reason.into(), after: None }
    }

    pub(super) fn spoiled(reason: impl Into<String>) -> Self {
        Self::Spoiled { reason: reason.into() }
    }
}

/// The subject of a request, which its errors name.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) token: Option<&'a Token>,
    pub(super) repo: &'a str,
    /// The requested branch, tag or commit, if a 404 can mean that it does not exist.
    pub(super) revision: Option<&'a str>,
    /// The requested file, if a 404 can mean that it does not exist.
    pub(super) path: Option<&'a str>,
}

/// A response that is not a success.
struct Refusal<'a> {
    status: u16,
    /// The Hub's error code, `X-Error-Code`.
    code: Option<&'a str>,
    message: Option<&'a str>,
    after: Option<Duration>,
    /// Whether the response is from the Hub, not from the storage it redirects to.
    by_hub: bool,
}

impl About<'_> {
    /// Returns a successful response, or the meaning of any other.
    pub(super) async fn success(&self, response: Response) -> Result<Response, Fault> {
        const LONGEST: usize = 16 << 10;
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(response);
        }
        let text = |name| response.headers().get(name)?.to_str().ok().map(str::to_owned);
        let (code, mut message) = (text("x-error-code"), text("x-error-message"));
        let after = retry_after(response.headers(), system::now_ns());
        let by_hub = self.endpoint.is_origin_of(response.url());
        if message.is_none() && by_hub {
            let body = read_body(response, LONGEST).await.unwrap_or_default();
            message = serde_json::from_slice::<serde_json::Value>(&body)
                .ok()
                .and_then(|json| json.get("error")?.as_str().map(str::to_owned));
        }
        Err(self.refused(&Refusal { status, code: code.as_deref(), message: message.as_deref(), after, by_hub }))
    }

    /// Returns the meaning of a missing or incomplete response.
    pub(super) fn transport(&self, error: &reqwest::Error) -> Fault {
        if has_source::<serde_json::Error>(error) {
            return self.malformed(&format!("not the JSON that was asked for: {}", root(error)));
        }
        if error.is_redirect() || error.is_builder() {
            return Fault::Final(self.unavailable(&root(error)));
        }
        let reason = self.clean(&match () {
            () if error.is_timeout() => "no answer in time".to_owned(),
            () if error.is_connect() => format!("cannot connect: {}", root(error)),
            () => format!("the connection broke: {}", root(error)),
        });
        let is_to_hub = error.url().is_some_and(|url| self.endpoint.is_origin_of(url));
        if error.is_connect() && !error.is_timeout() && is_to_hub {
            Fault::Unreachable { reason }
        } else {
            Fault::transient(reason)
        }
    }

    /// Returns the fault for an invalid response.
    pub(super) fn malformed(&self, reason: &str) -> Fault {
        Fault::Final(SourceError::Malformed {
            repo: self.repo.to_owned(),
            hub: self.endpoint.name().to_owned(),
            reason: self.clean(reason),
        })
    }

    /// Returns the error for a hub that cannot be used now.
    pub(super) fn unavailable(&self, reason: &str) -> SourceError {
        SourceError::Unavailable {
            repo: self.repo.to_owned(),
            hub: self.endpoint.name().to_owned(),
            reason: self.clean(reason),
        }
    }

    fn refused(&self, refusal: &Refusal<'_>) -> Fault {
        let message = refusal.message.filter(|message| !message.trim().is_empty());
        let said = message.map_or(String::new(), |message| format!(": {message}"));
        let status = refusal.status;
        if !refusal.by_hub {
            return match status {
                416 => Fault::spoiled("the storage server has no such range"),
                // 401 and 403 mean that a signed URL has expired; the Hub signs a new one for each request.
                401 | 403 | 408 | 425 | 429 | 500.. => Fault::Transient {
                    reason: self.clean(&format!("the storage server answered {status}")),
                    after: refusal.after,
                },
                _ => Fault::Final(self.unavailable(&format!("the storage server answered {status}"))),
            };
        }
        match refusal.code {
            Some("RepoNotFound") => return Fault::Final(self.no_repo()),
            Some("RevisionNotFound") if self.revision.is_some() => return Fault::Final(self.no_revision()),
            Some("EntryNotFound") if self.path.is_some() => return Fault::Final(self.no_file()),
            Some("GatedRepo") => return Fault::Final(SourceError::Gated { repo: self.repo.to_owned() }),
            _ => {}
        }
        match status {
            401 if self.token.is_some() => Fault::Final(SourceError::BadToken { repo: self.repo.to_owned() }),
            401 => Fault::Final(self.no_repo()),
            404 if self.path.is_some() => Fault::Final(self.no_file()),
            404 => Fault::Final(self.no_repo()),
            416 => Fault::spoiled("the hub has no such range"),
            408 | 425 | 429 | 500 | 502..=504 | 506.. => Fault::Transient {
                reason: self.clean(&format!("the hub answered {status}{said}")),
                after: refusal.after,
            },
            _ => Fault::Final(self.unavailable(&format!("the hub answered {status}{said}"))),
        }
    }

    fn no_repo(&self) -> SourceError {
        let (repo, hub) = (self.repo.to_owned(), self.endpoint.name().to_owned());
        if self.token.is_some() {
            SourceError::NoRepo { repo, hub }
        } else {
            SourceError::NoRepoOrPrivate { repo, hub }
        }
    }

    fn no_revision(&self) -> SourceError {
        SourceError::NoRevision { repo: self.repo.to_owned(), revision: self.revision.unwrap_or_default().to_owned() }
    }

    fn no_file(&self) -> SourceError {
        SourceError::NoFile { repo: self.repo.to_owned(), path: self.path.unwrap_or_default().to_owned() }
    }

    /// Makes a text from elsewhere fit to print: one short line without control characters and without the token.
    fn clean(&self, text: &str) -> String {
        const LONGEST: usize = 300;
        let text = self.token.map_or_else(|| text.to_owned(), |token| token.redact(text));
        let line: String = text.trim().chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
        line.trim_end_matches('.').to_owned()
    }
}

/// Reads a body to its end; fails if it is longer than `limit` bytes.
pub(super) async fn read_body(mut response: Response, limit: usize) -> Result<Vec<u8>, Option<reqwest::Error>> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(Some)? {
        if body.len() + part.len() > limit {
            return Err(None);
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

/// Returns the wait that the server asks for, given in seconds or as a date, which is compared with the server's own
/// clock.
pub(in crate::source) fn retry_after(headers: &header::HeaderMap, now_ns: i64) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let asked = text(header::RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(asked).ok()?;
    let now = text(header::DATE)
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .unwrap_or_else(|| SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::try_from(now_ns).unwrap_or(0)));
    Some(until.duration_since(now).unwrap_or(Duration::ZERO))
}

/// Returns the innermost cause, which is the informative one. reqwest's outer causes repeat the URL, and URLs of the
/// storage server contain a signature.
pub(in crate::source) fn root(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn has_source<T: Error + 'static>(error: &dyn Error) -> bool {
    let mut next = error.source();
    while let Some(source) = next {
        if source.is::<T>() {
            return true;
        }
        next = source.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(headers: &[(&'static str, &'static str)]) -> Option<u64> {
        let headers = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), header::HeaderValue::from_static(value)));
        retry_after(&headers.collect(), 1_445_412_480_000_000_000).map(|wait| wait.as_secs())
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_on_the_servers_clock() {
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[("retry-after", " 7 ")]), Some(7));
        assert_eq!(wait(&[("retry-after", "soon")]), None);
        assert_eq!(wait(&[("retry-after", "-1")]), None);
        let date = ("retry-after", "Wed, 21 Oct 2015 07:28:09 GMT");
        assert_eq!(wait(&[date]), Some(9));
        assert_eq!(wait(&[date, ("date", "Wed, 21 Oct 2015 07:27:39 GMT")]), Some(30));
        assert_eq!(wait(&[date, ("date", "Wed, 21 Oct 2015 08:00:00 GMT")]), Some(0));
    }

    fn refused(status: u16, code: Option<&str>, by_hub: bool, token: Option<&Token>) -> String {
        let endpoint = Endpoint::parse("https://hub.example").expect("an address");
        let about =
            About { endpoint: &endpoint, token, repo: "acme/d", revision: Some("main"), path: Some("data/a.json") };
        match about.refused(&Refusal { status, code, message: Some("it\x1b[31m said hf_CANARY."), after: None, by_hub })
        {
            Fault::Final(error) => error.to_string(),
            Fault::Transient { reason, .. } => format!("again: {reason}"),
            Fault::Spoiled { reason } => format!("over: {reason}"),
            Fault::Unreachable { reason } => format!("not there: {reason}"),
        }
    }

    #[test]
    fn the_hubs_own_word_goes_before_the_status() {
        let token = Token::new("hf_CANARY");
        let with = |status, code| refused(status, code, true, token.as_ref());
        let without = |status, code| refused(status, code, true, None);
        assert_eq!(with(404, Some("RepoNotFound")), "find dataset `acme/d` on https://hub.example");
        assert!(without(401, Some("RepoNotFound")).ends_with("private (set HF_TOKEN)"));
        assert_eq!(with(404, Some("RevisionNotFound")), "find revision `main` of `acme/d`");
        assert_eq!(with(404, Some("EntryNotFound")), "find `data/a.json` in `acme/d`");
        assert!(with(403, Some("GatedRepo")).contains("access must be requested"));
        assert!(without(401, Some("GatedRepo")).contains("access must be requested"));
        assert_eq!(with(401, None), "read `acme/d`: the token was rejected");
        assert!(without(401, None).ends_with("(set HF_TOKEN)"));
        assert_eq!(with(403, None), "read `acme/d` from https://hub.example: the hub answered 403: it [31m said ***");
        assert_eq!(with(503, None), "again: the hub answered 503: it [31m said ***");
        assert!(with(429, None).starts_with("again: "));
        assert!(with(505, None).starts_with("read "));
        assert!(with(416, None).starts_with("over: "));
    }

    #[test]
    fn storage_servers_have_no_say_about_the_repository() {
        let by_storage = |status, code| refused(status, code, false, None);
        assert_eq!(by_storage(403, Some("GatedRepo")), "again: the storage server answered 403");
        assert!(by_storage(404, Some("RepoNotFound")).ends_with("the storage server answered 404"));
        assert!(by_storage(416, None).starts_with("over: "));
        assert!(by_storage(500, None).starts_with("again: "));
    }
}
