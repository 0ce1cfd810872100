//! Releases: what has a name is got back with the same bytes, whatever happened on the way, or not at all.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
    time::Duration,
};

use datac::{
    Workspace, WorkspaceError,
    failure::{Failure, FailureKind},
    remote::keys::{PrivateKey, Signing},
    workspace::{Placement, PullOptions, PullReport, Pulled, Released},
};

use super::{Team, space};
use crate::space::{Dice, Outputs, Space, assert_same, changed, copy, entry, files, recipe, rows};

const NAME: &str = "posttrain@2026-12-01";

/// A recipe whose training file takes several pieces, in two formats, and another one.
fn large() -> Space {
    let mut space = Space::new();
    space.signing = Signing::Nothing;
    space.write("data/a.jsonl", rows(0..12_000, 40));
    space.write("data/b.jsonl", rows(20_000..20_100, 20));
    let more = "validation: { ratio: 0.1, seed: 1 }\noutput: [native, { shape: trl, container: parquet }]\n";
    space.write("config/sft/large.yaml", recipe(&[entry("a", "data/a.jsonl", 1.0, &[])], more));
    space.write("config/sft/small.yaml", recipe(&[entry("b", "data/b.jsonl", 1.0, &[])], ""));
    space
}

fn release(space: &Space, name: &str) -> Result<Released, WorkspaceError> {
    space.workspace().release(name, &[])
}

fn pull(space: &Space, name: &str) -> Result<Pulled, WorkspaceError> {
    pulled(space.workspace().pull(name, &PullOptions::default()))
}

fn pulled(done: Result<PullReport, WorkspaceError>) -> Result<Pulled, WorkspaceError> {
    done.map(|report| match report {
        PullReport::Release(pulled) => pulled,
        other => panic!("{other:?}"),
    })
}

/// The failure of what must fail, with its hint in the text.
#[track_caller]
fn failure<T: std::fmt::Debug>(done: Result<T, WorkspaceError>) -> (FailureKind, String) {
    match done.unwrap_err() {
        WorkspaceError::Failure(Failure { kind, message, hint, .. }) => {
            (kind, format!("{message}; hint: {}", hint.unwrap_or_default()))
        }
        other => panic!("{other}"),
    }
}

fn placements(pulled: &Pulled) -> Vec<Placement> {
    pulled.files.iter().map(|file| file.placement).collect()
}

/// The objects of releases of a kind.
fn objects(team: &Team, kind: &str) -> Vec<PathBuf> {
    files(&team.root().join("datac-releases-1").join(kind))
}

/// Another machine that trusts the team, without recipes and outputs.
fn machine(team: &Team) -> Space {
    team.machine(&Space::new())
}

#[test]
fn a_release_is_pulled_with_the_same_bytes_and_only_once() {
    let (team, mut first) = (Team::new(), space());
    team.join(&mut first);
    first.build();
    let released = release(&first, NAME).unwrap();
    assert!(released.is_new && released.added_pieces > 0, "{released:?}");
    assert_eq!(released.files, first.outputs().len() as u64);
    assert!(released.requests.writes == released.added_pieces + 1, "{released:?}");

    let second = machine(&team);
    second.write("dataset/own.txt", "mine");
    let before = second.stats();
    let pulled = pull(&second, NAME).unwrap();
    assert!(placements(&pulled).iter().all(|placement| *placement == Placement::Written));
    assert_eq!(second.read("dataset/own.txt"), b"mine");
    second.remove("dataset/own.txt");
    assert_same(&first.outputs(), &second.outputs());
    let own: Vec<&Path> = before.keys().map(PathBuf::as_path).collect();
    assert!(own.iter().all(|path| path.ends_with("own.txt") || path.exists()));

    let before = second.stats();
    let again = pull(&second, NAME).unwrap();
    assert!(placements(&again).iter().all(|placement| *placement == Placement::Kept));
    assert_eq!((again.requests.reads, again.requests.writes), (1, 0), "the document alone");
    assert_eq!(changed(&before, &second.stats()), [] as [&Path; 0]);

    // What is lost comes again, and nothing else.
    second.remove("dataset/sft_one_train.jsonl");
    let again = pull(&second, NAME).unwrap();
    assert_eq!(placements(&again).iter().filter(|placement| **placement == Placement::Written).count(), 1);
    assert_same(&first.outputs(), &second.outputs());
}

#[test]
fn a_name_stands_for_the_same_bytes_for_ever() {
    let (team, mut first) = (Team::new(), large());
    team.join(&mut first);
    first.build();
    release(&first, NAME).unwrap();
    let before: Vec<(PathBuf, Vec<u8>)> =
        objects(&team, "").into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    let again = release(&first, NAME).unwrap();
    assert!(!again.is_new && again.added_pieces == 0 && again.requests.writes == 0, "{again:?}");

    let outputs = first.outputs();
    first.edit("data/a.jsonl", "Question 7:", "Question seven:");
    first.build();
    let (kind, text) = failure(release(&first, NAME));
    assert_eq!(kind, FailureKind::Lock);
    assert!(text.contains("with another content: `sft_large") && text.contains("another version"), "{text}");
    // What it stands for is as it was, and so is what others pull.
    let is_kept = |(path, bytes): &(PathBuf, Vec<u8>)| fs::read(path).unwrap() == *bytes;
    assert!(before.iter().all(is_kept));
    let second = machine(&team);
    pull(&second, NAME).unwrap();
    assert_same(&outputs, &second.outputs());

    // The next version shares what did not change.
    let next = release(&first, "posttrain@2026-12-02").unwrap();
    assert!(next.is_new && next.shared_pieces > 5, "{next:?}");
    pull(&machine(&team), "posttrain@2026-12-02").unwrap();
}

#[test]
fn one_edited_row_adds_few_pieces() {
    let (team, mut first) = (Team::new(), large());
    team.join(&mut first);
    first.build();
    let all = release(&first, "a@1").unwrap();
    first.edit("data/a.jsonl", "Question 7:", "Question seven:");
    first.build();
    let next = release(&first, "a@2").unwrap();
    // Of each format one place or two, the list of its pieces; manifests and the small files that say more.
    assert!(next.added_pieces * 2 < all.added_pieces, "{} of {}", next.added_pieces, all.added_pieces);
}

#[test]
fn only_what_is_up_to_date_is_released() {
    let (team, mut first) = (Team::new(), large());
    team.join(&mut first);
    let (kind, text) = failure(release(&first, NAME));
    assert_eq!(kind, FailureKind::Action);
    assert!(text.contains("`sft/large` is new, `sft/small` is new"), "{text}");
    assert!(text.ends_with("`datac build sft/large sft/small` first"), "{text}");
    first.build();
    first.write("dataset/sft_small_train.jsonl", "{}\n");
    let (kind, text) = failure(release(&first, NAME));
    assert!(kind == FailureKind::Action && text.contains("`sft/small` is edited"), "{text}");
    // Recipes that are not asked for do not matter.
    let released = first.workspace().release("large@1", &["sft/large".to_owned()]).unwrap();
    assert_eq!(released.recipes, ["sft/large"]);
    first.edit("config/sft/large.yaml", "seed: 1", "seed: 2");
    assert!(failure(release(&first, NAME)).1.contains("`sft/large` is stale, `sft/small` is edited"));
    first.edit("config/sft/large.yaml", "seed: 2", "sead: 2");
    assert!(matches!(release(&first, NAME), Err(WorkspaceError::Problems(_))));
    assert_eq!(objects(&team, "named").len(), 1);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let (team, mut first) = (Team::new(), large());
    team.join(&mut first);
    first.build();
    // That of a folder is a path; what is pulled from there is a recipe that was pushed.
    let (kind, text) = failure(pull(&first, "../a@1"));
    assert!(kind == FailureKind::Source && text.contains("does not exist"), "{text}");
    assert_eq!(failure(release(&first, "../a@1")).0, FailureKind::Config);
    for name in ["a", "a@", "x/../a@1", "a@../../b", "a/b@1", "a@1 2", "a@.1", "@1", "a@1@2", "a@\u{e9}"] {
        for (kind, text) in [failure(release(&first, name)), failure(pull(&first, name))] {
            assert_eq!(kind, FailureKind::Config, "{text}");
            assert!(text.contains("is not the name of a release") && text.contains("NAME@VERSION"), "{text}");
        }
    }
    assert_eq!(objects(&team, "").len(), 0);
}

#[test]
fn without_a_key_nothing_is_released() {
    let (team, mut first) = (Team::new(), large());
    first.remote = team.remote();
    first.build();
    let (kind, text) = failure(release(&first, NAME));
    assert!(kind == FailureKind::Config && text.contains("there is no key to sign with"), "{text}");
    first.remote = None;
    assert!(failure(release(&first, NAME)).1.contains("no shared cache is named"));
}

#[test]
fn releases_of_strangers_and_documents_in_the_wrong_place_are_refused() {
    let (team, mut first) = (Team::new(), space());
    team.join(&mut first);
    first.build();
    release(&first, "a@1").unwrap();
    let document = team.root().join("datac-releases-1/named/a/1.release");
    let sound = fs::read_to_string(&document).unwrap();
    let second = machine(&team);
    let refused = |text: &str| {
        fs::write(&document, text).unwrap();
        let found = failure(pull(&second, "a@1"));
        assert_eq!(second.outputs(), Outputs::new());
        let listed = second.workspace().releases(None).unwrap();
        assert!(listed.releases[0].refused.is_some() && listed.releases[0].content.is_none());
        // Nor is the name free.
        first.build();
        assert_eq!(failure(release(&first, "a@1")).0, FailureKind::Lock);
        assert_eq!(fs::read_to_string(&document).unwrap(), text);
        found
    };
    // Unsigned, altered, cut off, emptied.
    let unsigned = sound.trim_end().rsplit_once('\n').unwrap().0.to_owned() + "\n";
    for text in [
        unsigned,
        sound.replacen("sft_one_train", "sft_one_trein", 1),
        sound[..sound.len() / 2].to_owned(),
        String::new(),
    ] {
        let (kind, text) = refused(&text);
        assert!(kind == FailureKind::Lock && text.contains("is damaged, or not signed"), "{text}");
    }
    let (_, text) = refused(&sound.replacen("datac-release/1", "datac-release/2", 1));
    assert!(text.contains("another version of datac made it"), "{text}");
    fs::write(&document, &sound).unwrap();

    // The document of another release, though it is signed by a trusted key.
    let other = team.root().join("datac-releases-1/named/a/2.release");
    fs::copy(&document, &other).unwrap();
    let (kind, text) = failure(pull(&second, "a@2"));
    assert!(kind == FailureKind::Lock && text.contains("is that of `a@1`"), "{text}");
    fs::remove_file(other).unwrap();

    // Signed with a key that nobody trusts here.
    let stranger = Arc::new(PrivateKey::generate("stranger").unwrap());
    first.signing = Signing::With(stranger.clone());
    release(&first, "b@1").unwrap();
    let (kind, text) = failure(pull(&second, "b@1"));
    assert!(kind == FailureKind::Lock && text.contains("does not trust"), "{text}");
    assert!(text.contains(&format!("datac cache key trust NAME {}", stranger.public())), "{text}");
    assert_eq!(second.outputs(), Outputs::new());
    datac::remote::Trusted::read(second.root()).unwrap().add("stranger", stranger.public()).unwrap();
    pull(&second, "b@1").unwrap();
    assert_same(&first.outputs(), &second.outputs());
    let listed = second.workspace().releases(None).unwrap();
    let keys: Vec<Option<&str>> = listed.releases.iter().map(|release| release.key.as_deref()).collect();
    assert_eq!(keys, [Some("team"), Some("stranger")]);
}

#[test]
fn a_damaged_piece_is_named_and_nothing_is_half_written() {
    let (team, mut first) = (Team::new(), large());
    team.join(&mut first);
    first.build();
    release(&first, NAME).unwrap();
    let pieces = objects(&team, "piece");
    assert!(pieces.len() > 10, "{}", pieces.len());
    let mut dice = Dice(5);
    let mut named = 0;
    for piece in &pieces {
        let sound = fs::read(piece).unwrap();
        let mut bad = sound.clone();
        let at = dice.below(bad.len());
        bad[at] ^= 1 << dice.below(8);
        fs::write(piece, bad).unwrap();
        let second = machine(&team);
        match pull(&second, NAME) {
            Err(error) => {
                let (kind, text) = failure::<()>(Err(error));
                let digits = &piece.file_name().unwrap().to_str().unwrap()[..8];
                assert_eq!(kind, FailureKind::Source, "{text}");
                let wanted = format!("of `{NAME}`: the piece {digits} is damaged in the shared cache");
                assert!(text.starts_with("failed to get `") && text.contains(&wanted), "{text}");
                named += 1;
            }
            // Locks and manifests are no files; some bits of a frame say nothing.
            Ok(_) => assert_same(&first.outputs(), &second.outputs()),
        }
        let outputs = first.outputs();
        for (name, bytes) in second.outputs() {
            assert!(outputs.get(&name) == Some(&bytes), "`{name}` is whole, or not there");
        }
        fs::write(piece, sound).unwrap();
    }
    assert!(named * 10 > pieces.len() * 7, "{named} of {}", pieces.len());

    // Who has the files puts it back.
    fs::remove_file(&pieces[0]).unwrap();
    fs::write(&pieces[1], b"").unwrap();
    let again = release(&first, NAME).unwrap();
    assert_eq!((again.is_new, again.added_pieces), (false, 2));
    let second = machine(&team);
    pull(&second, NAME).unwrap();
    assert_same(&first.outputs(), &second.outputs());
}

#[test]
fn files_with_other_bytes_are_only_replaced_if_that_is_forced() {
    let (team, mut first) = (Team::new(), space());
    team.join(&mut first);
    first.build();
    release(&first, NAME).unwrap();
    let second = machine(&team);
    second.write("dataset/sft_one_train.jsonl", "mine\n");
    let before = second.stats();
    let (kind, text) = failure(pull(&second, NAME));
    assert_eq!(kind, FailureKind::Action);
    assert!(text.contains("`dataset/sft_one_train.jsonl` has other bytes") && text.contains("--force"), "{text}");
    assert_eq!(changed(&before, &second.stats()), [] as [&Path; 0], "nothing was written");
    let to = second.path("elsewhere/rows");
    second.workspace().pull(NAME, &PullOptions { to: Some(to.clone()), ..PullOptions::default() }).unwrap();
    assert_eq!(files(&to).len(), first.outputs().len());
    let dry = PullOptions { force: true, dry_run: true, ..PullOptions::default() };
    let before = second.stats();
    let would = pulled(second.workspace().pull(NAME, &dry)).unwrap();
    assert_eq!(placements(&would).iter().filter(|placement| **placement == Placement::Replaced).count(), 1);
    assert_eq!(changed(&before, &second.stats()), [] as [&Path; 0]);
    second.workspace().pull(NAME, &PullOptions { force: true, ..PullOptions::default() }).unwrap();
    assert_same(&first.outputs(), &second.outputs());
    // A folder in the place of a file is never replaced.
    second.remove("dataset/sft_one_train.jsonl");
    second.write("dataset/sft_one_train.jsonl/x", "");
    let forced = second.workspace().pull(NAME, &PullOptions { force: true, ..PullOptions::default() });
    assert!(failure(forced).1.contains("is not a file"));
}

#[test]
fn a_release_of_old_is_in_place_of_a_newer_build_and_back() {
    let (team, mut first) = (Team::new(), space());
    team.join(&mut first);
    first.build();
    release(&first, "a@1").unwrap();
    let old = first.outputs();
    first.edit("config/sft/one.yaml", "seed: 1", "seed: 2");
    first.build();
    first.workspace().pull("a@1", &PullOptions { force: true, ..PullOptions::default() }).unwrap();
    assert_same(&old, &first.outputs());
    // Rows of files are traced by their bytes, so those of an earlier build are, too.
    let origin = first.workspace().outputs().trace("dataset/sft_one_train.jsonl", 1).unwrap();
    assert!(origin.source.file.ends_with(".jsonl"), "{:?}", origin.source);
    first.build();
    assert_ne!(old, first.outputs());
    first.assert_settled();
}

#[test]
fn garbage_collection_leaves_releases_alone() {
    let (team, mut first) = (Team::new(), large());
    team.join(&mut first);
    first.build();
    release(&first, NAME).unwrap();
    let before = objects(&team, "");
    let collected = first.workspace().cache().shared_collect(Duration::ZERO, false).unwrap();
    assert!(collected.packs.count > 0, "{collected:?}");
    assert_eq!(objects(&team, ""), before);
    // Nor does it matter whether there still is a shared cache.
    fs::remove_dir_all(team.root().join("datac-cache-1")).unwrap();
    let second = machine(&team);
    pull(&second, NAME).unwrap();
    assert_same(&first.outputs(), &second.outputs());
    let size = first.workspace().cache().shared_size().unwrap();
    assert_eq!(size.releases.count, before.len() as u64);

    let verified = first.workspace().cache().shared_verify().unwrap();
    assert_eq!((verified.releases, verified.pieces, verified.damaged.len()), (1, before.len() as u64 - 1, 0));
    let piece = objects(&team, "piece").remove(0);
    fs::write(&piece, b"rubbish").unwrap();
    let document = objects(&team, "named").remove(0);
    fs::write(&document, b"rubbish").unwrap();
    let verified = first.workspace().cache().shared_verify().unwrap();
    assert_eq!((verified.damaged.len(), &verified.damaged_releases[..]), (1, &[NAME.to_owned()][..]), "{verified:?}");
    assert!(!piece.exists(), "it is put back by whoever releases the same again");
    assert!(document.exists(), "its name is never free again");
}

#[test]
fn killed_at_any_time_a_release_is_there_whole_or_not_at_all() {
    let (team, mut first) = (Team::new(), large());
    team.join(&mut first);
    first.build();
    let key = first.path("key");
    team.key.store(&key).unwrap();
    let key = fs::read_to_string(key).unwrap();
    let begin = |name: &str| -> Command {
        let mut command = first.command(&["release", name, "--remote", team.root().to_str().unwrap()]);
        command.env("DATAC_CACHE_KEY", &key).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command
    };
    let (mut whole, mut dice) = (0, Dice(11));
    for number in 0..16 {
        if number % 4 == 0 {
            // From the first piece on.
            fs::remove_dir_all(team.root().join("datac-releases-1")).ok();
        }
        let name = format!("a@{number}");
        let mut child = begin(&name).spawn().unwrap();
        thread::sleep(Duration::from_millis(dice.below(400) as u64));
        child.kill().ok();
        child.wait().unwrap();
        let second = machine(&team);
        let names: Vec<String> =
            second.workspace().releases(None).unwrap().releases.into_iter().map(|release| release.release).collect();
        match pull(&second, &name) {
            Ok(_) => {
                assert!(names.contains(&name));
                assert_same(&first.outputs(), &second.outputs());
                whole += 1;
            }
            Err(error) => {
                assert!(!names.contains(&name), "{error}");
                assert!(failure::<()>(Err(error)).1.contains("there is no release"));
                assert_eq!(second.outputs(), Outputs::new());
            }
        }
        assert!(begin(&name).status().unwrap().success(), "the next run goes on");
        pull(&machine(&team), &name).unwrap();
    }
    println!("{whole} of 16 were through before they were killed");
}

#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let (team, mut first) = (Team::new(), large());
    team.join(&mut first);
    first.build();
    release(&first, NAME).unwrap();
    let second = machine(&team);
    // No file may be larger than so many blocks: the small ones come through, the large ones do not.
    let pull = |limit: &str| {
        let line = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" \"$@\"");
        let inner = second.command(&["pull", NAME, "--remote", team.root().to_str().unwrap()]);
        let mut command = Command::new("sh");
        command.arg("-c").arg(line).arg(inner.get_program()).args(inner.get_args());
        inner.get_envs().for_each(|(name, value)| match value {
            Some(value) => drop(command.env(name, value)),
            None => drop(command.env_remove(name)),
        });
        command.output().unwrap()
    };
    let output = pull("2048");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("failed to write") && text.contains("too large"), "{text}");
    let outputs = first.outputs();
    for (name, bytes) in second.outputs() {
        assert!(outputs.get(&name) == Some(&bytes), "`{name}` is whole, or not there");
    }
    assert!(second.outputs().len() < outputs.len());
    let output = pull("unlimited");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_same(&outputs, &second.outputs());
}

#[test]
fn a_shared_cache_that_is_gone_says_so() {
    let (team, mut first) = (Team::new(), large());
    team.join(&mut first);
    first.build();
    first.remote = Some(first.path("gone").to_str().unwrap().to_owned());
    for (kind, text) in
        [failure(release(&first, NAME)), failure(pull(&first, NAME)), failure(first.workspace().releases(None))]
    {
        assert_eq!(kind, FailureKind::Source);
        assert!(text.starts_with("failed to use the shared cache") && text.contains("does not exist"), "{text}");
    }
    first.remote = team.remote();
    let (kind, text) = failure(pull(&first, NAME));
    assert!(kind == FailureKind::Source && text.contains("there is no release"), "{text}");
    release(&first, NAME).unwrap();
    let (_, text) = failure(pull(&first, "posttrain@2026-12-02"));
    assert!(text.contains(&format!("the last of 1 is `{NAME}`")), "{text}");
}

#[test]
fn what_is_interrupted_stops_and_is_not_there() {
    let (team, mut first) = (Team::new(), large());
    team.join(&mut first);
    first.build();
    let stopped = Workspace::open(datac::Settings {
        interrupt: Arc::new(true.into()),
        remote: team.remote(),
        signing: first.signing.clone(),
        ..datac::Settings::new(first.root())
    });
    assert_eq!(failure(stopped.release(NAME, &[])).0, FailureKind::Interrupted);
    assert_eq!(objects(&team, "").len(), 0);
    release(&first, NAME).unwrap();
    first.remove("dataset");
    assert_eq!(failure(stopped.pull(NAME, &PullOptions::default())).0, FailureKind::Interrupted);
    assert_eq!(first.outputs(), Outputs::new());
}

#[test]
fn a_copy_of_the_folder_is_as_good() {
    let (team, mut first) = (Team::new(), space());
    team.join(&mut first);
    first.build();
    release(&first, NAME).unwrap();
    let mut second = machine(&team);
    copy(&team.root().join("datac-releases-1"), &second.path("archive/datac-releases-1"));
    fs::remove_dir_all(team.root()).unwrap();
    second.remote = Some("archive".to_owned());
    pull(&second, NAME).unwrap();
    assert_same(&first.outputs(), &second.outputs());
}

/// Makes a file older than a day.
fn age(path: &Path) {
    let then = std::time::SystemTime::now() - Duration::from_secs(25 * 3600);
    fs::File::options().append(true).open(path).unwrap().set_modified(then).unwrap();
}

#[test]
fn a_release_is_removed_with_what_no_other_one_needs() {
    let (team, mut first) = (Team::new(), large());
    team.join(&mut first);
    first.build();
    release(&first, "a@1").unwrap();
    let alone = objects(&team, "");
    let outputs = first.outputs();
    first.edit("data/a.jsonl", "Question 7:", "Question seven:");
    first.build();
    release(&first, "a@2").unwrap();
    let both = objects(&team, "");

    let dry = first.workspace().remove_releases(&["a@2".to_owned()], true).unwrap();
    assert!(dry.pieces.count > 0 && dry.kept.count as usize == alone.len() - 1, "{dry:?}");
    assert_eq!(objects(&team, ""), both);
    let removed = first.workspace().remove_releases(&["a@2".to_owned()], false).unwrap();
    assert_eq!((&removed.pieces, &removed.kept, &removed.made_meanwhile[..]), (&dry.pieces, &dry.kept, &[][..]));
    assert_eq!(objects(&team, ""), alone, "what the other one needs is as it was");
    let second = machine(&team);
    pull(&second, "a@1").unwrap();
    assert_same(&outputs, &second.outputs());
    let (kind, text) = failure(pull(&machine(&team), "a@2"));
    assert!(kind == FailureKind::Source && text.contains("there is no release `a@2`"), "{text}");
    let (kind, text) = failure(first.workspace().remove_releases(&["a@2".to_owned()], false));
    assert!(kind == FailureKind::Source && text.contains("the last of 1 is `a@1`"), "{text}");
    assert_eq!(failure(first.workspace().remove_releases(&["a".to_owned()], false)).0, FailureKind::Config);

    // Nothing is left of the last one.
    first.workspace().remove_releases(&["a@1".to_owned()], false).unwrap();
    assert_eq!(objects(&team, ""), [] as [PathBuf; 0]);
}

#[test]
fn pieces_of_killed_releases_go_once_they_are_old() {
    let (team, mut first) = (Team::new(), large());
    team.join(&mut first);
    first.build();
    release(&first, "a@1").unwrap();
    let outputs = first.outputs();
    let whole = objects(&team, "");
    // As if it had been killed before the document.
    first.edit("data/a.jsonl", "Question 7:", "Question seven:");
    first.build();
    release(&first, "a@2").unwrap();
    fs::remove_file(team.root().join("datac-releases-1/named/a/2.release")).unwrap();
    let left: Vec<PathBuf> = objects(&team, "").into_iter().filter(|path| !whole.contains(path)).collect();
    assert!(!left.is_empty());
    let removed = first.workspace().remove_releases(&[], false).unwrap();
    assert_eq!(removed.pieces.count, 0, "a release may be on its way");
    left.iter().for_each(|path| age(path));
    whole.iter().for_each(|path| age(path));
    let removed = first.workspace().remove_releases(&[], false).unwrap();
    assert_eq!((removed.pieces.count, removed.releases), (left.len() as u64, Vec::new()));
    assert_eq!(objects(&team, ""), whole);
    let second = machine(&team);
    pull(&second, "a@1").unwrap();
    assert_same(&outputs, &second.outputs());
}

#[test]
fn nothing_is_removed_while_it_is_not_known_what_another_release_needs() {
    let (team, mut first) = (Team::new(), large());
    team.join(&mut first);
    first.build();
    release(&first, "a@1").unwrap();
    release(&first, "b@1").unwrap();
    let document = team.root().join("datac-releases-1/named/b/1.release");
    let sound = fs::read(&document).unwrap();
    let mut bad = sound.clone();
    bad[sound.len() / 2] ^= 1;
    fs::write(&document, &bad).unwrap();
    let before = objects(&team, "");
    let (kind, text) = failure(first.workspace().remove_releases(&["a@1".to_owned()], false));
    assert_eq!(kind, FailureKind::Lock);
    assert!(text.contains("`b@1`") && text.contains("datac release remove b@1"), "{text}");
    assert_eq!(objects(&team, ""), before);

    // One of a stranger is one of somebody.
    fs::write(&document, &sound).unwrap();
    let mut stranger = first.twin();
    stranger.remote = team.remote();
    stranger.workspace().remove_releases(&["a@1".to_owned()], false).unwrap();
    pull(&machine(&team), "b@1").unwrap();
    // What is damaged can be removed itself; its pieces are found by their age.
    fs::write(&document, &bad).unwrap();
    objects(&team, "piece").iter().for_each(|path| age(path));
    first.workspace().remove_releases(&["b@1".to_owned()], false).unwrap();
    assert_eq!(objects(&team, ""), [] as [PathBuf; 0]);
}

#[test]
fn killed_while_it_removes_the_others_are_whole() {
    let (team, mut first) = (Team::new(), large());
    team.join(&mut first);
    first.build();
    release(&first, "a@1").unwrap();
    let outputs = first.outputs();
    let mut dice = Dice(3);
    for number in 0..8 {
        first.edit("data/b.jsonl", "Question 20007", "Question 20007 and more");
        first.build();
        let name = format!("b@{number}");
        release(&first, &name).unwrap();
        let mut command = first.command(&["release", "remove", &name, "--remote", team.root().to_str().unwrap()]);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        thread::sleep(Duration::from_millis(dice.below(60) as u64));
        child.kill().ok();
        child.wait().unwrap();
        let second = machine(&team);
        pull(&second, "a@1").unwrap();
        assert_same(&outputs, &second.outputs());
    }
    objects(&team, "piece").iter().for_each(|path| age(path));
    let names = first.workspace().releases(Some("b")).unwrap().releases;
    let names: Vec<String> = names.into_iter().map(|release| release.release).collect();
    first.workspace().remove_releases(&names, false).unwrap();
    pull(&machine(&team), "a@1").unwrap();
    first.workspace().remove_releases(&["a@1".to_owned()], false).unwrap();
    assert_eq!(objects(&team, ""), [] as [PathBuf; 0]);
}
