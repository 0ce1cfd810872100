//! Sorts small records that may not fit in memory.
//!
//! Records are held in memory up to a limit. Beyond it, all are distributed among files by their first number, and
//! each file is sorted when it is read. The caller gives the range of first numbers, which should be evenly
//! distributed.

use std::{
    fmt,
    io::{self, BufReader, BufWriter, Read, Seek, Write},
    sync::{Arc, Mutex, PoisonError},
};

use crate::failure::FileError;

/// A source of temporary files for sorting.
///
/// Sorting itself opens no files; the caller decides where they are.
pub trait Scratch: fmt::Debug + Send + Sync {
    /// Opens an empty file, which vanishes when it is closed.
    fn file(&self) -> Result<Box<dyn ScratchFile>, FileError>;

    /// Returns `source` as an error about one of the files; `verb` is the operation that failed.
    fn error(&self, verb: &'static str, source: io::Error) -> FileError;
}

/// A file that is written once and read any number of times.
pub trait ScratchFile: Read + Write + Seek + Send {}

impl<F: Read + Write + Seek + Send> ScratchFile for F {}

/// Number of files that records are distributed among. All are open at once, and a process may have 1,024.
const FILES: usize = 64;

/// Size of a file's write buffer in bytes.
const BUFFER: usize = 32 << 10;

/// A record: numbers that are compared one after another.
pub type Record<const N: usize> = [u32; N];

/// Collects records to be sorted.
pub struct Sorter<const N: usize> {
    scratch: Arc<dyn Scratch>,
    /// Maximum number of records held in memory.
    limit: usize,
    /// One more than the highest first number.
    reach: u64,
    held: Vec<Record<N>>,
    /// Empty until records exceed the limit.
    files: Vec<BufWriter<Box<dyn ScratchFile>>>,
}

/// Sorted records, which can be read more than once.
pub struct Sorted<const N: usize> {
    scratch: Arc<dyn Scratch>,
    held: Vec<Record<N>>,
    /// Behind locks, since reading moves the position in the file.
    files: Vec<Mutex<Box<dyn ScratchFile>>>,
}

impl<const N: usize> fmt::Debug for Sorted<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sorted").field("held", &self.held.len()).field("files", &self.files.len()).finish()
    }
}

impl<const N: usize> Sorter<N> {
    /// Creates a sorter that holds at most `bytes` in memory, and writes further records to files of `scratch`. First
    /// numbers must be below `reach`. While reading, more is held if many records have similar first numbers.
    pub fn new(scratch: &Arc<dyn Scratch>, bytes: usize, reach: u64) -> Self {
        let limit = (bytes / size_of::<Record<N>>()).max(1);
        Self { scratch: scratch.clone(), limit, reach: reach.max(1), held: Vec::new(), files: Vec::new() }
    }

    /// Reserves memory for this number of records, but at most for the limit.
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
            // Grow by doubling, up to the limit.
            self.held.reserve_exact(self.held.len().max(256).min(self.limit - self.held.len()));
        }
        self.held.push(record);
        Ok(())
    }

    /// Writes the records in memory to the files.
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

    /// Returns all records, sorted.
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
    /// Calls `take` with every record, in order.
    pub fn each<E: From<FileError>>(&self, mut take: impl FnMut(&Record<N>) -> Result<(), E>) -> Result<(), E> {
        self.held.iter().try_for_each(&mut take)?;
        self.files.iter().try_for_each(|file| self.read(file)?.iter().try_for_each(&mut take))
    }

    /// Returns every record, in order.
    pub fn records(&self) -> impl Iterator<Item = Result<Record<N>, FileError>> + '_ {
        let filed = self.files.iter().flat_map(|file| {
            let (records, error) = match self.read(file) {
                Ok(records) => (records, None),
                Err(error) => (Vec::new(), Some(Err(error))),
            };
            records.into_iter().map(Ok).chain(error)
        });
        self.held.iter().copied().map(Ok).chain(filed)
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

/// Splits a key of 64 bits into the first two numbers of a record, which compare as the key does.
pub fn halves(key: u64) -> [u32; 2] {
    [(key >> 32) as u32, key as u32]
}

/// Returns the key that [`halves`] split.
pub fn whole(halves: [u32; 2]) -> u64 {
    u64::from(halves[0]) << 32 | u64::from(halves[1])
}

/// Scratch files in memory, for tests of pure code.
#[cfg(test)]
#[derive(Debug)]
pub struct InMemory;

#[cfg(test)]
impl InMemory {
    /// Returns the files as a sorter expects them.
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
            // Few distinct numbers, so that records and first numbers repeat.
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
