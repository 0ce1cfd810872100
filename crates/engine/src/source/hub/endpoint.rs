//! The Hub's address, and the HTTP client for it.

use std::{net::IpAddr, time::Duration};

use reqwest::{Client, ClientBuilder, Url, header, redirect};

use super::{Limits, Token};
use crate::source::SourceError;

/// Maximum number of redirects of a request.
const MOST_REDIRECTS: usize = 8;

/// An accepted address: https, or plain http on this machine only, without credentials.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    url: Url,
    name: String,
}

impl Endpoint {
    /// Parses and checks an address.
    pub(super) fn parse(text: &str) -> Result<Self, SourceError> {
        let bad = |reason: &str| SourceError::BadHub { hub: without_userinfo(text), reason: reason.to_owned() };
        let url = Url::parse(text.trim()).map_err(|error| bad(&error.to_string()))?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err(bad("plain http would show the data and the token to the network; use https")),
            _ => return Err(bad("it is not an http(s) address")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("it holds a user name or password; set HF_TOKEN instead"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("it has a query or a fragment"));
        }
        let name = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { url, name })
    }

    /// Returns the address without a trailing slash, as it appears in locks and messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether a URL has the scheme, host and port of this address. The token is only sent to such URLs.
    pub(super) fn is_origin_of(&self, url: &Url) -> bool {
        self.url.origin() == url.origin()
    }

    /// Returns whether files may be sent to a URL that the hub names: over https, or on this machine if the hub is there.
    pub(super) fn may_lead_to(&self, url: &Url) -> bool {
        may_redirect(&self.url, url)
    }

    /// Returns the URL of a path below the address, with every segment percent-encoded.
    pub(super) fn join<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.url.clone();
        url.path_segments_mut().expect("an http address has a path").pop_if_empty().extend(segments);
        url
    }

    /// Returns the client for all requests. Redirects are limited and never lead to plain http, and all waits are
    /// bounded.
    ///
    /// reqwest itself drops `Authorization` when a redirect changes scheme, host or port.
    pub(super) fn client(&self, limits: &Limits) -> Result<Client, reqwest::Error> {
        let builder = client(limits, is_loopback(&self.url)).https_only(self.url.scheme() == "https");
        builder.redirect(redirect::Policy::custom(follow)).read_timeout(limits.idle).build()
    }
}

/// Begins a client without compression, whose connections are bounded. `is_local`: it is for this machine, without proxies.
pub(in crate::source) fn client(limits: &Limits, is_local: bool) -> ClientBuilder {
    // The runtime only runs during requests, so it does not notice when a server closes an idle connection. A
    // connection that was idle longer than servers keep them is therefore not reused.
    const REUSE: Duration = Duration::from_secs(3);
    let mut headers = header::HeaderMap::new();
    // A compressed body would be counted and resumed in bytes other than the file's.
    headers.insert(header::ACCEPT_ENCODING, header::HeaderValue::from_static("identity"));
    // reqwest uses the cryptography installed in the process; an error means that there is one already.
    rustls::crypto::ring::default_provider().install_default().ok();
    let builder = Client::builder()
        .user_agent(concat!("datac/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .connect_timeout(limits.connect)
        .pool_idle_timeout(REUSE)
        .referer(false)
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate();
    if is_local { builder.no_proxy() } else { builder }
}

/// Returns the headers of a request to the Hub.
pub(super) fn authorization(token: Option<&Token>) -> header::HeaderMap {
    let mut headers = header::HeaderMap::new();
    let value = token.and_then(|token| header::HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok());
    if let Some(mut value) = value {
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    headers
}

fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    match attempt.previous().last() {
        _ if attempt.previous().len() > MOST_REDIRECTS => attempt.error("too many redirects"),
        Some(from) if may_redirect(from, attempt.url()) => attempt.follow(),
        _ => attempt.error("redirected to an address that is not https"),
    }
}

/// Returns whether a redirect is allowed: to https, or from plain http on this machine to the same.
fn may_redirect(from: &Url, to: &Url) -> bool {
    match to.scheme() {
        "https" => true,
        "http" => from.scheme() == "http" && is_loopback(to),
        _ => false,
    }
}

pub(in crate::source) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// Returns an address without its credentials, for messages, even if it is not a valid URL.
fn without_userinfo(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((before, rest)) => {
            format!("{}{rest}", before.split_once("://").map_or(String::new(), |(s, _)| format!("{s}://")))
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_addresses_are_taken() {
        for (text, name) in [
            ("https://huggingface.co", "https://huggingface.co"),
            ("https://Mirror.example:8443/hf/", "https://mirror.example:8443/hf"),
            ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
            ("http://localhost:1", "http://localhost:1"),
            ("http://[::1]:1", "http://[::1]:1"),
        ] {
            assert_eq!(Endpoint::parse(text).expect(text).name(), name);
        }
        for (text, word) in [
            ("http://huggingface.co", "https"),
            ("http://127.0.0.1.evil.example", "https"),
            ("ftp://huggingface.co", "http(s)"),
            ("file:///etc/passwd", "http(s)"),
            ("huggingface.co", "relative URL"),
            ("https://me:hf_CANARY@huggingface.co", "HF_TOKEN"),
            ("ht!tps://me:hf_CANARY@huggingface.co", "relative URL"),
            ("https://huggingface.co/?token=x", "query"),
        ] {
            let error = Endpoint::parse(text).expect_err(text).to_string();
            assert!(error.contains(word) && !error.contains("CANARY"), "{text}: {error}");
        }
    }

    #[test]
    fn redirects_never_fall_back_to_plain_http() {
        let may =
            |from: &str, to: &str| may_redirect(&Url::parse(from).expect("a URL"), &Url::parse(to).expect("a URL"));
        assert!(may("https://hub.example/a", "https://storage.example/b"));
        assert!(may("http://127.0.0.1:1/a", "https://storage.example/b"));
        assert!(may("http://127.0.0.1:1/a", "http://localhost:2/b"));
        assert!(!may("https://hub.example/a", "http://hub.example/a"));
        assert!(!may("https://hub.example/a", "http://127.0.0.1:2/b"));
        assert!(!may("http://127.0.0.1:1/a", "http://192.0.2.1/b"));
        assert!(!may("http://127.0.0.1:1/a", "ftp://127.0.0.1/b"));
    }

    #[test]
    fn names_stay_inside_their_segment() {
        let endpoint = Endpoint::parse("https://mirror.example/hf/").expect("an address");
        let url = endpoint.join(["datasets", "acme", "d", "resolve", "a#b?c %2e%2e.json"]);
        assert_eq!(url.as_str(), "https://mirror.example/hf/datasets/acme/d/resolve/a%23b%3Fc%20%252e%252e.json");
        assert!(endpoint.is_origin_of(&url));
        assert!(!endpoint.is_origin_of(&Url::parse("https://mirror.example:444/hf").expect("a URL")));
        assert!(!endpoint.is_origin_of(&Url::parse("http://mirror.example/hf").expect("a URL")));
    }
}
