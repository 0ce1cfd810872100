//! Names of releases.

use std::fmt;

use super::{FOLDER, ReleaseError};

/// Maximum number of characters of a name, and of a version.
const LONGEST: usize = 64;

/// Ending of the objects that hold documents.
const ENDING: &str = ".release";

/// The name of a release with its version: `posttrain@2026-12-01`.
///
/// Both are at most 64 letters, digits, `-`, `_` and `.` of ASCII, and begin with a letter or a digit. So they are names of files
/// everywhere, and none is hidden or leads elsewhere.
///
/// ```
/// use datac_engine::remote::ReleaseName;
///
/// let name = ReleaseName::parse("posttrain@2026-12-01").unwrap();
/// assert_eq!((name.name(), name.version()), ("posttrain", "2026-12-01"));
/// for text in ["posttrain", "posttrain@", "@v1", "a@../b", "a/b@v1", "a@v 1", "a@.v1", "a@v1@2"] {
///     assert!(ReleaseName::parse(text).is_err(), "{text}");
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseName {
    name: String,
    version: String,
}

impl ReleaseName {
    /// Parses `NAME@VERSION`.
    pub fn parse(text: &str) -> Result<Self, ReleaseError> {
        let bad = || ReleaseError::BadName(text.to_owned());
        let (name, version) = text.split_once('@').ok_or_else(bad)?;
        Self::new(name, version).map_err(|_| bad())
    }

    /// Creates the name of a release from its parts.
    pub fn new(name: &str, version: &str) -> Result<Self, ReleaseError> {
        if is_word(name) && is_word(version) {
            Ok(Self { name: name.to_owned(), version: version.to_owned() })
        } else {
            Err(ReleaseError::BadName(format!("{name}@{version}")))
        }
    }

    /// Returns the name without the version.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the name of the object that holds the document.
    pub(super) fn object(&self) -> String {
        format!("{}/{}/{}{ENDING}", folder(), self.name, self.version)
    }

    /// Returns the release whose document an object holds, if it is named like one.
    pub(in crate::remote) fn of_object(object: &str) -> Option<Self> {
        let (name, file) = object.strip_prefix(&folder())?.strip_prefix('/')?.split_once('/')?;
        Self::new(name, file.strip_suffix(ENDING)?).ok()
    }
}

impl fmt::Display for ReleaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// Returns the folder of all documents.
pub(super) fn folder() -> String {
    format!("{FOLDER}/named")
}

fn is_word(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.len() <= LONGEST && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_objects_and_back() {
        let name = ReleaseName::parse("post.train_2@2026-12-01").unwrap();
        assert_eq!(name.object(), "datac-releases-1/named/post.train_2/2026-12-01.release");
        assert_eq!(ReleaseName::of_object(&name.object()), Some(name));
        for object in ["datac-releases-1/named/a", "datac-releases-1/named/a/.datac-x.part", "named/a/b.release"] {
            assert_eq!(ReleaseName::of_object(object), None, "{object}");
        }
    }

    #[test]
    fn names_that_are_no_names_of_files_are_refused() {
        let long = format!("a@{}", "x".repeat(65));
        for text in [
            "", "@", "a", "a@", "@b", "../a@b", "a@..", "a@.", "a@b/c", "a b@c", "a@b c", "a@b\n", "ä@b", "-a@b", &long,
        ] {
            assert!(ReleaseName::parse(text).is_err(), "{text}");
        }
        assert!(ReleaseName::parse(&long[..66]).is_ok());
    }
}
