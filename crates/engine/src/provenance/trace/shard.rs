//! Which native row a row of a target's file is: files of targets are parts of a side, without the samples that did not fit.

use std::collections::HashSet;

use super::locate::Located;
use crate::{site::WorkspaceError, system};
use datac_core::{
    id::FileHash,
    outputs::{Side, UNFIT, hash_of_id},
};

impl Located {
    /// Returns the kept samples of a line of this file, from 1, where several may share a line.
    pub(super) fn packed(&self, side: Side, line: u64) -> Result<Option<Vec<u32>>, WorkspaceError> {
        let lineage = &self.lineage;
        let folder = |name: &str| self.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
        let Some((_, sides)) = lineage.manifest.packed.iter().find(|(name, _)| folder(name)) else { return Ok(None) };
        let rows = sides.get(side).ok_or_else(|| lineage.lost("the rows of samples are not recorded"))?;
        let (samples, ends) = lineage.packed(&rows)?;
        let (shard, shards) = shard_of(&self.name);
        let first = (ends.len() as u64 * shard / shards) as usize;
        // What has no place in a row was left out before rows were packed.
        let row = first + line as usize - 1;
        let start = row.checked_sub(1).map_or(Some(0), |before| ends.get(before).copied());
        let found = start.zip(ends.get(row)).and_then(|(start, end)| samples.get(start as usize..*end as usize));
        found.map(|row| Some(row.to_vec())).ok_or_else(|| lineage.lost("the file has fewer rows"))
    }

    /// Returns the line that a row of this file has among all rows of its side, both from 1.
    pub(super) fn position(&self, side: Side, line: u64) -> Result<u64, WorkspaceError> {
        let lineage = &self.lineage;
        let order = lineage.order(side)?;
        let (shard, shards) = shard_of(&self.name);
        let bound = |number: u64| order.len() as u64 * number / shards;
        let unfit = self.unfit()?;
        if unfit.is_empty() {
            return Ok(bound(shard) + line);
        }
        let mut left = line;
        for position in bound(shard)..bound(shard + 1) {
            left -= u64::from(!unfit.contains(&order[position as usize]));
            if left == 0 {
                return Ok(position + 1);
            }
        }
        Err(lineage.lost("the file has fewer rows"))
    }

    /// Returns the numbers of the kept samples that did not fit. They are looked for once, in all indexes: the rows of a file
    /// are in no order of chunks.
    fn unfit(&self) -> Result<&HashSet<u32>, WorkspaceError> {
        if let Some(unfit) = self.unfit.get() {
            return Ok(unfit);
        }
        let (lineage, listed) = (&self.lineage, self.listed_unfit()?);
        let mut unfit = HashSet::new();
        for (source, made) in lineage.manifest.sources.iter().enumerate() {
            let of_source = listed.iter().filter(|(name, _)| *name == made.name);
            let hashes: HashSet<u64> = of_source.map(|(_, hash)| *hash).collect();
            if hashes.is_empty() {
                continue;
            }
            let (selection, mut numbers) = (lineage.selection(source)?, lineage.numbers(source));
            for chunk in 0..selection.chunks() {
                let index = lineage.index(source, chunk)?;
                for (sample, number) in selection.samples(chunk).zip(&mut numbers) {
                    let hash = index.row_hash.get(sample as usize);
                    let hash = hash.ok_or_else(|| lineage.lost("a selection does not match its chunks"))?;
                    if hashes.contains(hash) {
                        unfit.insert(number as u32);
                    }
                }
            }
        }
        Ok(self.unfit.get_or_init(|| unfit))
    }

    /// Returns what `unfit.jsonl` lists: the names of sources, and the hashes of the identity texts of samples.
    fn listed_unfit(&self) -> Result<HashSet<(String, u64)>, WorkspaceError> {
        #[derive(serde::Deserialize)]
        struct Line {
            id: String,
            source: String,
        }
        let lineage = &self.lineage;
        let folder = self.name.splitn(3, '/').take(2).collect::<Vec<_>>().join("/");
        let name = format!("{folder}/{UNFIT}");
        let Some(file) = lineage.manifest.files.iter().find(|file| file.name == name) else {
            return Ok(HashSet::new());
        };
        let up = self.name.split('/').count();
        let root = (0..up).try_fold(self.path.as_path(), |path, _| path.parent());
        let bytes = root.and_then(|root| system::read(&root.join(&name)).ok());
        let Some(bytes) = bytes.filter(|bytes| FileHash::of(bytes) == file.meta.digest) else {
            return Err(lineage.lost("`unfit.jsonl` is not as it was built"));
        };
        let line = |line: &[u8]| {
            let Line { id, source } = serde_json::from_slice(line).ok()?;
            Some((source, hash_of_id(&id)?))
        };
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|text| line(text).ok_or_else(|| lineage.lost("`unfit.jsonl` cannot be read"))).collect()
    }
}

/// Returns the number of a shard and the number of shards, by the name of a file.
fn shard_of(name: &str) -> (u64, u64) {
    let numbers = || {
        let (before, after) = name.rsplit_once("-of-")?;
        let shards = after.get(..5)?.parse().ok()?;
        let shard = before.get(before.len().checked_sub(5)?..)?.parse().ok()?;
        Some((shard, shards))
    };
    numbers().filter(|(shard, shards)| shard < shards).unwrap_or((0, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_numbered_by_their_names() {
        assert_eq!(shard_of("sft_a/trl/data/train-00002-of-00010.parquet"), (2, 10));
        assert_eq!(shard_of("sft_a/trl/train.jsonl"), (0, 1));
        assert_eq!(shard_of("sft_of-one/trl/train-0123456789ab.jsonl"), (0, 1));
    }
}
