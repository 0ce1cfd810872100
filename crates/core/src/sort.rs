//! Sorts small records, of which there may be more than memory has room for.
//!
//! Up to a limit they are held. Beyond it all are dealt into files by their first number, and each file is sorted when
//! its turn comes. Whoever sorts says how far first numbers reach: they should be spread evenly below that.

use std::{
    fmt,
    io::{self, BufReader, BufWriter, Read, Seek, Write},
    sync::{Arc, Mutex, PoisonError},
};

use crate::failure::FileError;

/// Gives files to whoever sorts more records than memory has room for.
///
/// Sorting itself opens nothing: the caller decides where such files are.
pub trait Scratch: fmt::Debug + Send + Sync {
    /// Opens an empty file that vanishes with its handle.
    fn file(&self) -> Result<Box<dyn ScratchFile>, FileError>;

    /// Returns `source` as an error of a file that this has given; `verb` is the operation that failed.
    fn error(&self, verb: &'static str, source: io::Error) -> FileError;
}

/// A file that is written once and read as often as needed.
pub trait ScratchFile: Read + Write + Seek + Send {}

impl<F: Read + Write + Seek + Send> ScratchFile for F {}

/// Files that records are dealt into. Each is open, and a process may have 1,024.
const FILES: usize = 64;

/// Bytes that are written to a file at once.
const BUFFER: usize = 32 << 10;

/// Numbers that are compared one after another.
pub type Record<const N: usize> = [u32; N];

/// Records on their way in.
pub struct Sorter<const N: usize> {
    scratch: Arc<dyn Scratch>,
    /// How many records are held at most.
    limit: usize,
    /// One more than the highest first number.
    reach: u64,
    held: Vec<Record<N>>,
    /// Empty until there are more than can be held.
    files: Vec<BufWriter<Box<dyn ScratchFile>>>,
}

/// Records that can be gone through in order, more than once.
pub struct Sorted<const N: usize> {
    scratch: Arc<dyn Scratch>,
    held: Vec<Record<N>>,
    /// Behind locks, since reading moves the place in a file.
    files: Vec<Mutex<Box<dyn ScratchFile>>>,
}

impl<const N: usize> fmt::Debug for Sorted<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sorted").field("held", &self.held.len()).field("files", &self.files.len()).finish()
    }
}

impl<const N: usize> Sorter<N> {
    /// A sorter that holds `bytes` at most, but for records of one and the same first number, and deals what is more into
    /// files that `scratch` gives. First numbers are below `reach`.
    pub fn new(scratch: &Arc<dyn Scratch>, bytes: usize, reach: u64) -> Self {
        let limit = (bytes / size_of::<Record<N>>()).max(1);
        Self { scratch: scratch.clone(), limit, reach: reach.max(1), held: Vec::new(), files: Vec::new() }
    }

    /// Makes room for so many records at once, or for as many as memory may hold.
    pub fn with_room_for(mut self, records: u64) -> Self {
        self.held.reserve_exact(usize::try_from(records).unwrap_or(usize::MAX).min(self.limit));
        self
    }

    /// Adds a record.
    pub fn push(&mut self, record: Record<N>) -> Result<(), FileError> {
        if self.held.len() == self.limit {
            self.deal()?;
        }
        if self.held.len() == self.held.capacity() {
            // Twice as many, but no more than are allowed.
            self.held.reserve_exact(self.held.len().max(256).min(self.limit - self.held.len()));
        }
        self.held.push(record);
        Ok(())
    }

    /// Deals what is held into the files.
    fn deal(&mut self) -> Result<(), FileError> {
        let failed = |source: io::Error| self.scratch.error("write", source);
        while self.files.len() < FILES {
            self.files.push(BufWriter::with_capacity(BUFFER, self.scratch.file()?));
        }
        for record in &self.held {
            let file = (u64::from(record[0]) * FILES as u64 / self.reach).min(FILES as u64 - 1);
            record
                .iter()
                .try_for_each(|number| self.files[file as usize].write_all(&number.to_le_bytes()))
                .map_err(failed)?;
        }
        self.held.clear();
        Ok(())
    }

    /// All records, sorted.
    pub fn finish(mut self) -> Result<Sorted<N>, FileError> {
        if self.files.is_empty() {
            self.held.sort_unstable();
        } else {
            self.deal()?;
            self.held = Vec::new();
        }
        let whole = |file: BufWriter<Box<dyn ScratchFile>>| match file.into_inner() {
            Ok(file) => Ok(Mutex::new(file)),
            Err(error) => Err(self.scratch.error("write", error.into_error())),
        };
        let files = self.files.into_iter().map(whole).collect::<Result<_, _>>()?;
        Ok(Sorted { scratch: self.scratch, held: self.held, files })
    }
}

impl<const N: usize> Sorted<N> {
    /// Calls `take` with every record in order.
    pub fn each<E: From<FileError>>(&self, mut take: impl FnMut(&Record<N>) -> Result<(), E>) -> Result<(), E> {
        self.held.iter().try_for_each(&mut take)?;
        self.files.iter().try_for_each(|file| self.read(file)?.iter().try_for_each(&mut take))
    }

    fn read(&self, file: &Mutex<Box<dyn ScratchFile>>) -> Result<Vec<Record<N>>, FileError> {
        let failed = |source| self.scratch.error("read", source);
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = file.seek(io::SeekFrom::End(0)).map_err(failed)?;
        file.rewind().map_err(failed)?;
        let count = bytes as usize / size_of::<Record<N>>();
        let (mut reader, mut records) = (BufReader::with_capacity(1 << 20, &mut *file), Vec::with_capacity(count));
        for _ in 0..count {
            let mut record = [0; N];
            for number in &mut record {
                let mut bytes = [0; 4];
                reader.read_exact(&mut bytes).map_err(failed)?;
                *number = u32::from_le_bytes(bytes);
            }
            records.push(record);
        }
        records.sort_unstable();
        Ok(records)
    }
}

/// A key of 64 bits as the first two numbers of a record, which compare as it does.
pub fn halves(key: u64) -> [u32; 2] {
    [(key >> 32) as u32, key as u32]
}

/// The key that [`halves`] took apart.
pub fn whole(halves: [u32; 2]) -> u64 {
    u64::from(halves[0]) << 32 | u64::from(halves[1])
}

/// Scratch files that are kept in memory: what tests of pure code spill into.
#[cfg(test)]
#[derive(Debug)]
pub struct InMemory;

#[cfg(test)]
impl InMemory {
    /// Returns it as whoever sorts takes it.
    pub fn scratch() -> Arc<dyn Scratch> {
        Arc::new(Self)
    }
}

#[cfg(test)]
impl Scratch for InMemory {
    fn file(&self) -> Result<Box<dyn ScratchFile>, FileError> {
        Ok(Box::new(io::Cursor::new(Vec::new())))
    }

    fn error(&self, verb: &'static str, source: io::Error) -> FileError {
        FileError { verb, path: "memory".into(), source }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::*;

    fn sorted(records: &[Record<3>], bytes: usize, reach: u64) -> (Vec<Record<3>>, bool) {
        let mut sorter = Sorter::new(&InMemory::scratch(), bytes, reach);
        records.iter().for_each(|record| sorter.push(*record).unwrap());
        let sorted = sorter.finish().unwrap();
        let all = || {
            let mut all = Vec::new();
            let push = |record: &Record<3>| {
                all.push(*record);
                Ok::<_, FileError>(())
            };
            sorted.each(push).unwrap();
            all
        };
        assert_eq!(all(), all(), "again and again");
        (all(), !sorted.files.is_empty())
    }

    proptest! {
        #[test]
        fn files_and_memory_sort_alike(records in prop::collection::vec(any::<[u32; 3]>(), 0..400), few in any::<bool>()) {
            // Few different ones: equal records and equal first numbers.
            let records: Vec<_> = records.into_iter().map(|record| if few { record.map(|n| n % 3) } else { record }).collect();
            let mut wanted = records.clone();
            wanted.sort_unstable();
            let reach = if few { 3 } else { 1 << 32 };
            for (bytes, is_dealt) in [(1 << 20, false), (12 * 64, records.len() > 64)] {
                let (all, dealt) = sorted(&records, bytes, reach);
                prop_assert_eq!(&all, &wanted);
                prop_assert_eq!(dealt, is_dealt, "{} records in {} bytes", records.len(), bytes);
            }
        }
    }

    #[test]
    fn halves_compare_as_the_key_does() {
        for pair in [0, 1, u64::from(u32::MAX), 1 << 32, u64::MAX].windows(2) {
            assert!(halves(pair[0]) < halves(pair[1]));
            assert_eq!(whole(halves(pair[1])), pair[1]);
        }
    }
}
