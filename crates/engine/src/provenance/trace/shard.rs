//! Which native row a row of a target's file is: files of targets are parts of a side, without the samples that did not fit.

use std::collections::HashSet;

use super::locate::Located;
use crate::{site::WorkspaceError, system};
use datac_core::{
    id::FileHash,
    outputs::{Side, UNFIT, hash_of_id},
    pack,
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
        let starts = [0].into_iter().chain(ends.iter().copied());
        let mut rows = starts.zip(&ends).skip(first).map(|(start, end)| &samples[start as usize..*end as usize]);
        // Samples with too many tokens have no row; with others, a row is the poorer, and none is left of some.
        let unfit = self.unfit(|what| what != pack::OVERLONG)?;
        let fits = |number: &u32| {
            let at = lineage.at(*number)?;
            let hash = lineage.index(at.source, at.chunk)?.row_hash[at.sample];
            Ok::<_, WorkspaceError>(!unfit.contains(&(lineage.manifest.sources[at.source].name.clone(), hash)))
        };
        let fewer = || lineage.lost("the file has fewer rows");
        if unfit.is_empty() {
            return rows.nth(line as usize - 1).map(|row| Some(row.to_vec())).ok_or_else(fewer);
        }
        let mut left = line;
        for row in rows {
            let mut fitting = Vec::new();
            for number in row {
                if fits(number)? {
                    fitting.push(*number);
                }
            }
            left -= u64::from(!fitting.is_empty());
            if left == 0 {
                return Ok(Some(fitting));
            }
        }
        Err(fewer())
    }

    /// Returns the line that a row of this file has among all rows of its side, both from 1.
    pub(super) fn position(&self, side: Side, line: u64) -> Result<u64, WorkspaceError> {
        let lineage = &self.lineage;
        let order = lineage.order(side)?;
        let (shard, shards) = shard_of(&self.name);
        let bound = |number: u64| order.len() as u64 * number / shards;
        let unfit = self.unfit(|_| true)?;
        if unfit.is_empty() {
            return Ok(bound(shard) + line);
        }
        let mut left = line;
        for position in bound(shard)..bound(shard + 1) {
            let at = lineage.at(order[position as usize])?;
            let hash = lineage.index(at.source, at.chunk)?.row_hash[at.sample];
            let source = &lineage.manifest.sources[at.source].name;
            left -= u64::from(!unfit.contains(&(source.clone(), hash)));
            if left == 0 {
                return Ok(position + 1);
            }
        }
        Err(lineage.lost("the file has fewer rows"))
    }

    /// Returns the samples that did not fit, for what is `wanted`: the names of their sources, and the hashes of their identity
    /// texts.
    fn unfit(&self, wanted: impl Fn(&str) -> bool) -> Result<HashSet<(String, u64)>, WorkspaceError> {
        #[derive(serde::Deserialize)]
        struct Line {
            id: String,
            source: String,
            no_place_for: String,
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
            let Line { id, source, no_place_for } = serde_json::from_slice(line).ok()?;
            Some(((source, hash_of_id(&id)?), wanted(&no_place_for)))
        };
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut unfit = HashSet::new();
        for text in lines {
            let (sample, is_wanted) = line(text).ok_or_else(|| lineage.lost("`unfit.jsonl` cannot be read"))?;
            unfit.extend(is_wanted.then_some(sample));
        }
        Ok(unfit)
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
