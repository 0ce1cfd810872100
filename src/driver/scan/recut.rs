//! Scans a local file of which an earlier version is on record: most of its chunks are still there.

use std::sync::Arc;

use rayon::Scope;

use super::{
    super::{queue::Reading, team::Team},
    Bytes, Context, Item, Job, Results, Shared, Stop, Waiting, decode_failure, jobs, nothing, resolve, work_on,
};
use crate::{
    decode::{Chunk, Encoding, FormerChunk, Given, Input, Recutter},
    event::Event,
    graph::{Outcome, ScanOutcome, ScanWork, ScannedChunk, SourceFile, scan_key},
    hash::{Digest, PIECE},
    source::FileDigest,
};

/// A file with the chunks of its earlier version at hand.
pub(super) struct Former {
    recutter: Recutter,
    /// How many rows that had.
    rows: u64,
}

/// The file with its earlier version at hand; gives the input back where there is none, or where only the first rows are
/// wanted, of which more may be rejected than then.
pub(super) fn former(context: &Context, work: &ScanWork, input: Input) -> Result<Former, Input> {
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
        let recutter = Recutter::new(opened.try_clone().ok()?, file.kind, file.size, chunks, size, unchanged)?;
        let rows = scan.chunks.iter().map(|chunk| u64::from(chunk.rows)).sum();
        Some(Former { recutter, rows })
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
    Former { mut recutter, rows }: Former,
    reading: Option<Reading>,
    scope: &Scope<'scope>,
) -> Result<ScanOutcome, Stop> {
    let failed = |error| decode_failure(&work.file, &error);
    let (mut outcome, mut waiting) = (nothing(), Waiting::all(work));
    let results = Arc::new(Results::default());
    let team = Team::new(scope, work_on(context, &work.file, results.clone()));
    // What is known of chunks that stay is about to be asked for, and is fetched by the way.
    let has_room = context.indexes.have_room_for(rows);
    let reading_record = has_room.then(|| context.record.reading());
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
                    let jobs = if has_room { jobs(&waiting) } else { Vec::new() };
                    let (is_known, rows) = (stand.is_known, stand.place.first_row + u64::from(stand.rows()));
                    let item = Item { number, bytes: Bytes::Former(stand, digest), jobs };
                    if is_known {
                        team.give_idle(item)
                    } else {
                        team.give(item)
                    }
                    is_unsure |= !is_known;
                    rows
                }
                Given::Fresh(chunk) => {
                    let rows = chunk.place.first_row + u64::from(chunk.rows);
                    give_fresh(context, &team, number, chunk, jobs(&waiting));
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
    drop(reading_record);
    // The plan, which one thread asks for, waits for nothing of this: until now all of them were needed.
    context.store.write_beside();
    read?;
    outcome.chunks.extend(results.take()?.into_iter().map(|(_, done)| done.scanned));
    outcome.complete = true;
    Ok(outcome)
}

/// Gives a chunk that was cut anew to two threads, where there are two.
fn give_fresh<'scope>(context: &Context, team: &Team<'_, 'scope, Item>, number: usize, chunk: Chunk, jobs: Vec<Job>) {
    match Shared::new(context, chunk, &jobs) {
        Ok(shared) => {
            let shared = Arc::new(shared);
            for is_first in [true, false] {
                team.give(Item { number, bytes: Bytes::Half(shared.clone(), is_first), jobs: jobs.clone() });
            }
        }
        Err(chunk) => team.give(Item { number, bytes: Bytes::Cut(chunk), jobs }),
    }
}
