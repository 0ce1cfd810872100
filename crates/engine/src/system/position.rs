//! How far a file has been read, for whoever shows it.

use std::{fs::File, io::Seek};

/// The position of a file that others read: a second handle, which shares it.
pub struct ReadPosition(File);

impl ReadPosition {
    /// Returns the position of a file; `None` if the system gives no second handle.
    pub fn of(file: &File) -> Option<Self> {
        file.try_clone().ok().map(Self)
    }

    /// Returns how many bytes lie before it, as the file is on disk; 0 if nobody knows.
    pub fn bytes(&self) -> u64 {
        (&self.0).stream_position().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_position_follows_whoever_reads() {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, b"0123456789").unwrap();
        file.rewind().unwrap();
        let position = ReadPosition::of(&file).unwrap();
        file.read_exact(&mut [0; 4]).unwrap();
        assert_eq!(position.bytes(), 4);
        file.read_exact(&mut [0; 2]).unwrap();
        assert_eq!(position.bytes(), 6, "asking moves nothing");
    }
}
