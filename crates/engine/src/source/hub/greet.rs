//! Tests whether a hub responds, and whether it accepts the token.

use super::{
    HttpHub,
    endpoint::authorization,
    errors::{About, Fault},
};
use crate::source::SourceError;

/// A hub's response to a test request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// It responded. There was no token, or the hub does not say whether it accepts the token.
    Answered,
    /// It responded and accepts the token.
    Known,
    /// It responded and rejects the token.
    Refused,
    /// It responded with this error status.
    Troubled(u16),
}

impl HttpHub {
    /// Sends the hub one small request. The error says why there was no response.
    pub fn greet(&self) -> Result<Greeting, SourceError> {
        let about =
            About { endpoint: &self.endpoint, token: self.token.as_ref(), repo: "", revision: None, path: None };
        if self.offline {
            return Err(SourceError::Offline { what: "the hub's answer".to_owned() });
        }
        let mut url = self.endpoint.join(["api", if self.token.is_some() { "whoami-v2" } else { "datasets" }]);
        if self.token.is_none() {
            url.set_query(Some("limit=1"));
        }
        let request = self.client.get(url).headers(authorization(self.token.as_ref()));
        let answer = self.runtime.block_on(async { tokio::time::timeout(self.limits.answer, request.send()).await });
        let status = match answer {
            Err(_) => return Err(about.unavailable("no answer in time")),
            Ok(Ok(response)) => response.status().as_u16(),
            Ok(Err(error)) => {
                return Err(match about.transport(&error) {
                    Fault::Final(error) => error,
                    Fault::Transient { reason, .. } | Fault::Unreachable { reason } | Fault::Spoiled { reason } => {
                        about.unavailable(&reason)
                    }
                });
            }
        };
        Ok(match (status, &self.token) {
            (500.., _) => Greeting::Troubled(status),
            (200..300, Some(_)) => Greeting::Known,
            (401, Some(_)) => Greeting::Refused,
            _ => Greeting::Answered,
        })
    }
}
