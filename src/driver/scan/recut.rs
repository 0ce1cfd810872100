//! Scans a local file of which an earlier version is on record: most of its chunks are still there.

use std::sync::Arc;

use rayon::Scope;

use super::{
    super::{queue::Reading, team::Team},
    Bytes, Context, Item, Results, Stop, Waiting, decode_failure, jobs, note_shape, nothing, resolve, work_on,
};
use crate::{
    decode::{Encoding, FormerChunk, Given, Input, Recutter},
    driver::step::Event,
    graph::{Outcome, ScanOutcome, ScanWork, ScannedChunk, SourceFile, scan_key},
    hash::{Digest, PIECE},
    source::{FileDigest, RemoteFile},
};

/// A file with the chunks and the columns of its earlier version at hand.
pub(super) struct Former {
    recutter: Recutter,
    columns: Vec<String>,
    rows: u64,
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
        let now = pieces(context, file);
        let alike = now.iter().zip(&scan.pieces).take_while(|(now, then)| now == then).count();
        let unchanged = (alike as u64 * PIECE as u64).min(size);
        let recutter = Recutter::new(opened.try_clone().ok()?, file.kind, file.file.size, chunks, size, unchanged)?;
        let rows = scan.chunks.iter().map(|chunk| u64::from(chunk.rows)).sum();
        Some(Former { recutter, columns: scan.columns.clone(), rows })
    });
    made.ok_or(input)
}

/// What the pieces of a local file hash to, if it was read for this build.
pub(super) fn pieces(context: &Context, file: &SourceFile) -> Vec<Digest> {
    let FileDigest::Blake3(digest) = &file.file.digest else { return Vec::new() };
    let path = context.root.join(&file.file.path);
    context.record.pieces_of(&path.to_string_lossy(), digest).map_or_else(Vec::new, |pieces| pieces.to_vec())
}

/// Cuts all of the file. What is cut anew is converted; of what still stands there is nothing to do, or the plan asks.
pub(super) fn recut<'scope>(
    context: &'scope Context,
    work: &ScanWork,
    Former { mut recutter, columns, rows }: Former,
    reading: Option<Reading>,
    scope: &Scope<'scope>,
) -> Result<ScanOutcome, Stop> {
    let failed = |error| decode_failure(&work.file, &error);
    let (mut outcome, mut waiting) = (nothing(), Waiting::all(work));
    let results = Arc::new(Results::default());
    let team = Team::new(scope, work_on(context, &work.file, results.clone()));
    if let Some(chunk) = recutter.tail().map_err(failed)? {
        // By the time that it comes in its turn it is known, and nothing more has to be done for it.
        let mut ahead = Waiting::all(work);
        resolve(&mut ahead, &columns);
        team.give(Item { number: AHEAD, bytes: Bytes::Cut(chunk), jobs: jobs(&ahead) });
    }
    // What is known of chunks that stay is about to be asked for: threads that hash them fetch it on the way.
    let has_room = context.indexes.have_room_for(rows);
    // The chunk that the columns were read from.
    let mut shaped_by = 0;
    let mut number = 0;
    let mut read = || -> Result<(), Stop> {
        while !results.is_stopped() {
            context.check()?;
            let is_shaped = !outcome.columns.is_empty();
            let (bytes, rows) = match recutter.next_chunk().map_err(failed)? {
                Given::Former(stand, digest) => {
                    if !is_shaped {
                        note_shape(&mut outcome, &stand.chunk().map_err(failed)?);
                    }
                    let rows = stand.place.first_row + u64::from(stand.rows());
                    (Bytes::Former(stand, digest), rows)
                }
                Given::Fresh(chunk) => {
                    if !is_shaped {
                        note_shape(&mut outcome, &chunk);
                    }
                    let rows = chunk.place.first_row + u64::from(chunk.rows);
                    (Bytes::Cut(chunk), rows)
                }
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
            if !is_shaped {
                shaped_by = number;
            }
            resolve(&mut waiting, &outcome.columns);
            let is_of_use = has_room || matches!(bytes, Bytes::Cut(_));
            let jobs = if is_of_use { jobs(&waiting) } else { Vec::new() };
            team.give(Item { number, bytes, jobs });
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
