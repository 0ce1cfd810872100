//! The public keys that a workspace trusts, in a file that is committed with it.
//!
//! A line is a name and a key: `ci ed25519:<64 digits>`. Lines that begin with `#` and empty lines are for people.

use std::path::{Path, PathBuf};

use super::keys::{PublicKey, check_name};
use crate::system;

/// Name of the file with the keys that a workspace trusts.
pub const KEYS_FILE: &str = "datac.keys";

/// What a new file begins with.
const HEAD: &str = "\
# Who may add results to the shared cache of this workspace: builds take results that one of these keys has signed.
# `datac cache key trust NAME KEY` adds a key, `datac cache key remove NAME` removes it. Review changes as you review code.
";

/// A file of keys that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// A line is not a name and a key.
    #[error("{}:{line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The name or the key is taken.
    #[error("{0}")]
    Taken(String),
    /// There is no key of that name.
    #[error("no key is called `{0}`")]
    Unknown(String),
    /// The file could not be read or written.
    #[error("failed to {0}")]
    File(#[from] system::FileError),
}

/// The keys that a workspace trusts, in the order of its file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusted {
    path: PathBuf,
    keys: Vec<(String, PublicKey)>,
    /// The lines of the file.
    lines: Vec<String>,
}

impl Trusted {
    /// Reads the keys of the workspace at `root`; none if there is no file.
    pub fn read(root: &Path) -> Result<Self, TrustError> {
        const LONGEST: u64 = 1 << 20;
        let path = root.join(KEYS_FILE);
        let bytes = match system::read_up_to(&path, LONGEST) {
            Ok(bytes) => bytes,
            Err(error) if error.is_missing() => return Ok(Self { path, ..Self::default() }),
            Err(error) => return Err(error.into()),
        };
        let mut found = Self { path, ..Self::default() };
        let text = String::from_utf8_lossy(&bytes);
        for (number, line) in text.lines().enumerate() {
            found.lines.push(line.to_owned());
            let words: Vec<&str> = line.split_whitespace().collect();
            let wrong = |reason: String| TrustError::Line { path: found.path.clone(), line: number + 1, reason };
            match words[..] {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                [name, key] => {
                    check_name(name).map_err(|error| wrong(error.to_string()))?;
                    let key = PublicKey::parse(key);
                    let key = key.ok_or_else(|| wrong("write the key as `ed25519:` and 64 digits".to_owned()))?;
                    if found.keys.iter().any(|(known, _)| known == name) {
                        return Err(wrong(format!("the name `{name}` is there twice")));
                    }
                    found.keys.push((name.to_owned(), key));
                }
                _ => return Err(wrong("write a name and a key, `NAME ed25519:…`".to_owned())),
            }
        }
        Ok(found)
    }

    /// Returns the names and keys.
    pub fn keys(&self) -> &[(String, PublicKey)] {
        &self.keys
    }

    /// Adds a key, and writes the file.
    pub fn add(&mut self, name: &str, key: PublicKey) -> Result<(), TrustError> {
        check_name(name).map_err(|error| TrustError::Taken(error.to_string()))?;
        if let Some((known, _)) = self.keys.iter().find(|(known, has)| known == name || *has == key) {
            let what = if known == name { "a key is called" } else { "the key is trusted already, as" };
            return Err(TrustError::Taken(format!("{what} `{known}`")));
        }
        if self.lines.is_empty() {
            self.lines.extend(HEAD.lines().map(str::to_owned));
        }
        self.lines.push(format!("{name} {key}"));
        self.keys.push((name.to_owned(), key));
        self.write()
    }

    /// Removes a key, and writes the file.
    pub fn remove(&mut self, name: &str) -> Result<(), TrustError> {
        let is_its = |line: &String| line.split_whitespace().next() == Some(name);
        let count = self.keys.len();
        self.keys.retain(|(known, _)| known != name);
        if self.keys.len() == count {
            return Err(TrustError::Unknown(name.to_owned()));
        }
        self.lines.retain(|line| !is_its(line));
        self.write()
    }

    fn write(&self) -> Result<(), TrustError> {
        let text: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        system::replace(&self.path, text.as_bytes())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(digit: char) -> PublicKey {
        PublicKey::parse(&format!("ed25519:{}", digit.to_string().repeat(64))).unwrap()
    }

    #[test]
    fn keys_are_added_and_removed_and_the_rest_of_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let read = || Trusted::read(folder.path()).unwrap();
        assert_eq!(read().keys(), []);
        read().add("ci", key('a')).unwrap();
        let path = folder.path().join(KEYS_FILE);
        let text = String::from_utf8(system::read(&path).unwrap()).unwrap();
        system::replace(&path, format!("{text}\n# the night build\n").as_bytes()).unwrap();
        read().add("ada", key('b')).unwrap();
        assert_eq!(read().keys(), [("ci".to_owned(), key('a')), ("ada".to_owned(), key('b'))]);
        assert_eq!(read().add("ci", key('c')).unwrap_err().to_string(), "a key is called `ci`");
        assert_eq!(read().add("x", key('b')).unwrap_err().to_string(), "the key is trusted already, as `ada`");
        read().remove("ci").unwrap();
        assert_eq!(read().remove("ci").unwrap_err().to_string(), "no key is called `ci`");
        let text = String::from_utf8(system::read(&path).unwrap()).unwrap();
        assert!(text.starts_with("# Who may") && text.ends_with(&format!("\n# the night build\nada {}\n", key('b'))));
    }

    #[test]
    fn a_bad_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(KEYS_FILE);
        for (line, reason) in [
            ("ci", "write a name and a key"),
            ("ci ed25519:12", "write the key as"),
            (&format!("c:i {}", key('a')), "cannot be the name of a key"),
            (&format!("ada {}", key('b')), "the name `ada` is there twice"),
        ] {
            let text = format!("# keys\nada {}\n{line}\n", key('a'));
            system::replace(&path, text.as_bytes()).unwrap();
            let error = Trusted::read(folder.path()).unwrap_err().to_string();
            assert!(error.contains("datac.keys:3: ") && error.contains(reason), "{error}");
        }
    }
}
