//! Scans a local file of which an earlier version is on record: most of its chunks are still there.

use std::sync::Arc;

use rayon::Scope;

use super::{
    super::{queue::Reading, team::Team},
    Context, Item, Results, Stop, Waiting, decode_failure, jobs, note_shape, nothing, resolve, work_on,
};
use crate::{
    decode::{Encoding, FormerChunk, Given, Input, Recutter},
    driver::step::Event,
    graph::{Outcome, ScanOutcome, ScanWork, ScannedChunk, SourceFile, scan_key},
    source::{FileDigest, RemoteFile},
};

/// A file with the chunks and the columns of its earlier version at hand.
pub(super) struct Former {
    recutter: Recutter,
    columns: Vec<String>,
}

/// The number of a chunk that is worked on ahead of those before it.
const AHEAD: usize = usize::MAX;

/// The file with its earlier version at hand; gives the input back where there is none, or where only the first rows are
/// wanted, of which more may be rejected than then.
pub(super) fn former(context: &Context, work: &ScanWork, input: Input) -> Result<Former, Input> {
    let file = &*work.file;
    let Input::File(opened) = &input else { return Err(input) };
    let are_all_wanted = work.known == 0 && work.followers.iter().all(|follower| follower.samples.is_none());
    let former = || {
        let path = context.root.join(&file.file.path);
        let (stat, digest) = context.record.former_digest(&path.to_string_lossy())?;
        let digest = FileDigest::Blake3(digest);
        let former = SourceFile { file: RemoteFile { digest, ..file.file.clone() }, ..file.clone() };
        match context.lookup(&scan_key(&former))? {
            Outcome::Scan(scan) if scan.complete && scan.encoding == Encoding::JsonLines => Some((stat.size, scan)),
            _ => None,
        }
    };
    let made = (file.is_local && are_all_wanted).then(former).flatten().and_then(|(size, scan)| {
        let chunk = |chunk: &ScannedChunk| FormerChunk { digest: chunk.digest, rows: chunk.rows, place: chunk.place };
        let chunks = scan.chunks.iter().map(chunk).collect();
        let recutter = Recutter::new(opened.try_clone().ok()?, file.kind, file.file.size, chunks, size)?;
        Some(Former { recutter, columns: scan.columns.clone() })
    });
    made.ok_or(input)
}

/// Cuts all of the file. What is cut anew is converted; of what still stands there is nothing to do, or the plan asks.
pub(super) fn recut<'scope>(
    context: &'scope Context,
    work: &ScanWork,
    Former { mut recutter, columns }: Former,
    reading: Option<Reading>,
    scope: &Scope<'scope>,
) -> Result<ScanOutcome, Stop> {
    let failed = |error| decode_failure(&work.file, &error);
    let (mut outcome, mut waiting) = (nothing(), Waiting::all(work));
    let results = Arc::new(Results::default());
    let team = Team::new(scope, work_on(context, results.clone()));
    if let Some(chunk) = recutter.tail().map_err(failed)? {
        // By the time that it comes in its turn it is known, and nothing more has to be done for it.
        let mut ahead = Waiting::all(work);
        resolve(&mut ahead, &columns);
        team.give(Item { number: AHEAD, chunk, former: None, jobs: jobs(&ahead) });
    }
    // The chunk that the columns were read from.
    let mut shaped_by = 0;
    let mut number = 0;
    let mut read = || -> Result<(), Stop> {
        while !results.is_stopped() {
            context.check()?;
            let (chunk, former) = match recutter.next_chunk().map_err(failed)? {
                Given::Former(chunk, digest) => (chunk, Some(digest)),
                Given::Fresh(chunk) => (chunk, None),
                Given::Wait => {
                    team.settle();
                    match results.take_moved() {
                        Some(moved) => {
                            recutter.reject(moved).map_err(failed)?;
                            number = moved;
                            if shaped_by >= moved {
                                outcome.columns.clear();
                            }
                        }
                        None if recutter.go_on().map_err(failed)? => {}
                        None => return Ok(()),
                    }
                    continue;
                }
            };
            if outcome.columns.is_empty() {
                note_shape(&mut outcome, &chunk);
                shaped_by = number;
            }
            resolve(&mut waiting, &outcome.columns);
            let jobs = if former.is_some() { Vec::new() } else { jobs(&waiting) };
            let rows = chunk.place.first_row + u64::from(chunk.rows);
            team.give(Item { number, chunk, former, jobs });
            number += 1;
            context.tell(Event::Reading { label: work.file.file.path.clone(), rows });
            if results.has_moved() {
                recutter.wait();
            }
        }
        Ok(())
    };
    let read = read();
    drop(reading);
    team.finish();
    read?;
    let done = results.take()?.into_iter().filter(|(number, _)| *number != AHEAD);
    outcome.chunks.extend(done.map(|(_, done)| done.scanned));
    outcome.complete = true;
    Ok(outcome)
}
