//! Tests what recipes may and may not say, and where faults are reported.

use std::fmt::{self, Write as _};

use proptest::{
    prelude::{ProptestConfig, any, prop},
    proptest,
};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

mod invalid;
mod texts;
mod valid;

pub(super) use invalid::bad;
use texts::{dataset, root};
pub(super) use valid::good;

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
        ..Vocabulary::default()
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
        ($($name:literal),*) => { [$(($name, include_str!(concat!("../../../../config/data/posttrain/", $name, ".yaml")))),*] };
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
        writeln!(shown, "{name} -> {}", recipe.outputs(&path).stem()).unwrap();
        for (leaf, value) in leaves::settings(&recipe).iter() {
            writeln!(shown, "  {leaf} = {value}").unwrap();
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
fn every_code_but_that_of_collisions_is_tested() {
    let mut codes: Vec<&str> =
        bad().iter().flat_map(|(_, text, _)| load_it(text).unwrap_err()).map(|p| p.code).collect();
    codes.extend(load_it(b"a: \xff").unwrap_err().iter().map(|p| p.code));
    codes.extend(load_it(vec![b'#'; MAX_BYTES + 1]).unwrap_err().iter().map(|p| p.code));
    codes.extend(load_it("a: b\n".repeat(200)).unwrap_err().iter().map(|p| p.code));
    codes.extend(load("a:b.yaml", root("").as_bytes(), &vocabulary()).unwrap_err().iter().map(|p| p.code));
    let untested: Vec<_> = CODES.iter().filter(|(code, _)| !codes.contains(code)).map(|(code, _)| *code).collect();
    // Those of `datac.toml` have tests of their own.
    assert_eq!(untested, [problem::COLLISION, problem::NOT_TOML, problem::QUANTITY]);
}

#[test]
fn bytes_that_are_not_utf8_are_placed() {
    let problems = load_it(b"metadata:\n  phase: s\xfft\n").unwrap_err();
    assert_eq!((problems[0].line, problems[0].column, problems[0].code), (2, 11, "E0102"));
}

/// The value of a scalar or of a whole text, in a form that both parsers can be converted to.
#[derive(Debug, PartialEq)]
enum Resolved {
    Null,
    Bool(bool),
    Int(i128),
    /// The bits of a float, so that NaN equals itself; YAML has a single NaN.
    Float(u64),
    Text(String),
    List(Vec<Resolved>),
    Map(Vec<(String, Resolved)>),
}

impl Resolved {
    fn float(value: f64) -> Self {
        Self::Float(if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() })
    }

    /// Returns what this program reads; `None` if it refused something.
    fn here(node: &tree::Node<'_>) -> Option<Self> {
        Some(match &node.value {
            tree::Value::Scalar(scalar, text) => match scalar {
                tree::Scalar::Null => Self::Null,
                tree::Scalar::Bool(value) => Self::Bool(*value),
                tree::Scalar::Int(value) => Self::Int(*value),
                tree::Scalar::Float(value) => Self::float(*value),
                tree::Scalar::Date | tree::Scalar::Text => Self::Text(text.to_string()),
            },
            tree::Value::List(items) => Self::List(items.iter().map(Self::here).collect::<Option<_>>()?),
            tree::Value::Map(entries) => {
                let entry =
                    |(key, node): &(tree::Key<'_>, tree::Node<'_>)| Some((key.name.to_string(), Self::here(node)?));
                Self::Map(entries.iter().map(entry).collect::<Option<_>>()?)
            }
            tree::Value::Refused => return None,
        })
    }
}

/// The oracle: what `serde_yaml` reads.
impl<'de> Deserialize<'de> for Resolved {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Oracle)
    }
}

struct Oracle;

impl<'de> Visitor<'de> for Oracle {
    type Value = Resolved;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar, a list or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Resolved, E> {
        Ok(Resolved::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Resolved, E> {
        Ok(Resolved::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Resolved, E> {
        Ok(Resolved::Int(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Resolved, E> {
        Ok(Resolved::Int(value.into()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Resolved, E> {
        Ok(Resolved::Int(i128::try_from(value).unwrap_or(i128::MAX)))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Resolved, E> {
        Ok(Resolved::Int(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Resolved, E> {
        Ok(Resolved::float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Resolved, E> {
        Ok(Resolved::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Resolved, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Resolved::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Resolved, A::Error> {
        let mut entries = Vec::new();
        // A key is read as it is spelled, as a `String`.
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Resolved::Map(entries))
    }
}

/// Returns what both parsers read `text` as; `None` if this program refuses a part of it, or the oracle all of it.
fn read_twice(text: &str) -> (Option<Resolved>, Option<Resolved>) {
    let parsed = yaml::parse(text);
    let here = parsed.root.as_ref().filter(|_| parsed.faults.is_empty()).and_then(Resolved::here);
    (here, serde_yaml::from_str(text).ok())
}

#[test]
fn recipes_are_read_as_serde_yaml_reads_them() {
    for (name, text, _) in good() {
        let (here, there) = read_twice(text.strip_prefix('\u{feff}').unwrap_or(&text));
        assert!(here.is_some(), "{name}");
        assert_eq!(here, there, "{name}");
    }
}

#[test]
fn scalars_resolve_as_in_serde_yaml() {
    let words = "~ null Null NULL nULL true True TRUE tRUE false yes no on 0 -0 +0 +1 007 -007 +00 00 0x1F -0x1f +0x1F 0X1F \
        0x 0x+1 0x-1 -0x-1 0xg 0o17 -0o17 0o8 0b11 -0b11 +0b2 1_000 1. .5 -.5 +.5 . -. 1e3 +1e-3 1e999 -1e999 0e0 00.5 \
        .inf -.INF +.Inf .iNF .nan .NaN -.nan +.nan nan inf -inf infinity --1 +-1 -+1 ++1 - + e5 1e 1% a-b 2024-01-01 \
        12:30 ...a 18446744073709551615 18446744073709551616 -9223372036854775808 -9223372036854775809 \
        170141183460469231731687303715884105728 -170141183460469231731687303715884105728 \
        -170141183460469231731687303715884105729 340282366920938463463374607431768211455 \
        340282366920938463463374607431768211456 0xffffffffffffffffffffffffffffffff 0x100000000000000000000000000000000";
    for word in words.split(' ').filter(|word| !word.is_empty()).chain([""]) {
        let (here, there) = read_twice(&format!("k: {word}\n"));
        assert_eq!(here, there, "{word}");
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
            "y/b.yaml:2:10: `x/a_b.yaml` also writes `sft_a_b_train.jsonl` [E0132]; rename one of the two files, or change its phase",
            "z/A_B.yml:2:10: `x/a_b.yaml` also writes `sft_A_B_train.jsonl` [E0132]; rename one of the two files, or change its phase",
        ]
    );
}

#[test]
fn hostile_texts_end() {
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
    // A check whose time grew with the square of a text, or faster, would not end within a test run.
    for text in texts {
        let problems = load_it(&text).unwrap_err();
        assert!(problems.len() <= MAX_PROBLEMS + 1);
    }
}

/// Applies one change to `text`, at a position chosen by `seed`.
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
    let mut alike = 0;
    for seed in 0..10_000_u64 {
        let text = mutate(&texts[seed as usize % texts.len()], seed);
        let loaded = load_it(&text);
        let accepted = loaded.is_ok();
        match loaded {
            Ok(_) => {}
            Err(problems) => {
                assert!(!problems.is_empty(), "{text:?}");
                for problem in problems {
                    let span = problem.span.clone().unwrap_or(0..0);
                    assert!(span.end <= text.len() && text.get(span).is_some(), "{problem:?} {text:?}");
                }
            }
        }
        // Whatever is accepted means the same to `serde_yaml`. Only other directives than `%YAML 1.1` and `1.2`, and
        // control characters in comments, are accepted by this parser alone.
        if accepted {
            let (here, there) = read_twice(text.strip_prefix('\u{feff}').unwrap_or(&text));
            assert!(there.is_none() || here == there, "{text:?}");
            alike += usize::from(there.is_some());
        }
    }
    assert!(alike > 200, "{alike}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = load_it(&bytes);
        let setting = crate::leaf::Setting::MixRatio;
        let _ = locate(&bytes, &crate::leaf::Leaf::Dataset { dataset: "a".to_owned(), setting });
    }

    /// Signs, digits, bases, exponents and the words of YAML, in any order.
    #[test]
    fn words_resolve_as_in_serde_yaml(word in "([-+.0-9xobe_a-f~]{0,8}|[-+]?(0[xob])?[0-9]{0,40}|[-+]?[0-9]{0,3}[.]?[0-9]{0,3}([eE][-+]?[0-9]{1,3})?)") {
        let (here, there) = read_twice(&format!("k: {word}\n"));
        // `- ` begins a list, `---` a document, and so on, which one of the parsers may refuse.
        if let (Some(here), Some(there)) = (here, there) {
            proptest::prop_assert_eq!(here, there);
        }
    }
}
