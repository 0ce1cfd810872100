//! The keys that results in a shared cache are signed with: Ed25519, by the same ring that TLS uses.
//!
//! A private key belongs to a person or a machine and lies outside of every workspace. It is one line of text,
//! `datac-key-1:NAME:` and 128 hexadecimal digits (the seed, then the public key), so that a CI system can hold it as a secret.

use std::{fmt, path::PathBuf, sync::Arc};

use ring::{
    rand::{SecureRandom, SystemRandom},
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};

use crate::system;

/// The environment variable that holds a private key, in place of the file.
pub const KEY_VARIABLE: &str = "DATAC_CACHE_KEY";

/// What the text of a private key begins with.
const PRIVATE: &str = "datac-key-1";

/// What the text of a public key begins with.
const PUBLIC: &str = "ed25519";

/// Maximum size of the file of a private key.
const LONGEST: u64 = 4096;

/// A public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Wraps the 32 bytes of a key.
    pub(super) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes of the key.
    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Parses `ed25519:` and 64 hexadecimal digits; returns `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, digits) = text.trim().split_once(':')?;
        (kind == PUBLIC).then(|| bytes_of(digits)).flatten().map(Self)
    }

    /// Returns whether `signature` is that of this key over `message`.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}:{}", hex(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A private key with its name. `Debug` prints the public part.
pub struct PrivateKey {
    name: String,
    pair: Ed25519KeyPair,
    text: String,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("name", &self.name).field("public", &self.public()).finish_non_exhaustive()
    }
}

/// What a workspace signs results with.
#[derive(Clone, Debug, Default)]
pub enum Signing {
    /// The key that [`find_key`] finds.
    #[default]
    OfUser,
    /// This key.
    With(Arc<PrivateKey>),
    /// Nothing: a shared cache is only read.
    Nothing,
}

impl Signing {
    /// Returns the key, if there is one.
    pub(crate) fn key(&self) -> Result<Option<Arc<PrivateKey>>, KeyError> {
        match self {
            Self::OfUser => Ok(find_key()?.map(|(key, _)| Arc::new(key))),
            Self::With(key) => Ok(Some(key.clone())),
            Self::Nothing => Ok(None),
        }
    }
}

/// Why there is no usable key, or none can be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There is a key already.
    #[error("there is a key already: `{}`", .0.display())]
    Exists(PathBuf),
    /// There is no place for a key.
    #[error("there is no place for a key: neither XDG_CONFIG_HOME nor a home folder is set")]
    NoPlace,
    /// The text is not a private key.
    #[error("{place} does not hold a private key of datac")]
    Malformed {
        /// The file or the variable.
        place: String,
    },
    /// Others may read the file.
    #[error("others may read the private key `{}` (mode {mode:o})", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The name cannot be one of a key.
    #[error("`{0}` cannot be the name of a key: use up to 64 letters, digits, `-`, `_`, `.` and `@`")]
    BadName(String),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandom,
    /// A file could not be read or written.
    #[error("failed to {0}")]
    File(#[from] system::FileError),
}

impl PrivateKey {
    /// Makes a new key.
    pub fn generate(name: &str) -> Result<Self, KeyError> {
        check_name(name)?;
        let mut seed = [0; 32];
        SystemRandom::new().fill(&mut seed).map_err(|_| KeyError::NoRandom)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| KeyError::NoRandom)?;
        let text = format!("{PRIVATE}:{name}:{}{}", hex(&seed), hex(pair.public_key().as_ref()));
        Ok(Self { name: name.to_owned(), pair, text })
    }

    /// Parses the text of a private key; returns `None` for any other text, and for one whose halves do not belong together.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let mut parts = text.split(':');
        let (kind, name, digits) = (parts.next()?, parts.next()?, parts.next()?);
        if kind != PRIVATE || parts.next().is_some() || check_name(name).is_err() || !digits.is_ascii() {
            return None;
        }
        let (seed, public) = digits.split_at_checked(64)?;
        let pair = Ed25519KeyPair::from_seed_and_public_key(&bytes_of(seed)?, &bytes_of(public)?).ok()?;
        Some(Self { name: name.to_owned(), pair, text: text.to_owned() })
    }

    /// Returns the key's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the public part.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.pair.public_key().as_ref().try_into().expect("public keys of Ed25519 have 32 bytes"))
    }

    /// Signs a message.
    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.pair.sign(message).as_ref().try_into().expect("signatures of Ed25519 have 64 bytes")
    }

    /// Writes the key to a new file that only its owner can read.
    pub fn store(&self, path: &std::path::Path) -> Result<(), KeyError> {
        let written = system::write_private_new(path, format!("{}\n", self.text).as_bytes())?;
        if written { Ok(()) } else { Err(KeyError::Exists(path.to_owned())) }
    }
}

/// Returns the file of the user's private key: `datac/cache.key` in the folder for settings.
pub fn key_path() -> Result<PathBuf, KeyError> {
    let set = system::env("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = set.or_else(|| Some(system::home_dir()?.join(".config"))).ok_or(KeyError::NoPlace)?;
    Ok(folder.join("datac").join("cache.key"))
}

/// Returns the user's private key and where it is: in [`KEY_VARIABLE`], or else in the file [`key_path`]; `None` if there is none.
pub fn find_key() -> Result<Option<(PrivateKey, String)>, KeyError> {
    if let Some(text) = system::env(KEY_VARIABLE) {
        let place = KEY_VARIABLE.to_owned();
        return match PrivateKey::parse(&text) {
            Some(key) => Ok(Some((key, place))),
            None => Err(KeyError::Malformed { place }),
        };
    }
    let Ok(path) = key_path() else { return Ok(None) };
    let mode = match system::mode(&path) {
        Ok(mode) => mode & 0o777,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if mode & 0o077 != 0 {
        return Err(KeyError::Open { path, mode });
    }
    let bytes = system::read_up_to(&path, LONGEST)?;
    let key = std::str::from_utf8(&bytes).ok().and_then(PrivateKey::parse);
    let place = path.display().to_string();
    match key {
        Some(key) => Ok(Some((key, place))),
        None => Err(KeyError::Malformed { place: format!("`{place}`") }),
    }
}

/// Fails if a text cannot be the name of a key.
pub(super) fn check_name(name: &str) -> Result<(), KeyError> {
    const LONGEST: usize = 64;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    let is_good = (1..=LONGEST).contains(&name.len()) && name.chars().all(is_plain);
    if is_good { Ok(()) } else { Err(KeyError::BadName(name.to_owned())) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(digits: &str) -> Option<[u8; 32]> {
    datac_core::hash::Digest::from_hex(digits).map(|digest| *digest.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_and_signs_what_its_public_part_verifies() {
        let key = PrivateKey::generate("ada@desk").unwrap();
        let again = PrivateKey::parse(&format!("{}\n", key.text)).unwrap();
        assert_eq!((again.name(), again.public()), ("ada@desk", key.public()));
        let signature = again.sign(b"message");
        assert!(key.public().has_signed(b"message", &signature));
        assert!(!key.public().has_signed(b"massage", &signature));
        assert!(!PrivateKey::generate("b").unwrap().public().has_signed(b"message", &signature));
        assert_eq!(PublicKey::parse(&key.public().to_string()), Some(key.public()));
        assert!(!format!("{key:?}").contains(&key.text[key.text.len() - 128..key.text.len() - 64]));
    }

    #[test]
    fn texts_that_are_no_keys_are_refused() {
        let (key, other) = (PrivateKey::generate("a").unwrap(), PrivateKey::generate("a").unwrap());
        let swapped = format!("{}{}", &key.text[..key.text.len() - 64], &other.text[other.text.len() - 64..]);
        let short = &key.text[..key.text.len() - 1];
        for text in ["", "datac-key-1:a:", short, &swapped, &key.text.replace("-1:", "-2:"), "datac-key-1:é:ü"] {
            assert!(PrivateKey::parse(text).is_none(), "{text}");
        }
        for name in ["", "a b", "a:b", "a\nb", &"x".repeat(65)] {
            assert!(PrivateKey::generate(name).is_err(), "{name}");
        }
        for text in ["", "ed25519:", "ed25519:zz", "rsa:00", &key.text] {
            assert!(PublicKey::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn the_file_of_a_key_is_for_its_owner_alone_and_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config/datac/cache.key");
        let key = PrivateKey::generate("a").unwrap();
        key.store(&path).unwrap();
        assert_eq!(system::mode(&path).unwrap() & 0o777, 0o600);
        assert!(matches!(PrivateKey::generate("b").unwrap().store(&path), Err(KeyError::Exists(_))));
        assert_eq!(system::read(&path).unwrap(), format!("{}\n", key.text).into_bytes());
    }
}
