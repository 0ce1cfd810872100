//! Scans a local file of which an earlier version is on record: most of its chunks are still there.

use std::sync::Arc;

use rayon::Scope;

use super::{
    super::{queue::Reading, team::Team},
    Bytes, Context, Done, Item, Results, Stop, Waiting, decode_failure, jobs, nothing, resolve, work_on,
};
use crate::{
    decode::{Encoding, FormerChunk, Given, Input, Recutter},
    event::Event,
    graph::{Outcome, ScanOutcome, ScanWork, ScannedChunk, SourceFile, scan_key},
    hash::{Digest, PIECE},
    source::FileDigest,
};

/// The file with its earlier version at hand; gives the input back where there is none, or where only the first rows are
/// wanted, of which more may be rejected than then.
pub(super) fn former(context: &Context, work: &ScanWork, input: Input) -> Result<Recutter, Input> {
    let file = &*work.file;
    let Input::File(opened) = &input else { return Err(input) };
    let are_all_wanted = work.known == 0 && work.followers.iter().all(|follower| follower.samples.is_none());
    let former = || {
        let path = context.root.join(&file.path);
        let (stat, digest) = context.record.former_digest(&path.to_string_lossy())?;
        let digest = FileDigest::Blake3(digest);
        let former = SourceFile { digest, ..file.clone() };
        match context.lookup(&scan_key(&former))? {
            Outcome::Scan(scan) if scan.complete && scan.encoding == Encoding::JsonLines => Some((stat.size, scan)),
            _ => None,
        }
    };
    let made = (file.origin.is_local() && are_all_wanted).then(former).flatten().and_then(|(size, scan)| {
        let chunk = |chunk: &ScannedChunk| FormerChunk { digest: chunk.digest, rows: chunk.rows, place: chunk.place };
        let chunks = scan.chunks.iter().map(chunk).collect();
        let now = pieces(context, file);
        let alike = now.iter().zip(&scan.pieces).take_while(|(now, then)| now == then).count();
        let unchanged = (alike as u64 * PIECE as u64).min(size);
        Recutter::new(opened.try_clone().ok()?, file.kind, file.size, chunks, size, unchanged)
    });
    made.ok_or(input)
}

/// What the pieces of a local file hash to, if it was read for this build.
pub(super) fn pieces(context: &Context, file: &SourceFile) -> Vec<Digest> {
    let FileDigest::Blake3(digest) = &file.digest else { return Vec::new() };
    let path = context.root.join(&file.path);
    context.record.pieces_of(&path.to_string_lossy(), digest).map_or_else(Vec::new, |pieces| pieces.to_vec())
}

/// Cuts all of the file. What is cut anew is converted; of what still stands there is nothing to do, or the plan asks.
pub(super) fn recut<'scope>(
    context: &'scope Context,
    work: &ScanWork,
    mut recutter: Recutter,
    reading: Option<Reading>,
    scope: &Scope<'scope>,
) -> Result<ScanOutcome, Stop> {
    let failed = |error| decode_failure(&work.file, &error);
    let (mut outcome, mut waiting) = (nothing(), Waiting::all(work));
    let results = Arc::new(Results::default());
    let team = Team::new(scope, work_on(context, &work.file, results.clone()));
    // Whether chunks were given that may not be what they were taken for.
    let mut is_unsure = false;
    // The chunk that the columns were read from.
    let mut shaped_by = 0;
    let mut number = 0;
    let mut read = || -> Result<(), Stop> {
        while !results.is_stopped() {
            context.check()?;
            let given = recutter.next_chunk().map_err(failed)?;
            if let Given::Wait = given {
                if is_unsure {
                    team.settle();
                    is_unsure = false;
                }
                match results.take_moved() {
                    Some(moved) => {
                        recutter.reject(moved).map_err(failed)?;
                        number = moved;
                        if shaped_by >= moved {
                            outcome.columns.clear();
                        }
                    }
                    None if recutter.go_on().map_err(failed)? => {}
                    None => break,
                }
                continue;
            }
            if outcome.columns.is_empty() {
                let columns = match &given {
                    Given::Former(stand, _) => stand.columns().map_err(failed)?,
                    Given::Fresh(chunk) => chunk.columns(),
                    Given::Wait => None,
                };
                outcome.columns = columns.unwrap_or_default();
                shaped_by = number;
                resolve(&mut waiting, &outcome.columns);
            }
            let rows = match given {
                Given::Former(stand, digest) => {
                    let rows = stand.place.first_row + u64::from(stand.rows());
                    if stand.is_known {
                        results.done(number, Done::unchanged(&stand, digest));
                    } else {
                        team.give(Item { number, bytes: Bytes::Former(stand, digest), jobs: Vec::new() });
                        is_unsure = true;
                    }
                    rows
                }
                Given::Fresh(chunk) => {
                    let rows = chunk.place.first_row + u64::from(chunk.rows);
                    team.give(Item { number, bytes: Bytes::Cut(chunk), jobs: jobs(&waiting) });
                    rows
                }
                Given::Wait => continue,
            };
            number += 1;
            context.tell(Event::Reading { label: work.file.path.clone(), rows });
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
    outcome.chunks.extend(results.take()?.into_iter().map(|(_, done)| done.scanned));
    outcome.complete = true;
    Ok(outcome)
}
