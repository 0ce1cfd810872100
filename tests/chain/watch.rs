//! `datac watch` end to end: files are edited under it, and outputs are waited for. A test fails when what it waits for has
//! not come after a minute; how long it took is no one's concern.

use std::{
    fs,
    io::Read,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use super::{
    pages::has_python,
    place::{Place, recipe, rows},
};

/// A watch that runs, and what it has printed so far.
struct Watched<'p> {
    place: &'p Place,
    child: Child,
    printed: Arc<Mutex<String>>,
}

impl<'p> Watched<'p> {
    /// Starts `datac watch` with these words; returns once its first round is over.
    fn start(place: &'p Place, words: &[&str]) -> Self {
        let watched = Self::spawn(place, words);
        watched.until("the first round", |watched| watched.rounds() == 1);
        watched
    }

    /// Starts `datac watch` with these words.
    fn spawn(place: &'p Place, words: &[&str]) -> Self {
        let mut child = place
            .command("datac")
            .arg("watch")
            .args(words)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let printed: Arc<Mutex<String>> = Arc::default();
        let (mut stream, shared) = (child.stderr.take().unwrap(), printed.clone());
        thread::spawn(move || {
            let mut block = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut block) {
                shared.lock().unwrap().push_str(&String::from_utf8_lossy(&block[..read]));
            }
        });
        Self { place, child, printed }
    }

    fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }

    /// How many rounds it has told of.
    fn rounds(&self) -> usize {
        self.printed().matches("press Ctrl-C to stop").count()
    }

    /// Waits until something is so.
    fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..6000 {
            if is_so(self) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("{what} has not come:\n{}", self.printed());
    }

    /// Waits until this was printed after what was printed before `from`.
    fn until_told(&self, from: usize, text: &str) {
        self.until(text, |watched| {
            let printed = watched.printed();
            printed[from..].contains(text) && printed.ends_with("press Ctrl-C to stop\n")
        });
    }

    /// Does something, and waits until it is told with this text.
    fn after(&self, act: impl FnOnce(&Place), text: &str) {
        let from = self.printed().len();
        act(self.place);
        self.until_told(from, text);
    }

    /// Sends a signal; returns the exit code and what was printed.
    fn end(mut self, signal: &str) -> (Option<i32>, String) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let mut code = None;
        for _ in 0..6000 {
            if let Some(status) = self.child.try_wait().unwrap() {
                code = status.code();
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        (code, self.printed())
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The rows of an output with this text in them.
fn count(place: &Place, output: &str, text: &str) -> usize {
    fs::read_to_string(place.path(output)).unwrap_or_default().matches(text).count()
}

/// What a watch must not leave: unfinished files, and a lock that someone holds.
fn assert_nothing_left(place: &Place) {
    assert_eq!(place.sh("find . -name '*.part' -o -name '.datac-*'"), "");
    place.sh("datac build --no-wait && datac build --check");
}

#[test]
fn every_kind_of_edit_is_built() {
    let place = Place::new();
    let watched = Watched::start(&place, &[]);
    assert!(count(&place, "dataset/sft_one_train.jsonl", "\"source\":\"one\"") > 30);

    watched.after(|place| place.edit("config/sft/one.yaml", "seed: 1", "seed: 2"), "Built sft/one in");
    watched.after(|place| place.sh("printf '%s\\n' '# no change' >> config/sft/two.yaml").clear(), "Fresh");
    // As editors save: another file in its place.
    watched.after(
        |place| place.sh("sed 's/seed: 2/seed: 3/' config/sft/one.yaml > x && mv x config/sft/one.yaml").clear(),
        "Built sft/one in",
    );

    // A source file grows; a file comes into a folder that is a source.
    watched.after(
        |place| place.write("data/one.jsonl", rows("one", 0..40) + &rows("late", 0..30)),
        "Changed data/one.jsonl\n       Built sft/one in",
    );
    assert!(count(&place, "dataset/sft_one_train.jsonl", "late question") > 15);
    watched.after(|place| place.write("data/two/b.jsonl", rows("more", 0..30)), "Built sft/two in");
    assert!(count(&place, "dataset/sft_two_train.jsonl", "more question") > 15);

    // Recipes come and go, and so do folders of them.
    let three = recipe("three", "data/new.jsonl");
    watched.after(|place| place.write("config/dpo/deep/three.yaml", &three), "does not exist");
    watched.after(|place| place.write("data/new.jsonl", rows("new", 0..20)), "Fixed deep/three");
    assert!(place.path("dataset/sft_three_train.jsonl").exists());
    watched.after(|place| place.sh("rm -r config/dpo").clear(), "Dropped deep/three");
    watched.after(|place| place.write("config/dpo/deep/three.yaml", &three), "deep/three");

    let (code, printed) = watched.end("-INT");
    assert_eq!(code, Some(130), "{printed}");
    assert_nothing_left(&place);
}

#[test]
fn a_broken_recipe_is_shown_until_it_is_mended() {
    let place = Place::new();
    let watched = Watched::start(&place, &[]);
    let broken = "unknown key `seeed`";
    watched.after(|place| place.edit("config/sft/one.yaml", "seed: 1", "seeed: 1"), broken);
    // Others are built, and the error is shown again.
    let before = watched.printed().matches(broken).count();
    watched.after(|place| place.edit("config/sft/two.yaml", "seed: 1", "seed: 5"), "Built sft/two in");
    assert_eq!(watched.printed().matches(broken).count(), before + 1, "{}", watched.printed());
    watched.after(|place| place.edit("config/sft/one.yaml", "seeed: 1", "seed: 9"), "Fixed sft/one");
    // A source that cannot be read, and a lock that is damaged, end nothing either.
    watched.after(|place| place.write("data/one.jsonl", "broken\n"), "no row of the local files can be read");
    watched.after(|place| place.write("data/one.jsonl", rows("one", 0..50)), "Fixed sft/one");
    watched.after(|place| place.write("datac.lock", "<<<<<<< not a lock\n"), "datac.lock");
    watched.after(|place| place.sh("rm datac.lock").clear(), "watching 2 recipes");
    let (code, printed) = watched.end("-TERM");
    assert_eq!(code, Some(130), "{printed}");
    assert_nothing_left(&place);
}

#[test]
fn outputs_are_restored_and_own_writes_start_nothing() {
    let place = Place::new();
    // Refused for its rejects, so that each of its builds fails and has a quarantine file to write.
    place.write("data/bad.jsonl", rows("bad", 0..20) + "{\"instruction\":\"q\",\"output\":\"\"}\n");
    place.write("config/sft/refused.yaml", recipe("refused", "data/bad.jsonl") + "max_rejects: 0\n");
    let watched = Watched::start(&place, &[]);
    assert!(place.path("dataset/quarantine/sft_refused.jsonl").exists(), "{}", watched.printed());

    let whole = place.read("dataset/sft_one_val.jsonl");
    let is_whole = |watched: &Watched<'_>| {
        fs::read_to_string(place.path("dataset/sft_one_val.jsonl")).is_ok_and(|text| text == whole)
            && watched.printed().ends_with("press Ctrl-C to stop\n")
    };
    for act in ["rm dataset/sft_one_val.jsonl", "echo {} >> dataset/sft_one_val.jsonl", "rm -r dataset"] {
        let rounds = watched.rounds();
        place.sh(act);
        watched.until(act, |watched| watched.rounds() > rounds && is_whole(watched));
    }
    // What this build writes is told of to the watch before the second edit is: a round for it would come between.
    watched.after(|place| place.edit("config/sft/two.yaml", "seed: 1", "seed: 4"), "Built sft/two in");
    let settled = watched.rounds();
    watched.after(|place| place.edit("config/sft/two.yaml", "seed: 4", "seed: 5"), "Built sft/two in");
    assert_eq!(watched.rounds(), settled + 1, "{}", watched.printed());

    // Between rounds another build may run.
    place.sh("datac build --no-wait --force sft/one && test -e dataset/sft_one_val.jsonl");
    watched.after(|place| place.edit("config/sft/two.yaml", "seed: 5", "seed: 6"), "Built sft/two in");
    let (code, printed) = watched.end("-INT");
    assert_eq!(code, Some(130), "{printed}");
}

/// A build that runs is stopped, and what it finished is kept.
#[test]
fn a_build_that_runs_is_ended_too() {
    let place = Place::new();
    place.write("data/one.jsonl", rows("one", 0..400_000));
    let watched = Watched::spawn(&place, &[]);
    watched.until("a build", |_| place.path("cache/v1/build.lock").exists());
    let (code, printed) = watched.end("-INT");
    assert_eq!(code, Some(130), "{printed}");
    assert_nothing_left(&place);
}

/// What a link leads to counts, wherever that is.
#[test]
fn links_are_followed() {
    let place = Place::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let link = |from: &str, to: &str| {
        fs::rename(place.path(from), elsewhere.path().join(to)).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join(to), place.path(from)).unwrap();
    };
    fs::create_dir(elsewhere.path().join("recipes")).unwrap();
    link("config/sft/one.yaml", "recipes/one.yaml");
    link("data/one.jsonl", "rows.jsonl");
    link("data/two", "two");
    let watched = Watched::start(&place, &[]);
    watched.after(|place| place.edit("config/sft/one.yaml", "seed: 1", "seed: 2"), "Built sft/one in");
    watched.after(|_| fs::write(elsewhere.path().join("rows.jsonl"), rows("late", 0..50)).unwrap(), "Built sft/one in");
    watched
        .after(|_| fs::write(elsewhere.path().join("two/b.jsonl"), rows("late", 0..50)).unwrap(), "Built sft/two in");
    assert_eq!(watched.end("-INT").0, Some(130));
}

#[test]
fn chains_are_followed_and_files_can_be_polled() {
    let place = Place::new();
    place.write("config/sft/three.yaml", recipe("three", "dataset/sft_one_train.jsonl"));
    let watched = Watched::start(&place, &["--poll", "--delay=20", "sft/one+"]);
    let rows_of = |name: &str| count(&place, &format!("dataset/sft_{name}_train.jsonl"), "\n");
    watched.until("the chain", |_| rows_of("three") > 0);
    let before = rows_of("three");
    place.write("data/one.jsonl", rows("one", 0..40) + &rows("late", 0..60));
    watched.until("the end of the chain", |_| rows_of("three") > before + 20);
    assert!(!place.path("dataset/sft_two_train.jsonl").exists(), "no one asked for it");
    let (code, printed) = watched.end("-INT");
    assert_eq!(code, Some(130), "{printed}");
}

#[test]
fn modules_of_converters_are_watched_with_what_they_import() {
    if !has_python() {
        println!("skipped: no python3");
        return;
    }
    let place = Place::new();
    place.write(
        "py/chat.py",
        "import datac, words\n@datac.converter(kind='sft')\n\
         def to_sample(row): return {'user': row['instruction'], 'assistant': words.ANSWER}\n",
    );
    place.write("py/words.py", "ANSWER = 'one answer'\n");
    place.edit("config/sft/one.yaml", "format: jsonl", "format: jsonl, converter: { python: 'py/chat.py:to_sample' }");
    let watched = Watched::start(&place, &["sft/one"]);
    let rows = || count(&place, "dataset/sft_one_train.jsonl", "\"content\":\"one answer\"");
    assert!(rows() > 30, "{}", watched.printed());
    watched.after(
        |place| place.write("py/words.py", "ANSWER = 'other answer'\n"),
        "Changed py/words.py\n       Built sft/one in",
    );
    assert_eq!(rows(), 0);
    watched.after(|place| place.edit("py/chat.py", "words.ANSWER", "'one answer'"), "Built sft/one in");
    assert!(rows() > 30);
}

#[test]
fn what_cannot_be_watched_is_refused_at_once() {
    let place = Place::new();
    for (line, code) in [("datac watch sft/on", 2), ("datac watch --poll=0", 2), ("datac watch -C data", 2)] {
        let (printed, exit) = place.try_sh(line);
        assert_eq!(exit, code, "{line}: {printed}");
        assert!(printed.contains("error: "), "{printed}");
    }
}
