//! Lists folders without following links, for code that counts and removes files.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

use super::{FileError, at};

/// Kind of a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, whatever its target.
    Link,
    /// A socket, a pipe or a device.
    Other,
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderEntry {
    /// Name of the entry.
    pub name: String,
    /// Kind of the entry.
    pub kind: EntryKind,
    /// Size in bytes.
    pub bytes: u64,
    /// Time of the last change of the content, in nanoseconds since 1970.
    pub mtime_ns: i64,
}

/// Returns the entries of a folder, sorted by name; none if the folder does not exist. Entries that vanish meanwhile
/// are left out.
pub fn entries(folder: &Path) -> Result<Vec<FolderEntry>, FileError> {
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at("list", folder)(error)),
    };
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry.map_err(at("list", folder))?;
        // This is the metadata of the entry itself: links are not followed.
        let Ok(meta) = entry.metadata() else { continue };
        found.push(FolderEntry {
            name: entry.file_name().to_string_lossy().into_owned(),
            kind: kind_of(meta.file_type()),
            bytes: meta.len(),
            mtime_ns: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Returns the kind of the entry at a path, if there is one, without following links.
pub fn kind(path: &Path) -> Option<EntryKind> {
    fs::symlink_metadata(path).ok().map(|meta| kind_of(meta.file_type()))
}

/// Removes a folder if it is empty. Returns whether it was removed.
pub fn remove_empty_dir(path: &Path) -> bool {
    fs::remove_dir(path).is_ok()
}

fn kind_of(file_type: fs::FileType) -> EntryKind {
    if file_type.is_symlink() {
        EntryKind::Link
    } else if file_type.is_dir() {
        EntryKind::Folder
    } else if file_type.is_block_device() || file_type.is_char_device() || file_type.is_fifo() || file_type.is_socket()
    {
        EntryKind::Other
    } else {
        EntryKind::File
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), b"12").unwrap();
        fs::create_dir(folder.path().join("b")).unwrap();
        std::os::unix::fs::symlink("b", folder.path().join("c")).unwrap();
        let found = entries(folder.path()).unwrap();
        let kinds: Vec<_> = found.iter().map(|entry| (entry.name.as_str(), entry.kind)).collect();
        assert_eq!(kinds, [("a", EntryKind::File), ("b", EntryKind::Folder), ("c", EntryKind::Link)]);
        assert_eq!(found[0].bytes, 2);
        assert_eq!(entries(&folder.path().join("none")).unwrap(), []);
        assert_eq!(kind(&folder.path().join("c")), Some(EntryKind::Link));
        assert!(!remove_empty_dir(folder.path()) && remove_empty_dir(&folder.path().join("b")));
    }
}
