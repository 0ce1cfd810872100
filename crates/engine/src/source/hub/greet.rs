//! Whether a hub answers at all, and what it thinks of the token.

use super::{
    HttpHub,
    endpoint::authorization,
    errors::{About, Fault},
};
use crate::source::SourceError;

/// How a hub answered when it was asked for nothing in particular.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// It answered; there was no token to show, or it does not say whose the token is.
    Answered,
    /// It answered and knows the token.
    Known,
    /// It answered and refuses the token.
    Refused,
    /// It answered that it is in trouble, with this status.
    Troubled(u16),
}

impl HttpHub {
    /// Asks the hub once for something small; the error says why there was no answer.
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
