//! Removes releases, and the pieces that no other release needs.
//!
//! Documents go first: a release without one is not there, whatever is left of it. A piece goes if a removed release had it, or if it is
//! older than a day: younger ones may be those of a release that is being made. One that is made meanwhile may have counted on a
//! piece that goes, so the documents are looked at again at the end.

use std::collections::{BTreeMap, BTreeSet};

use super::{FOLDER, Release, ReleaseError, ReleaseName, Stored, decode, list, pieces, read};
use crate::{
    remote::{Remote, SharedPart, objects::Listed},
    system,
};
use datac_core::id::BlobId;

/// Pieces that are younger than this and that no removed release had are left alone.
const YOUNG_NS: i64 = 24 * 3600 * 1_000_000_000;

/// What is removed with releases.
#[derive(Clone, Debug, Default)]
pub(crate) struct Removal {
    /// Pieces that no other release needs.
    pub(crate) pieces: SharedPart,
    /// Pieces that some release needs.
    pub(crate) kept: SharedPart,
    /// Releases that were made meanwhile, which may lack pieces.
    pub(crate) made_meanwhile: Vec<ReleaseName>,
}

/// Removes releases, all of which must be there, and what no other one needs; a dry run only says what that is.
///
/// Fails, before anything is removed, if the document of another release cannot be read: nobody knows then what it needs.
pub(crate) fn remove(
    remote: &Remote,
    names: &BTreeSet<ReleaseName>,
    dry_run: bool,
    is_interrupted: &dyn Fn() -> bool,
) -> Result<Removal, ReleaseError> {
    let others: BTreeSet<ReleaseName> = list(remote)?.into_iter().filter(|name| !names.contains(name)).collect();
    let mut needed = BTreeSet::new();
    for name in &others {
        if is_interrupted() {
            return Err(ReleaseError::Interrupted);
        }
        // Who has signed it does not matter here: it is not for us to make it useless.
        let Some(document) = read(remote, name)? else { continue };
        needed.extend(pieces_of(remote, &decode(&document, name, |_| true)?.release)?);
    }
    let mut had = BTreeSet::new();
    for name in names {
        let Some(document) = read(remote, name)? else { continue };
        // Of a document that is damaged, the pieces are found when they are old.
        if let Ok(signed) = decode(&document, name, |_| true) {
            had.extend(pieces_of(remote, &signed.release)?);
        }
    }
    if !dry_run {
        remote.objects.remove(&names.iter().map(ReleaseName::object).collect::<Vec<_>>())?;
    }

    let mut there: BTreeMap<String, Listed> = BTreeMap::new();
    remote.objects.list(&format!("{FOLDER}/piece"), &mut |object| drop(there.insert(object.name.clone(), object)))?;
    let now = system::now_ns();
    let is_old = |object: &Listed| now.saturating_sub(object.changed_ns) > YOUNG_NS;
    let goes = |object: &&Listed| !needed.contains(&object.name) && (had.contains(&object.name) || is_old(object));
    let (gone, kept): (Vec<&Listed>, Vec<&Listed>) = there.values().partition(goes);
    let mut removal = Removal::default();
    gone.iter().for_each(|object| removal.pieces.add(object));
    kept.iter().for_each(|object| removal.kept.add(object));
    if !dry_run {
        remote.objects.remove(&gone.iter().map(|object| object.name.clone()).collect::<Vec<_>>())?;
        removal.made_meanwhile = list(remote)?.into_iter().filter(|name| !others.contains(name)).collect();
    }
    Ok(removal)
}

/// Returns the names of the objects that hold the pieces of a release. Of what is missing or damaged there are none.
fn pieces_of(remote: &Remote, release: &Release) -> Result<BTreeSet<String>, ReleaseError> {
    let mut found = BTreeSet::new();
    let own = release.recipes.iter().flat_map(|recipe| [recipe.lock, recipe.manifest]);
    for stored in own.chain(release.files().map(|file| file.stored)) {
        let Stored { bytes, blake3, pieces: listed } = stored;
        match listed {
            None if bytes == 0 => {}
            None => drop(found.insert(pieces::object(&BlobId::new(blake3.digest())))),
            Some(list) => {
                found.insert(pieces::object(&list));
                match pieces::of(remote, &stored) {
                    Ok(pieces) => found.extend(pieces.iter().map(|(id, _)| pieces::object(id))),
                    Err(ReleaseError::Piece { .. } | ReleaseError::Mixed) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(found)
}
