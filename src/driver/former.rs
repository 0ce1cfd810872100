//! Finds what the output files in place hold, from the build that wrote them, so that rows which stay are copied.
//!
//! All of it is for speed: whatever cannot be had, or would take too much memory, is gathered from the cache as ever.

use std::collections::{HashMap, HashSet};

use super::{context::Context, output::Gathered};
use crate::{
    id::{BlobId, FileHash},
    materialise::{Former, FormerRow, GONE},
    mix::Selection,
    outputs::FileMeta,
    system,
};

/// What the files of an earlier build were gathered from.
pub(crate) struct FormerBuild {
    /// Its sources in order.
    pub(crate) sources: Vec<FormerSource>,
    /// Training and validation.
    pub(crate) files: Vec<FormerFile>,
}

/// Finds the build that wrote a file of these bytes.
pub(crate) type FindFormer = dyn Fn(&FileHash) -> Option<FormerBuild> + Send + Sync;

/// A source as it was.
pub(crate) struct FormerSource {
    /// Its name in the recipe.
    pub(crate) name: String,
    /// The blob that says which samples were kept, and how many were.
    pub(crate) selection: BlobId,
    pub(crate) kept: u64,
    /// For each chunk the blobs of its rows and of their index.
    pub(crate) chunks: Vec<(BlobId, BlobId)>,
}

/// A file as it was.
pub(crate) struct FormerFile {
    /// What was written.
    pub(crate) meta: FileMeta,
    /// The blob that lists its rows.
    pub(crate) list: BlobId,
}

/// The part of the memory of all gatherings that one may take for this.
const SHARE: u64 = 4;

/// Rows in blobs that there were none of then which are looked for by their hash: more than an edit by hand has.
const LOOKED_FOR: u64 = 1 << 16;

/// For each file of `names` what it holds, as far as that is known; `now` is what is to be written to them.
pub(super) fn formers(context: &Context, names: &[String], now: &Gathered<'_>) -> Vec<Option<Former>> {
    let found = |name: &String| {
        let path = context.outputs.dir.join(name);
        let stat = system::stat(&path).ok()?;
        let digest = context.record.digest_of(&path.to_string_lossy(), &stat).ok()??;
        Some((system::open(&path).ok()?, digest))
    };
    let files: Vec<_> = names.iter().map(found).collect();
    let build = files.iter().flatten().find_map(|(_, digest)| (context.outputs.former)(digest));
    let candidates = build.as_ref().and_then(|build| {
        let candidates: u64 = build.sources.iter().map(|source| source.kept).sum();
        let rows: u64 = build.files.iter().map(|file| file.meta.rows).sum();
        let is_small = (candidates + rows) * size_of::<FormerRow>() as u64 <= context.outputs.memory.whole() / SHARE;
        let fresh = is_small.then(|| Fresh::of(context, build, now)).flatten()?;
        Some((candidates_of(context, build, now, &fresh)?, fresh.blocks))
    });
    let Some((build, (candidates, compared))) = build.zip(candidates) else {
        return names.iter().map(|_| None).collect();
    };
    let former = |(at, file): (usize, Option<(std::fs::File, FileHash)>)| {
        let (file, digest) = file?;
        let list = build.files.get(at).filter(|file| file.meta.digest == digest)?.list;
        let mut rows = Vec::new();
        let read: Result<(), Unusable> = context.store.each_part(&list, |part| {
            let row = |number: &[u8; 4]| candidates.get(u32::from_le_bytes(*number) as usize).copied();
            part.as_chunks().0.iter().try_for_each(|number| {
                rows.push(row(number).ok_or(Unusable)?);
                Ok(())
            })
        });
        read.is_ok().then(|| Former { file, digest, rows, compared: compared.clone() })
    };
    files.into_iter().enumerate().map(former).collect()
}

/// The list of a former file cannot be had, or does not fit to its sources.
struct Unusable;

impl From<crate::artifact::Miss> for Unusable {
    fn from(_: crate::artifact::Miss) -> Self {
        Self
    }
}

/// Candidates in blobs that there were none of then: most of them stood in others.
struct Fresh<'n> {
    blocks: Vec<usize>,
    /// Candidates by source, hash and length; the first of those that are alike.
    candidates: HashMap<(&'n str, u64, u32), u32>,
}

impl<'n> Fresh<'n> {
    /// Those of `now`, or none if they are many.
    fn of(context: &Context, then: &FormerBuild, now: &Gathered<'n>) -> Option<Self> {
        let sources = then.sources.iter();
        let known: HashSet<(BlobId, &str)> =
            sources.flat_map(|source| source.chunks.iter().map(|(rows, _)| (*rows, source.name.as_str()))).collect();
        let is_fresh = |block: &usize| !known.contains(&(now.blocks[*block].rows, now.source_name(*block)));
        let mut blocks: Vec<usize> = (0..now.blocks.len()).filter(is_fresh).collect();
        if blocks.iter().map(|block| u64::from(now.blocks[*block].candidates)).sum::<u64>() > LOOKED_FOR {
            blocks.clear();
        }
        let (begins, mut candidates) = (begins(now), HashMap::new());
        for block in &blocks {
            for (number, place) in now.places(context, *block).ok()?.iter().enumerate() {
                let row = (now.source_name(*block), place.hash, place.end - place.start);
                candidates.entry(row).or_insert(begins[*block] + number as u32);
            }
        }
        Some(Self { blocks, candidates })
    }
}

/// The first candidate of each block.
fn begins(now: &Gathered<'_>) -> Vec<u32> {
    now.blocks.iter().scan(0, |next, block| Some(std::mem::replace(next, *next + block.candidates))).collect()
}

/// The former candidates, by their numbers then.
fn candidates_of(
    context: &Context,
    build: &FormerBuild,
    now: &Gathered<'_>,
    fresh: &Fresh<'_>,
) -> Option<Vec<FormerRow>> {
    let mut blocks: HashMap<(BlobId, &str), usize> = HashMap::new();
    for (number, block) in now.blocks.iter().enumerate().rev() {
        blocks.insert((block.rows, now.source_name(number)), number);
    }
    let begins = begins(now);
    let mut candidates = Vec::new();
    for source in &build.sources {
        let selection: Selection = postcard::from_bytes(&context.store.peek(&source.selection).ok()?).ok()?;
        let ending = super::output::ending(&source.name).len() as u32;
        for (i, (rows, index)) in source.chunks.iter().enumerate().take(selection.chunks()) {
            let index = context.indexes.get(index).ok()?;
            let block = blocks.get(&(*rows, source.name.as_str())).copied();
            let mut next = block.map_or(GONE, |block| begins[block]);
            let mut still = block.into_iter().flat_map(|block| now.samples(block)).peekable();
            for sample in selection.samples(i) {
                while still.next_if(|now| *now < sample).is_some() {
                    next += 1;
                }
                let range = (sample < index.len() as u32).then(|| index.range(sample as usize))?;
                let candidate = match still.next_if_eq(&sample) {
                    Some(_) => {
                        next += 1;
                        next - 1
                    }
                    None => {
                        let row = (source.name.as_str(), index.row_hash[sample as usize], range.len() as u32);
                        fresh.candidates.get(&row).copied().unwrap_or(GONE)
                    }
                };
                candidates.push(FormerRow { candidate, bytes: range.len() as u32 + ending });
            }
        }
    }
    Some(candidates)
}
