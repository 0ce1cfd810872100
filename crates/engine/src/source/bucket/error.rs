//! What goes wrong with buckets, in the words of all services.

use std::error::Error;

use crate::source::hub::root;

/// Why a request to a bucket failed: repeated attempts failed, or trying again would not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum BucketError {
    /// There is no such object.
    #[error("there is no such object")]
    Absent,
    /// The object ends before the range begins.
    #[error("the object is shorter than expected")]
    EndsBefore,
    /// Another writer was faster.
    #[error("another writer was faster")]
    Conflict,
    /// The service cannot write on a condition.
    #[error("the service cannot write on a condition")]
    Unsupported,
    /// There is no such bucket.
    #[error("there is no such bucket")]
    NoBucket,
    /// The credentials do not permit the request.
    #[error("access denied{}", in_brackets(.0))]
    Denied(
        /// The service's own word for it; may be empty.
        String,
    ),
    /// The credentials are not accepted.
    #[error("the credentials are not accepted{}", in_brackets(.0))]
    BadCredentials(
        /// The service's own word for it; may be empty.
        String,
    ),
    /// There are no credentials.
    #[error("there are no credentials: set {0}")]
    NoCredentials(
        /// The variables that hold them.
        &'static str,
    ),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl BucketError {
    /// Returns the meaning of an error of `object_store`, which carries those of the transport.
    pub(super) fn of(error: object_store::Error) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(here) = cause {
            if let Some(own) = here.downcast_ref::<Self>() {
                return own.clone();
            }
            cause = here.source();
        }
        match error {
            object_store::Error::NotFound { .. } => Self::Absent,
            object_store::Error::Precondition { .. } | object_store::Error::AlreadyExists { .. } => Self::Conflict,
            object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. } => Self::Unsupported,
            error => Self::Other(clean(&root(&error))),
        }
    }
}

/// Makes a text from elsewhere fit to print.
pub(super) fn clean(text: &str) -> String {
    const LONGEST: usize = 300;
    let line: String = text.trim().chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.trim_end_matches('.').to_owned()
}

fn in_brackets(word: &str) -> String {
    if word.is_empty() { String::new() } else { format!(" ({word})") }
}
