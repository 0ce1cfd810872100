//! Slices: which source files one of several workers works on, and which actions that takes.
//!
//! Workers do not talk. Each knows the same recipes and the same lock, lists the same files, and deals them out in the same way.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    action::{Action, SourceFile},
    inputs::{Known, PlannerDb, RecipeFile},
    model::model_for,
    queries::{Node, dataset, in_entry, known, parse},
    selection::{Looked, Request, chosen, keys_of, looked_up, measures, selected, steps, unknown_names},
    sources::{Surveyed, conversion, files, listed_files, scan_key, scanned, surveyed},
};
use datac_core::{
    config::Dataset,
    failure::{Failure, FailureKind},
    id::ActionKey,
    sample::SampleKind,
};
use std::{cmp::Reverse, fmt, str::FromStr, sync::Arc};

/// One of several slices that source files are dealt into: `0/4` is the first of four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    number: u32,
    of: u32,
}

impl Slice {
    /// Returns slice `number` of `of`; `None` if there is none of that number.
    pub fn new(number: u32, of: u32) -> Option<Self> {
        (number < of).then_some(Self { number, of })
    }

    /// Returns the number of the slice, from 0.
    pub fn number(self) -> u32 {
        self.number
    }

    /// Returns how many slices there are.
    pub fn of(self) -> u32 {
        self.of
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Slice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| part.parse::<u32>().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit()));
        let parts = text.split_once('/').and_then(|(part, of)| Some((number(part)?, number(of)?)));
        let Some((part, of)) = parts else {
            return Err("write it as I/N, such as 0/4 for the first of four".to_owned());
        };
        let last = of.checked_sub(1).ok_or("there must be at least one slice")?;
        Self::new(part, of).ok_or_else(|| format!("the slices of {of} are 0/{of} to {last}/{of}"))
    }
}

/// Names a file that is worked on as a whole: an archive goes with all that is in it.
///
/// A file of a hub has the name of its bytes, whatever recipe and reading it is for. One of the workspace has its path, since
/// nobody has hashed it yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FileId(String);

impl FileId {
    pub(crate) fn of(file: &SourceFile) -> Self {
        match file.origin.is_local() {
            true => Self(format!("path:{}", file.remote().path)),
            false => Self(file.digest.to_string()),
        }
    }
}

/// Deals files out to `slices` slices: the largest first, each to the slice that has the fewest bytes.
///
/// The result depends on names and sizes alone. No two slices differ by more bytes than the largest file has.
fn deal(files: &BTreeMap<FileId, u64>, slices: u32) -> BTreeMap<FileId, u32> {
    let mut largest_first: Vec<(&FileId, u64)> = files.iter().map(|(id, bytes)| (id, *bytes)).collect();
    largest_first.sort_by_key(|(id, bytes)| (Reverse(*bytes), *id));
    // Empty files weigh something, or all of them would go to one slice. The number of the slice decides among equals.
    let mut loads: BTreeSet<(u64, u32, u32)> = (0..slices).map(|number| (0, 0, number)).collect();
    let mut dealt = BTreeMap::new();
    for (id, bytes) in largest_first {
        let (load, count, number) = loads.pop_first().expect("there is at least one slice");
        loads.insert((load.saturating_add(bytes), count + 1, number));
        dealt.insert(id.clone(), number);
    }
    dealt
}

/// What one worker works on.
#[derive(Debug, Default)]
pub(crate) struct Share {
    /// The files of its slice.
    own: BTreeSet<FileId>,
    /// The files of other slices.
    others: BTreeSet<FileId>,
    /// Dataset entries that no worker works on.
    left: HashSet<(RecipeFile, usize)>,
}

impl Share {
    /// Returns the share of a slice in what `recipes` read, but for the dataset entries in `left`.
    pub(crate) fn new(
        db: &dyn PlannerDb,
        recipes: &[RecipeFile],
        left: HashSet<(RecipeFile, usize)>,
        slice: Slice,
    ) -> Self {
        let mut all: BTreeMap<FileId, u64> = BTreeMap::new();
        for (file, number) in entries(db, recipes) {
            // Which source cannot be used is said when it is worked on.
            let Ok(listed) = listed_files(db, file, number) else { continue };
            let Some((_, dataset)) = dataset(db, file, number).as_ref().filter(|_| !left.contains(&(file, number)))
            else {
                continue;
            };
            let dealt = if is_limited(dataset) { &listed[..listed.len().min(1)] } else { &listed[..] };
            all.extend(dealt.iter().map(|file| (FileId::of(file), file.remote().size)));
        }
        let (own, others): (Vec<_>, Vec<_>) =
            deal(&all, slice.of).into_iter().partition(|(_, number)| *number == slice.number);
        let ids = |dealt: Vec<(FileId, u32)>| dealt.into_iter().map(|(id, _)| id).collect();
        Self { own: ids(own), others: ids(others), left }
    }

    /// Returns whether the file is one of the slice.
    pub(crate) fn has(&self, file: &SourceFile) -> bool {
        self.own.contains(&FileId::of(file))
    }

    /// Returns the number of files of all slices.
    pub(crate) fn of(&self) -> usize {
        self.own.len() + self.others.len()
    }

    fn leaves(&self, file: RecipeFile, number: usize) -> bool {
        self.left.contains(&(file, number))
    }

    /// Returns whether the first file of a dataset entry is one of the slice.
    fn begins(&self, listed: &[Arc<SourceFile>]) -> bool {
        listed.first().is_some_and(|first| self.has(first))
    }
}

fn entries(db: &dyn PlannerDb, recipes: &[RecipeFile]) -> impl Iterator<Item = (RecipeFile, usize)> {
    recipes.iter().flat_map(move |file| {
        let count = parse(db, *file).as_ref().map_or(0, |recipe| recipe.datasets.len());
        (0..count).map(move |number| (*file, number))
    })
}

/// Returns whether a dataset entry reads its files one after another until it has enough rows. How many that are is only known
/// then, so it is worked on as a whole, by whoever has its first file.
fn is_limited(dataset: &Dataset) -> bool {
    dataset.take.first().is_some()
}

/// Returns the files of a slice that `recipes` read, as their places list them, each once.
pub(crate) fn files_of_share(db: &dyn PlannerDb, recipes: &[RecipeFile], share: &Share) -> Vec<Arc<SourceFile>> {
    let mut found: BTreeMap<FileId, Arc<SourceFile>> = BTreeMap::new();
    for (file, number) in entries(db, recipes).filter(|(file, number)| !share.leaves(*file, *number)) {
        for listed in listed_files(db, file, number).into_iter().flatten().filter(|listed| share.has(listed)) {
            found.entry(FileId::of(&listed)).or_insert(listed);
        }
    }
    found.into_values().collect()
}

/// Returns the files whose digests a worker needs to know, as their places list them: those of its slice, and all of a dataset entry
/// that it works on as a whole.
pub(crate) fn read_by(db: &dyn PlannerDb, recipes: &[RecipeFile], share: &Share) -> Vec<Arc<SourceFile>> {
    let mut found = Vec::new();
    for (file, number) in entries(db, recipes).filter(|(file, number)| !share.leaves(*file, *number)) {
        let Ok(listed) = listed_files(db, file, number) else { continue };
        let limited = dataset(db, file, number).as_ref().is_some_and(|(_, dataset)| is_limited(dataset));
        let is_whole = limited && share.begins(&listed);
        found.extend(listed.into_iter().filter(|file| is_whole || share.has(file)));
    }
    found
}

/// Returns why files of dataset entries cannot even be listed.
pub(crate) fn unlisted(db: &dyn PlannerDb, recipes: &[RecipeFile], share: &Share) -> Vec<Failure> {
    let listed = entries(db, recipes).filter(|(file, number)| !share.leaves(*file, *number));
    listed
        .filter_map(|(file, number)| Some(in_entry(db, file, number, &listed_files(db, file, number).err()?)))
        .collect()
}

/// Returns the actions that are missing for the files of a slice in one recipe; once there are none, the failures of files and
/// dataset entries. What fails holds up nothing else.
pub(crate) fn worked(db: &dyn PlannerDb, file: RecipeFile, share: &Share) -> Node<Vec<Failure>> {
    let (mut needs, mut failures) = (Vec::new(), Vec::new());
    for (file, number) in entries(db, &[file]).filter(|(file, number)| !share.leaves(*file, *number)) {
        let told = |failure: Failure| in_entry(db, file, number, &failure);
        match work_on(db, file, number, share, &mut needs) {
            Ok(found) => failures.extend(found.into_iter().map(told)),
            Err(failure) => failures.push(told(failure)),
        }
    }
    let mut seen = HashSet::new();
    failures.retain(|failure| seen.insert(failure.clone()));
    if needs.is_empty() { Node::Ready(failures) } else { Node::Needs(needs) }
}

/// Adds what is missing for the files of a slice in a dataset entry. Returns the failures of its files, or that of all of it.
fn work_on(
    db: &dyn PlannerDb,
    file: RecipeFile,
    number: usize,
    share: &Share,
    needs: &mut Vec<Arc<Action>>,
) -> Result<Vec<Failure>, Failure> {
    let nothing = || Failure::new(FailureKind::Config, "read the recipe");
    let (kind, dataset) = dataset(db, file, number).as_ref().ok_or_else(nothing)?;
    let listed = listed_files(db, file, number)?;
    if is_limited(dataset) {
        match selected(db, file, number) {
            _ if !share.begins(&listed) => {}
            Node::Ready(_) => {}
            Node::Needs(actions) => needs.extend(actions.iter().cloned()),
            Node::Failed(failure) => return Err(failure.clone()),
        }
        return Ok(Vec::new());
    }
    if !listed.iter().any(|file| share.has(file)) {
        return Ok(Vec::new());
    }
    let files = files(db, file, number).as_ref().map_err(Clone::clone)?;
    let conversion = conversion(db, file, number).as_ref().map_err(Clone::clone)?;
    if let Some(failure) = unknown_names(db, files, *kind, dataset) {
        return Err(failure);
    }
    let model = match model_for(db, file, number) {
        Node::Ready(model) => model,
        Node::Needs(actions) => {
            needs.extend(actions);
            return Ok(Vec::new());
        }
        Node::Failed(failure) => return Err(failure),
    };
    let measures = measures(db, file, number)?;
    let request = Request { kind: *kind, conversion: conversion.as_ref(), measures, model: model.as_ref(), dataset };
    // The rows that decide the conversion may be in a file of another slice. As little of it is read as tells.
    if is_chosen_by_rows(*kind, dataset, conversion.is_some())
        && let Surveyed::Lacks(next) = surveyed(db, files)?
        && !share.has(&next)
    {
        let known = scanned(db, &next)?.map_or(0, |scan| scan.chunks.len() as u32);
        needs.push(request.read(db, &next, known, Some(0)));
    }
    let mut failures = Vec::new();
    for file in files.iter().filter(|file| share.has(file)) {
        match missing_of(db, file, &request) {
            Ok(actions) => needs.extend(actions),
            Err(failure) => failures.push(failure),
        }
    }
    Ok(failures)
}

/// Returns whether what a file's rows look like may decide how they are converted.
fn is_chosen_by_rows(kind: SampleKind, dataset: &Dataset, is_known: bool) -> bool {
    let names_text = kind == SampleKind::Text && dataset.text_field.is_some() && dataset.options.columns.is_empty();
    !is_known || (names_text && dataset.converter.is_none())
}

/// Returns the actions that are missing for a file.
fn missing_of(db: &dyn PlannerDb, file: &Arc<SourceFile>, request: &Request<'_>) -> Result<Vec<Arc<Action>>, Failure> {
    let scan = scanned(db, file)?;
    let mut missing = Vec::new();
    if scan.is_none_or(|scan| !scan.complete) {
        missing.push(request.read(db, file, scan.map_or(0, |scan| scan.chunks.len() as u32), None));
    }
    if let (Some(scan), Some(conversion)) = (scan, request.conversion) {
        for step in steps(db, file, scan, conversion, request.kind) {
            match chosen(db, step, request) {
                Node::Ready(_) => {}
                Node::Needs(actions) => missing.extend(actions),
                Node::Failed(failure) => return Err(failure),
            }
        }
    }
    Ok(missing)
}

/// What a worker has made of a dataset entry.
pub(super) enum Made<'a> {
    /// The chunks of a file, or the files of an archive.
    Scan(ActionKey),
    /// What was made of a chunk.
    Chunk(&'a super::action::ChunkRef, Vec<ActionKey>),
}

/// Calls `see` with everything that was made of the files of a slice in a dataset entry and is of use to others.
///
/// Not the first chunks of a file of another slice, which were read to know the conversion: whoever works on it makes all of them
/// under the same key.
pub(super) fn made(db: &dyn PlannerDb, file: RecipeFile, number: usize, share: &Share, see: &mut dyn FnMut(Made<'_>)) {
    let Some((kind, dataset)) = dataset(db, file, number) else { return };
    let (Ok(listed), Ok(files)) = (listed_files(db, file, number), files(db, file, number)) else { return };
    let limited = is_limited(dataset);
    if share.leaves(file, number) || (limited && !share.begins(&listed)) {
        return;
    }
    let is_made = |key: &ActionKey| matches!(known(db, key), Known::Outcome(_));
    let is_own = |file: &SourceFile| match limited {
        true => !share.others.contains(&FileId::of(file)),
        false => share.has(file),
    };
    for source in files.iter().filter(|file| is_own(file)) {
        let archive = source.archive().map(|archive| scan_key(db, &archive));
        let is_usable = limited || matches!(scanned(db, source), Ok(Some(scan)) if scan.complete);
        let own = is_usable.then(|| scan_key(db, source));
        archive.into_iter().chain(own).filter(is_made).for_each(|key| see(Made::Scan(key)));
    }
    let mut see_chunk = |chunk: &super::action::ChunkRef, keys: Vec<ActionKey>| {
        see(Made::Chunk(chunk, keys.into_iter().filter(is_made).collect()));
    };
    if limited {
        return looked_up(db, file, number, &mut |looked| {
            if let Looked::Chunk(chunk, keys) = looked {
                see_chunk(chunk, keys);
            }
        });
    }
    let Ok(Some(conversion)) = conversion(db, file, number) else { return };
    let model = match model_for(db, file, number) {
        Node::Ready(model) => model,
        _ => None,
    };
    let Ok(measures) = measures(db, file, number) else { return };
    let request = Request { kind: *kind, conversion: Some(conversion), measures, model: model.as_ref(), dataset };
    for source in files.iter().filter(|file| share.has(file)) {
        let Ok(Some(scan)) = scanned(db, source) else { continue };
        for step in steps(db, source, scan, conversion, *kind) {
            see_chunk(step.chunk(db), keys_of(db, step, &request));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn files(sizes: &[u64]) -> BTreeMap<FileId, u64> {
        sizes.iter().enumerate().map(|(number, bytes)| (FileId(format!("file {number}")), *bytes)).collect()
    }

    proptest! {
        #[test]
        fn every_file_has_one_slice_and_slices_are_balanced(
            sizes in prop::collection::vec(0_u64..5000, 0..80),
            slices in 1_u32..20,
        ) {
            let files = files(&sizes);
            let dealt = deal(&files, slices);
            prop_assert!(dealt.keys().eq(files.keys()), "each file, and each once");
            let mut loads = vec![(0, 0_usize); slices as usize];
            for (id, number) in &dealt {
                let load = &mut loads[*number as usize];
                *load = (load.0 + files[id], load.1 + 1);
            }
            let bytes = || loads.iter().map(|(bytes, _)| *bytes);
            let largest = sizes.iter().copied().max().unwrap_or(0);
            prop_assert!(bytes().max() <= bytes().min().map(|least| least + largest));
            // Twin: looks at every slice for every file.
            let mut order: Vec<_> = files.iter().collect();
            order.sort_by_key(|(id, bytes)| (Reverse(**bytes), *id));
            let mut twin = vec![(0, 0); slices as usize];
            for (id, bytes) in order {
                let least = (0..twin.len()).min_by_key(|number| (twin[*number], *number)).unwrap();
                twin[least] = (twin[least].0 + bytes, twin[least].1 + 1);
                prop_assert_eq!(dealt[id], least as u32);
            }
        }

        #[test]
        fn files_of_one_size_are_spread(count in 0_usize..100, slices in 1_u32..20, bytes in 0_u64..2) {
            let dealt = deal(&files(&vec![bytes; count]), slices);
            let counts = (0..slices).map(|slice| dealt.values().filter(|number| **number == slice).count());
            let (least, most) = counts.fold((usize::MAX, 0), |(least, most), count| (least.min(count), most.max(count)));
            prop_assert!(most - least <= 1);
        }
    }

    #[test]
    fn slices_are_read_as_they_are_written() {
        for good in ["0/1", "0/4", "3/4", "99/100"] {
            assert_eq!(good.parse::<Slice>().unwrap().to_string(), good);
        }
        for bad in ["", "1", "1/1", "4/4", "0/0", "-1/4", "+1/4", "1/+4", "a/b", "1/2/3", " 0/1"] {
            assert!(bad.parse::<Slice>().is_err(), "{bad}");
        }
    }
}
