//! Has the files of a recipe put in place once all of them are there, or those that tell why it is refused.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use super::{
    Driver,
    goal::Outputs,
    job::{InPlace, Job, ToDisk},
    output::Held,
    unexpected, with_first_reject,
};
use crate::{
    cache::stat_cache,
    graph::{self, RecipePlan, rejects, sources_of},
    system,
};
use datac_core::{
    failure::{Failure, FailureKind},
    id::FileHash,
    outputs::{Destination, FileMeta, OutputKind},
};

impl Driver<'_, Outputs> {
    /// Ends a recipe whose plan is known, or queues a job that first puts its files in place.
    pub(super) fn settle(&mut self, number: usize, plan: RecipePlan) {
        let Some(plan) = self.restore(number, plan, Destination::Place) else { return };
        self.end(number, Ok(plan));
    }

    /// Returns the plan of a recipe if all of its files are where they belong. Otherwise has them put there if all those that are
    /// not have been written, or queues a job that writes them.
    pub(super) fn restore(&mut self, number: usize, plan: RecipePlan, destination: Destination) -> Option<RecipePlan> {
        let mut in_place = InPlace { destination, rows: true, quarantine: true, gone: Vec::new() };
        let there = self.is_there(number);
        let is_there = |name: &str, wanted| there(&destination.name(name), wanted);
        for (kind, name, wanted) in plan.named() {
            let is_in_place = match kind {
                OutputKind::Rows(_) => &mut in_place.rows,
                OutputKind::Quarantine => &mut in_place.quarantine,
                OutputKind::Shard(_) | OutputKind::Beside => continue,
            };
            *is_in_place &= is_there(&name, wanted);
        }
        for (target, shaped) in &plan.shaped {
            if !shaped.files.iter().all(|file| is_there(&file.name, Some(file.meta))) {
                in_place.gone.push(target.clone());
            }
        }
        drop(there);
        if in_place.rows && in_place.quarantine && in_place.gone.is_empty() {
            let wanted = plan.named().filter_map(|(_, name, file)| Some((destination.name(&name), file?)));
            let wanted: Vec<_> = wanted.collect();
            return (!self.place(number, &wanted)).then_some(plan);
        }
        let names = self.names([number].iter());
        self.queue.push(Job::Restore(number, Box::new(plan), in_place, names));
        None
    }

    /// Returns what says whether a file of a recipe is in place or has been written and waits to be put there; or, if it is to be
    /// `None`, whether there is no such file.
    fn is_there(&self, number: usize) -> impl Fn(&str, Option<FileMeta>) -> bool {
        let held = self.held.get(&number).into_iter().flatten();
        let held: HashSet<(&Path, FileHash)> = held.map(|file| (file.path(), file.digest())).collect();
        move |name, wanted| {
            let is_held = |wanted: FileMeta| held.contains(&(&*self.context.outputs.dir.join(name), wanted.digest));
            wanted.is_some_and(is_held) || self.is_in_place(name, wanted)
        }
    }

    /// Has those files of a recipe put in place, all together, that have been written and are wanted; drops the others. Returns
    /// whether there are any.
    pub(super) fn place(&mut self, number: usize, wanted: &[(String, FileMeta)]) -> bool {
        let Some(held) = self.held.remove(&number) else { return false };
        let mut held: HashMap<_, _> =
            held.into_iter().map(|file| ((file.path().to_owned(), file.digest()), file)).collect();
        let take = |(name, file): &(String, FileMeta)| held.remove(&(self.context.outputs.dir.join(name), file.digest));
        let files: Vec<Held> = wanted.iter().filter_map(take).collect();
        if files.is_empty() {
            return false;
        }
        self.queue.place();
        // A closed channel means that a thread has panicked, which is reported.
        self.to_disk.send(ToDisk::Place(number, files)).ok();
        true
    }

    /// Ends a recipe that cannot be built. If it is refused, its quarantine file is first put in place, for the user
    /// to look at; if its result is not what it expects, its files are first put where such files lie.
    pub(super) fn refuse(&mut self, number: usize, failure: Failure) {
        if let Some(plan) = graph::unexpected(self.planner, self.recipes[number]) {
            let Some(plan) = self.restore(number, plan, Destination::Unexpected) else { return };
            let dir = &self.context.outputs.dir;
            let keep = plan.named().filter(|(.., file)| file.is_some()).map(|(_, name, _)| name).collect();
            unexpected::clear(dir, &plan.outputs, &keep);
            let failure = unexpected::with_files(failure, dir, &self.context.sources.root, &plan);
            return self.end(number, Err(failure));
        }
        let rejects = rejects(self.planner, self.recipes[number]).filter(|_| failure.kind == FailureKind::Policy);
        let wanted = rejects.as_ref().map(|rejects| (rejects.outputs.name(OutputKind::Quarantine), rejects.file));
        let is_there = self.is_there(number);
        let is_written = wanted.as_ref().is_none_or(|(name, file)| is_there(name, Some(*file)));
        drop(is_there);
        match rejects.filter(|_| !is_written) {
            Some(rejects) => self.queue.push(Job::Show(number, rejects)),
            None if self.place(number, wanted.as_slice()) => {}
            None => {
                let sources = sources_of(self.planner, self.recipes[number]).unwrap_or_default();
                let failure = with_first_reject(&self.context.store, &sources, failure);
                self.end(number, Err(failure));
            }
        }
    }

    /// Returns whether the output folder has the file with the right bytes, or, if `wanted` is `None`, has no such
    /// file.
    fn is_in_place(&self, name: &str, wanted: Option<FileMeta>) -> bool {
        let path = self.context.outputs.dir.join(name);
        match (wanted, system::stat(&path)) {
            (None, found) => found.is_err(),
            // The stat cache would not trust a file as new as one that this build has put in place.
            (Some(wanted), Ok(stat)) if self.report.placed(name) == Some((stat, wanted.digest)) => true,
            (Some(wanted), Ok(stat)) => {
                stat.size == wanted.bytes
                    && stat_cache::digest(&self.context.record, &path).is_ok_and(|digest| digest == wanted.digest)
            }
            (Some(_), Err(_)) => false,
        }
    }
}
