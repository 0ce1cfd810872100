//! What recipes may say, what they may not, and where a fault is reported.

use std::fmt::Write as _;

use proptest::{
    prelude::{ProptestConfig, any, prop},
    proptest,
};

mod cases;

pub(super) use cases::{bad, good};
use cases::{dataset, root};

use super::*;

pub(super) fn vocabulary() -> Vocabulary {
    let word = |name: &str, kind, options: &[(&str, &[&str])]| ConverterWord {
        name: name.into(),
        kind,
        options: options
            .iter()
            .map(|(name, values)| (name.to_string(), values.iter().map(|value| value.to_string()).collect()))
            .collect(),
    };
    Vocabulary {
        converters: vec![
            word("alpaca", SampleKind::Conversation, &[]),
            word("gsm8k", SampleKind::Conversation, &[("calculator", &["keep", "strip"])]),
            word("hh_rlhf", SampleKind::Preference, &[]),
            word("prompts", SampleKind::Prompt, &[("column", &[])]),
        ],
    }
}

fn load_it(text: impl AsRef<[u8]>) -> Result<Recipe, Vec<Problem>> {
    load("config/r.yaml", text.as_ref(), &vocabulary())
}

#[test]
fn bad_recipes_are_refused_at_the_right_place() {
    let mut wrong = String::new();
    let mut shown = String::new();
    for (name, text, expected) in bad() {
        let problems = load_it(&text).expect_err(name);
        writeln!(shown, "{name}").unwrap();
        for problem in &problems {
            writeln!(shown, "  {problem}").unwrap();
        }
        let matches = problems.len() == expected.len()
            && problems.iter().zip(&expected).all(|(problem, expected)| {
                let mut words = expected.splitn(3, ' ');
                words.next() == Some(&format!("{}:{}", problem.line, problem.column))
                    && words.next() == Some(problem.code)
                    && words.next().is_some_and(|phrase| {
                        let label = problem.label.as_deref().unwrap_or_default();
                        format!("{problem} {label}").replace(&format!(" [{}]", problem.code), "").contains(phrase)
                    })
            });
        if !matches {
            let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
            writeln!(wrong, "{name}: expected {expected:#?}, found {found:#?}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    insta::assert_snapshot!(shown);
}

#[test]
fn good_recipes_are_read_as_meant() {
    for (name, text, is_as_meant) in good() {
        let recipe = load_it(&text).unwrap_or_else(|problems| panic!("{name}: {problems:#?}"));
        assert!(is_as_meant(&recipe), "{name}: {recipe:#?}");
    }
}

#[test]
fn the_recipes_of_the_repository_are_sound() {
    macro_rules! recipes {
        ($($name:literal),*) => { [$(($name, include_str!(concat!("../../config/data/posttrain/", $name, ".yaml")))),*] };
    }
    let texts = recipes!(
        "sft/general",
        "sft/code",
        "sft/reasoning",
        "dpo/helpfulness",
        "dpo/safety",
        "rlaif/ppo",
        "rlaif/grpo",
        "rlaif/spo"
    );
    let mut shown = String::new();
    let mut loaded = Vec::new();
    for (name, text) in texts {
        let path = format!("{name}.yaml");
        let recipe = load(&path, text.as_bytes(), &vocabulary()).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let mut manifest = crate::hash::Manifest::new();
        recipe.leaves(&mut manifest);
        writeln!(shown, "{name} -> {}", recipe.outputs(&path).stem()).unwrap();
        for entry in manifest.entries() {
            writeln!(shown, "  {} = {}", entry.name, entry.value).unwrap();
        }
        let outputs =
            format!("Writes dataset/{0}_train.jsonl and dataset/{0}_val.jsonl.", recipe.outputs(&path).stem());
        assert!(text.contains(&outputs), "{name} says which files it writes");
        loaded.push((path, recipe, text));
    }
    insta::assert_snapshot!(shown);
    let all: Vec<_> = loaded.iter().map(|(path, recipe, text)| (path.as_str(), recipe, text.as_bytes())).collect();
    assert_eq!(check_collisions(&all), []);
}

#[test]
fn every_code_but_the_last_is_tested() {
    let mut codes: Vec<&str> =
        bad().iter().flat_map(|(_, text, _)| load_it(text).unwrap_err()).map(|p| p.code).collect();
    codes.extend(load_it(b"a: \xff").unwrap_err().iter().map(|p| p.code));
    codes.extend(load_it(vec![b'#'; MAX_BYTES + 1]).unwrap_err().iter().map(|p| p.code));
    codes.extend(load_it("a: b\n".repeat(200)).unwrap_err().iter().map(|p| p.code));
    codes.extend(load("a:b.yaml", root("").as_bytes(), &vocabulary()).unwrap_err().iter().map(|p| p.code));
    let untested: Vec<_> = CODES.iter().filter(|(code, _)| !codes.contains(code)).map(|(code, _)| *code).collect();
    assert_eq!(untested, [problem::COLLISION, problem::PARSER]);
}

#[test]
fn bytes_that_are_not_utf8_are_placed() {
    let problems = load_it(b"metadata:\n  phase: s\xfft\n").unwrap_err();
    assert_eq!((problems[0].line, problems[0].column, problems[0].code), (2, 11, "E0102"));
}

/// Whether a text is accepted when only one parser's tree is walked.
fn accepted_by(text: &str) -> (bool, bool) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let quick = yaml::parse(text).is_ok_and(|tree| check::check(&tree, &vocabulary()).0.is_some());
    let parsed = spanned::parse(text);
    let placed =
        parsed.faults.is_empty() && parsed.root.is_some_and(|root| check::check(&root, &vocabulary()).0.is_some());
    (quick, placed)
}

#[test]
fn both_parsers_accept_the_same_recipes() {
    for (name, text, _) in good() {
        let (quick, placed) = accepted_by(&text);
        if name == "brackets closed without indentation" {
            assert_eq!((quick, placed), (true, false), "the other parser is stricter here");
            continue;
        }
        // serde's tree has no spelling for a number in a list of names.
        assert_eq!((quick, placed), (name != "text that looks like a number", true), "{name}");
        if quick {
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            let trees = (yaml::parse(text).ok().unwrap(), spanned::parse(text).root.unwrap());
            assert_eq!(check::check(&trees.0, &vocabulary()).0, check::check(&trees.1, &vocabulary()).0, "{name}");
        }
    }
    // serde resolves anchors and ignores core tags; `load` asks the other parser for those.
    for (name, text, _) in bad() {
        let (quick, placed) = accepted_by(&text);
        let ambiguous = text.contains(['\u{2028}', '\u{feff}']);
        assert!(!placed || ambiguous, "{name}");
        assert!(!quick || text.contains(['&', '*', '!']) || ambiguous || text.len() > 1900, "{name}");
    }
}

#[test]
fn scalars_resolve_alike() {
    let words = [
        "",
        "~",
        "null",
        "Null",
        "NULL",
        "nULL",
        "true",
        "True",
        "TRUE",
        "yes",
        "no",
        "on",
        "0",
        "-0",
        "+1",
        "007",
        "0x1F",
        "-0x1f",
        "0o17",
        "0b11",
        "1_000",
        "1.",
        ".5",
        "1e3",
        "+1e-3",
        "1e999",
        ".inf",
        "-.INF",
        ".nan",
        "nan",
        "inf",
        "infinity",
        "--1",
        "+-1",
        "18446744073709551616",
        "-9223372036854775809",
        "1%",
        "a-b",
        "2024-01-01",
        "12:30",
        "...a",
        "340282366920938463463374607431768211455",
    ];
    for word in words {
        let text = format!("k: {word}\n");
        let (quick, placed) = (yaml::parse(&text).ok().unwrap(), spanned::parse(&text).root.unwrap());
        let scalar = |node: &tree::Node<'_>| match &node.entry("k").unwrap().1.value {
            tree::Value::Scalar(scalar, _) => format!("{scalar:?}"),
            other => format!("{other:?}"),
        };
        assert_eq!(scalar(&quick), scalar(&placed), "{word}");
    }
}

#[test]
fn outputs_of_two_recipes_may_not_collide() {
    let sft = root("");
    let other = root("").replace("sft", "sft_a");
    let (one, two) = (load_it(&sft).unwrap(), load_it(&other).unwrap());
    let problems = check_collisions(&[
        ("x/a_b.yaml", &one, sft.as_bytes()),
        ("y/b.yaml", &two, other.as_bytes()),
        ("y/c.yaml", &two, other.as_bytes()),
        ("z/A_B.yml", &one, sft.as_bytes()),
    ]);
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "y/b.yaml:2:10: `x/a_b.yaml` writes `sft_a_b_train.jsonl` too [E0132]; rename one of the two files, or change its phase",
            "z/A_B.yml:2:10: `x/a_b.yaml` writes `sft_A_B_train.jsonl` too [E0132]; rename one of the two files, or change its phase",
        ]
    );
}

#[test]
fn hostile_texts_end_soon() {
    let texts = [
        "[".repeat(1 << 19),
        "- ".repeat(1 << 19),
        "{a: ".repeat(1 << 17),
        "? ".repeat(1 << 18),
        "a: b\n".repeat(1 << 17),
        (0..60_000).map(|i| format!("k{i}: v\n")).collect(),
        "metadata: {phase: sft}\ndatasets:\n".to_owned()
            + &(0..60_000).map(|i| format!("- {{name: n{i}}}\n")).collect::<String>(),
        dataset(&format!("splits: [{}]", (0..100_000).map(|i| format!("s{i},")).collect::<String>())) + "x: 1",
        format!("a: &a [1,1,1]\n{}", (0..26).map(|i| format!("b{i}: &b{i} [*a,*a,*a]\n")).collect::<String>()),
        "\"".repeat(1 << 19),
        "!".repeat(1 << 19),
        "x".repeat(MAX_BYTES),
    ];
    let watch = crate::system::Stopwatch::start();
    for text in texts {
        let problems = load_it(&text).unwrap_err();
        assert!(problems.len() <= MAX_PROBLEMS + 1);
    }
    assert!(watch.elapsed().as_secs() < 20, "{:?}", watch.elapsed());
}

/// Applies one change to `text` at a place chosen by `seed`.
fn mutate(text: &str, seed: u64) -> String {
    const PIECES: &[&str] = &[
        "", ":", ": ", "\n", "\t", "- ", "[", "]", "{", "}", "\"", "'", "#", "&a ", "*a", "!x ", "|", ">", "---\n",
        "...", "%", "é", "\0", "\u{2028}", "~", "-1", ".nan", "1e400", "@", "`", "? ", ",", "\r", "\u{feff}", "  ",
        "<<: ", "null",
    ];
    let mut state = seed;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    let boundary =
        |at: usize, text: &str| (at..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let mut text = text.to_owned();
    for _ in 0..1 + next(3) {
        let from = boundary(next(text.len() + 1), &text);
        let to = boundary((from + next(12)).min(text.len()), &text);
        let piece = PIECES[next(PIECES.len())];
        text.replace_range(if next(2) == 0 { from..from } else { from..to }, piece);
    }
    text
}

#[test]
fn mutated_recipes_never_panic_and_their_problems_are_in_the_text() {
    let texts: Vec<String> = good().into_iter().map(|(_, text, _)| text).collect();
    for seed in 0..10_000_u64 {
        let text = mutate(&texts[seed as usize % texts.len()], seed);
        match load_it(&text) {
            Ok(_) => {}
            Err(problems) => {
                assert!(!problems.is_empty(), "{text:?}");
                for problem in problems {
                    let span = problem.span.clone().unwrap_or(0..0);
                    assert!(span.end <= text.len() && text.get(span).is_some(), "{problem:?} {text:?}");
                    crate::cli::diagnostics::render(&problem, &text, false, 80);
                }
            }
        }
        // Whichever parser's tree is walked, the verdict and the recipe are the same.
        let plain = text.strip_prefix('\u{feff}').unwrap_or(&text);
        if ambiguous_character(plain).is_some() {
            assert!(load_it(&text).is_err(), "{text:?}");
            continue;
        }
        let recipe_of = |tree: tree::Node<'_>| check::check(&tree, &vocabulary()).0;
        let quick = yaml::parse(plain).ok().map(recipe_of);
        let parsed = spanned::parse(plain);
        let placed = parsed.root.filter(|_| parsed.faults.is_empty()).map(recipe_of);
        match (quick, placed) {
            (Some(Some(quick)), Some(Some(placed))) => assert_eq!(quick, placed, "{text:?}"),
            // libyaml is laxer about style, such as a closing bracket that is not indented.
            (Some(Some(_)), _) if load_it(&text).is_ok() => {
                assert!(parsed.faults.iter().all(|fault| fault.code == problem::SYNTAX), "{text:?}");
            }
            (None, Some(Some(_))) => assert!(load_it(&text).is_err(), "{text:?}"),
            (_, Some(Some(_))) => assert!(load_it(&text).is_ok(), "{text:?}"),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = load_it(&bytes);
        let _ = locate(&bytes, "mix_ratio of a");
    }
}
