//! Threads by the tokens of GNU make.

use std::time::{Duration, Instant};

use super::place::{Place, has};

/// What make says when tokens are not all back at its end.
const LOST: &str = "INTERNAL";

/// Two builds, in folders of their own, beside two rules that hold a job each.
const MAKEFILE: &str = "\
.PHONY: all one two sleep1 sleep2
all: one two sleep1 sleep2
one two:
\t+datac -C $@ build --force
sleep1 sleep2:
\tsleep 0.2
";

fn place() -> Place {
    let place = Place::new();
    place.sh("mkdir one two && cp -r config data one && cp -r config data two");
    place
}

#[test]
fn tokens_are_taken_and_given_back() {
    if !has("make") {
        return;
    }
    let place = place();
    place.write("Makefile", MAKEFILE);
    for jobs in ["-j1", "-j2", "-j3", "-j8", "-j", ""] {
        let begun = Instant::now();
        let printed = place.sh(&format!("make {jobs}"));
        assert!(!printed.contains(LOST) && !printed.contains("warning"), "make {jobs}\n{printed}");
        assert!(begun.elapsed() < Duration::from_secs(60), "make {jobs}");
        assert!(place.path("two/dataset/sft_two_train.jsonl").exists());
    }
}

#[test]
fn a_rule_without_a_plus_is_built_and_told_once() {
    if !has("make") {
        return;
    }
    let place = place();
    place.write("Makefile", MAKEFILE.replace("\t+", "\t"));
    let printed = place.sh("make -j2 one 2>&1");
    let told = printed.matches("recipe lines that begin with `+`").count();
    assert_eq!(told, 1, "{printed}");
    assert!(!printed.contains(LOST), "{printed}");
    place.write("Makefile", MAKEFILE.replace("\t+", "\t").replace(" --force", ""));
    let printed = place.sh("make -j2 one 2>&1");
    assert!(!printed.contains("begin with `+`"), "nothing is said where nothing runs: {printed}");
}

#[test]
fn make_that_only_prints_builds_nothing() {
    if !has("make") {
        return;
    }
    let place = place();
    place.write("Makefile", MAKEFILE);
    let printed = place.sh("make -n -j2 one");
    assert!(printed.contains("2 new"), "{printed}");
    assert!(!place.path("one/dataset").exists() && !place.path("one/cache").exists());
}

/// Pipes that are closed, are no pipes, have no tokens or have a name that is gone: the build ends all the same.
#[test]
fn no_pipe_is_waited_for() {
    let place = place();
    for flags in ["--jobserver-auth=3,4", "--jobserver-fds=-2,-2", "--jobserver-auth=fifo:gone", "--jobserver-auth=0,1"]
    {
        let printed = place.sh(&format!("MAKEFLAGS=' -j2 {flags}' datac -C one build --force 3>&- 4>&-"));
        assert!(printed.contains("2 built") || printed.contains("2 rebuilt"), "{flags}: {printed}");
    }
    // Open, but not the two ends of a pipe.
    let printed =
        place.sh("MAKEFLAGS=' -j2 --jobserver-auth=3,4' datac -C one build --force 3<data/one.jsonl 4>>other");
    assert!(printed.contains("2 rebuilt") && place.read("other").is_empty(), "{printed}");

    place.sh("mkfifo tokens");
    let build = "MAKEFLAGS=\" -j4 --jobserver-auth=fifo:$PWD/tokens\" datac -C one build --force";
    let printed = place.sh(build);
    assert!(printed.contains("2 rebuilt"), "a pipe that no one feeds: {printed}");
    // Three tokens, which another process holds open, are all there afterwards.
    let printed = place.sh(&format!(
        "exec 9<>tokens; printf abc >&9; {build}; head -c 3 <&9 | tr -d '\\n' | fold -w1 | sort | tr -d '\\n'"
    ));
    assert!(printed.trim_end().ends_with("abc"), "{printed}");
}
