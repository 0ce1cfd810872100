//! What shared caches do wrong: they are damaged, poisoned, gone, full.

use std::{fs, sync::Arc};

use datac::remote::keys::{PrivateKey, Signing};

use super::{Team, shared, space};
use crate::space::{Dice, assert_same, ran};

#[test]
fn poisoned_objects_are_refused_counted_and_healed() {
    let (team, mut first) = (Team::new(), space());
    team.join(&mut first);
    first.build();
    for (kind, seed) in [("blob", 1), ("pack", 2)] {
        let mut dice = Dice(seed);
        let objects = team.objects(kind);
        assert!(!objects.is_empty(), "{kind}");
        for object in &objects {
            let mut bytes = fs::read(object).unwrap();
            let at = dice.below(bytes.len());
            bytes[at] ^= 1 << dice.below(8);
            fs::write(object, bytes).unwrap();
        }
        let second = team.machine(&first);
        let report = second.build();
        assert_same(&first.outputs(), &second.outputs());
        assert_ne!(ran(&report), "", "what is damaged is made again");
        let refused = shared(&report).refused;
        let own = if kind == "blob" { refused.artifacts } else { refused.unsigned + refused.artifacts };
        assert!(own > 0, "{kind}: {refused:?}");
        assert_eq!(second.warnings().iter().filter(|text| text.contains("the shared cache")).count(), 1, "once");
        second.assert_settled();

        // Whoever may write repairs what it could not use.
        let mut third = team.machine(&first);
        team.join(&mut third);
        third.build();
        let fourth = team.machine(&first);
        let report = fourth.build();
        assert_eq!((ran(&report), shared(&report).refused.all()), (String::new(), 0), "{kind}");
        assert_same(&first.outputs(), &fourth.outputs());
    }
}

#[test]
fn nothing_in_a_shared_cache_can_change_a_byte() {
    // Objects change places, are cut, mixed up, emptied: each in many ways.
    let (team, mut first) = (Team::new(), space());
    team.join(&mut first);
    first.build();
    let sound: Vec<(std::path::PathBuf, Vec<u8>)> = team
        .objects("")
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .filter(|(_, bytes)| !bytes.is_empty())
        .collect();
    for seed in 0..12 {
        let mut dice = Dice(seed);
        for (path, bytes) in &sound {
            let (_, other) = &sound[dice.below(sound.len())];
            let changed = match dice.below(6) {
                0 => other.clone(),
                1 => bytes[..dice.below(bytes.len())].to_vec(),
                2 => Vec::new(),
                3 => {
                    let mut bytes = bytes.clone();
                    let at = dice.below(bytes.len());
                    bytes[at] = bytes[at].wrapping_add(1 + dice.below(254) as u8);
                    bytes
                }
                _ => bytes.clone(),
            };
            fs::write(path, changed).unwrap();
        }
        let second = team.machine(&first);
        second.build();
        assert_same(&first.outputs(), &second.outputs());
        assert!(second.warnings().iter().all(|text| text.contains("the shared cache")));
    }
}

#[test]
fn without_its_shared_cache_a_build_only_warns() {
    let (team, mut first) = (Team::new(), space());
    team.join(&mut first);
    first.build();
    // A folder that is gone, one that is a file, and one where nothing can be written.
    let gone = team.root().join("gone");
    let file = team.root().join("file");
    fs::write(&file, "").unwrap();
    let full = team.root().join("full");
    fs::create_dir_all(full.join("datac-cache-1")).unwrap();
    ["blob", "pack", "index"].iter().for_each(|kind| fs::write(full.join("datac-cache-1").join(kind), "").unwrap());
    for place in [gone, file, full] {
        let mut second = team.machine(&first);
        second.remote = Some(place.to_str().unwrap().to_owned());
        second.signing = Signing::With(Arc::new(PrivateKey::generate("other").unwrap()));
        let report = second.build();
        assert_same(&first.outputs(), &second.outputs());
        assert!(shared(&report).given_up.is_some(), "{}", place.display());
        let warnings = second.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("shared cache"), "{warnings:?}");
    }
}
