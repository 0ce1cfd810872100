//! How much of a text is a program.

use super::{BoundSpec, Ends, Key, Score, Scorer};

/// The `code_quality` filter.
pub(super) struct CodeQuality;

impl Scorer for CodeQuality {
    fn name(&self) -> &'static str {
        "code_quality"
    }

    fn version(&self) -> u32 {
        2
    }

    fn explain(&self) -> &'static str {
        "keeps texts that hold code"
    }

    fn bound(&self) -> BoundSpec {
        BoundSpec::Fraction(Ends {
            min: Some(Key { name: "min_code_ratio", about: "the share of code, at least" }),
            max: None,
        })
    }

    fn score(&self, text: &str) -> Score {
        Score::Fraction(code_quality(text))
    }
}

/// Marks that prose does without.
const MARKS: [&str; 29] = [
    "==", "!=", "<=", ">=", "=>", "->", "<-", "::", ":=", "&&", "||", "+=", "-=", "()", "[]", "{}", "${", "$(", "</",
    "/>", "/*", "*/", "#!", "; do", "; then", "};", "});", ") {", "<?",
];

/// Words that begin lines of programs, and hardly any line of prose that is not a sentence.
const STARTS: [&str; 28] = [
    "def",
    "fn",
    "func",
    "elif",
    "struct",
    "enum",
    "impl",
    "import",
    "package",
    "namespace",
    "#include",
    "#define",
    "sudo",
    "echo",
    "fi",
    "done",
    "esac",
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "ALTER",
    "FROM",
    "WHERE",
    "JOIN",
    "GROUP",
    "ORDER",
];

/// Returns the share of a text that is code, in [0, 1]: the characters in lines of code, of those in all lines that are
/// not blank, without the white space around lines. It is zero under 10 characters.
///
/// A line is code if one of these holds:
///
/// - it stands between lines of three backquotes or tildes;
/// - it has a mark that prose does without, a tag such as `<li>`, or a name with a round bracket directly behind it
///   (`print(`; not `word(s)`);
/// - it has a `{` and a `}` with `:`, `;` or `=` between them, begins or ends with one of them, or begins with `"key":`;
/// - it ends with `;` and has a bracket, a quote, `=`, `$`, `<` or `>`;
/// - an `=` stands behind one to six words that are names, and the line does not end with a full stop;
/// - it begins with one of the words (`STARTS`) or with `//` or `$ `, has up to 12 words, and is no sentence;
/// - it is indented, or a comment that begins with `#`, and the line before it is code;
/// - it is `key: value` without a sentence, as are half of all lines or more, and there are three of them or lines below a
///   key without a value.
pub fn code_quality(text: &str) -> f64 {
    if text.chars().nth(9).is_none() {
        return 0.0;
    }
    let is_yaml = is_yaml(text);
    let (mut all, mut code) = (0_usize, 0_usize);
    let (mut is_fenced, mut is_code_before) = (false, false);
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() {
            continue;
        }
        let characters = trimmed.chars().count();
        all += characters;
        if trimmed.starts_with("```") || trimmed.starts_with("~~~") {
            is_fenced = !is_fenced;
            is_code_before = false;
            continue;
        }
        let follows = is_code_before && (line.starts_with([' ', '\t']) || trimmed.starts_with('#'));
        is_code_before = is_fenced || follows || is_code(trimmed) || (is_yaml && is_entry(trimmed));
        if is_code_before {
            code += characters;
        }
    }
    if all == 0 { 0.0 } else { code as f64 / all as f64 }
}

/// Returns whether a line without the white space around it is code by itself.
fn is_code(line: &str) -> bool {
    MARKS.iter().any(|mark| line.contains(mark))
        || line.ends_with(['{', '}'])
        || line.starts_with(['{', '}'])
        || (line.starts_with('"') && line.contains("\":"))
        || has_block(line)
        || has_tag(line)
        || has_call(line)
        || (line.ends_with(';') && line.contains(['(', ')', '[', ']', '{', '}', '"', '\'', '=', '$', '<', '>']))
        || is_assignment(line)
        || begins_like_code(line)
}

/// Returns whether a line ends as sentences do.
fn is_sentence(line: &str) -> bool {
    line.ends_with(['.', '!', '?', ',', ':']) || line.ends_with(".\"") || line.ends_with(".)")
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

fn begins_like_code(line: &str) -> bool {
    if line.starts_with("//") || line.starts_with("$ ") {
        return true;
    }
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    let is_known = STARTS.contains(&first) || (first == "from" && line.contains(" import "));
    // A statement that ends with a colon has a body; a sentence that does has none.
    let has_body = line.ends_with(':') && matches!(first, "def" | "elif");
    let is_class = first == "class" && line.ends_with(':') && words.clone().count() == 1;
    is_class || (is_known && words.count() < 12 && (has_body || !is_sentence(line)))
}

fn has_block(line: &str) -> bool {
    let Some(open) = line.find('{') else { return false };
    let inside = &line[open..];
    inside.find('}').is_some_and(|close| inside[..close].contains([':', ';', '=']))
}

/// Returns whether there is a `<`, a letter or a `/` or `!` behind it, and a `>`.
fn has_tag(line: &str) -> bool {
    // A `<` behind the last `>` is none, and looking for a `>` behind each would take as long as the line is, for each.
    let Some((mut rest, _)) = line.rsplit_once('>') else { return false };
    while let Some(open) = rest.find('<') {
        rest = &rest[open + 1..];
        if rest.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/' || first == '!') {
            return true;
        }
    }
    false
}

/// Returns whether a round bracket stands directly behind a name. Endings in brackets, as in `word(s)`, are none.
fn has_call(line: &str) -> bool {
    const ENDINGS: [&str; 8] = ["s", "es", "d", "ed", "ly", "al", "er", "ing"];
    line.match_indices('(').any(|(at, _)| {
        let is_behind_name = line[..at].chars().next_back().is_some_and(is_name);
        let is_whole = |behind: &str| behind.is_empty() || behind.starts_with(')');
        let is_ending = |ending: &&str| line[at + 1..].strip_prefix(*ending).is_some_and(is_whole);
        is_behind_name && !ENDINGS.iter().any(is_ending)
    })
}

/// Returns whether the first `=` stands behind one to six names, and before something.
fn is_assignment(line: &str) -> bool {
    let Some((before, after)) = line.split_once('=') else { return false };
    let is_named = |word: &str| word.chars().all(|c| is_name(c) || ".$[](),'\"*&:@%-".contains(c));
    let words: Vec<&str> = before.split_whitespace().collect();
    let begins = before.starts_with(|first: char| first.is_ascii_alphabetic() || "_$@*".contains(first));
    begins
        && !line.ends_with('.')
        && (1..=6).contains(&words.len())
        && words.iter().all(|word| is_named(word))
        && !after.trim().is_empty()
}

/// Returns whether a line is a key with a value, or with none.
fn is_entry(line: &str) -> bool {
    let line = line.trim_start_matches("- ");
    let Some((key, value)) = line.split_once(':') else { return false };
    let is_key = !key.is_empty() && key.chars().all(|c| is_name(c) || c == '-' || c == '.');
    let is_value = value.is_empty() || value.starts_with(' ');
    is_key && key.starts_with(|c: char| c.is_ascii_lowercase()) && is_value && !is_sentence(value)
}

/// Returns whether half of the lines or more are entries, and there are three, or one without a value has others below it.
fn is_yaml(text: &str) -> bool {
    let (mut lines, mut entries, mut is_nested, mut opened) = (0_u32, 0_u32, false, None);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let depth = line.len() - line.trim_start().len();
        is_nested |= opened.is_some_and(|above| depth > above);
        let is_entry = is_entry(line.trim());
        opened = (is_entry && line.trim_end().ends_with(':')).then_some(depth);
        lines += 1;
        entries += u32::from(is_entry);
    }
    2 * entries >= lines && entries > 0 && (entries >= 3 || is_nested)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::*;

    const CODE: &[(&str, &str)] = &[
        ("python", "import os\n\ndef walk(p):\n    for f in os.listdir(p):\n        print(f)\n"),
        ("class", "class Ferry:\n    def __init__(self, name):\n        self.name = name\n"),
        ("sql", "SELECT name FROM ships WHERE draft > 7 ORDER BY name;"),
        ("shell", "for f in *.txt; do mv \"$f\" \"${f%.txt}.md\"; done"),
        ("commands", "sudo apt install cargo\necho done >> log\n$ make all"),
        ("html", "<ul>\n  <li>one</li>\n  <li>two</li>\n</ul>"),
        ("css", ".a{color:red;margin:0 auto}"),
        ("css lines", "body {\n  margin: 0;\n  color: red;\n}"),
        ("yaml", "name: x\nsteps:\n  - run: make\n"),
        ("flat yaml", "name: x\nversion: 2\nlicense: MIT\n"),
        ("json", "{\"name\": \"x\",\n \"steps\": [1, 2]}"),
        ("r", "x <- c(1,2,3)\nmean(x)"),
        ("haskell", "fib n = if n < 2 then n else fib (n-1) + fib (n-2)"),
        ("types", "area :: Shape -> Double\narea (Circle r) = pi * r ^ 2"),
        ("rust", "fn main() {\n    println!(\"hi\");\n}"),
        ("c", "#include <stdio.h>\nint main(void) { return 0; }"),
        ("go", "package main\n\nfunc add(a int, b int) int {\n\treturn a + b\n}"),
        ("javascript", "const add = (a, b) => a + b;\nconsole.log(add(1, 2));"),
        ("one call", "print(sum(range(10)))"),
    ];

    const PROSE: &[&str] = &[
        "The ferry leaves at nine and takes two hours to cross the sound.",
        "    The tide came in,\n    the tide went out;\n    none of us knew\n    what it was about.",
        "Ships (old ones), boats (new ones), and rafts (made of logs); all of them (even the small) float; none (yet) fly.",
        "He said: \"return the class to the museum; import taxes are void, and the function of print is to inform.\"",
        "1) eggs; 2) milk; 3) flour; 4) salt; (buy fresh)",
        "Import taxes rose, and from then on no class of ship paid for the return.",
        "Choose the ship(s) that you like best; the rest stay(s) here.",
        "Dear Ann: thank you for the letter: it came today.",
        "Answer: Paris.\nReason: it is the capital.",
        "Let x be the number of boats. Then twice x is the number of oars.",
        "Er sagte: „Komm (bald) zurück“; sie lachte.",
        "这只敏捷的棕色狐狸跳过了那只懒狗。",
    ];

    #[test]
    fn code_is_told_from_prose_in_many_languages() {
        for (language, text) in CODE {
            let score = code_quality(text);
            assert!(score > 0.6, "{language}: {score}");
        }
        for text in PROSE {
            let score = code_quality(text);
            assert!(score == 0.0, "{text:?}: {score}");
        }
    }

    #[test]
    fn the_score_is_the_share_of_code() {
        let text = "Use a loop:\n\n```python\nfor i in range(3):\n    print(i)\n```\nThat prints three lines.";
        let code = "for i in range(3):".len() + "print(i)".len();
        let all = "Use a loop:```python```That prints three lines.".len() + code;
        assert_eq!(code_quality(text), code as f64 / all as f64);
        // An indented line is code below code alone, and so is a comment.
        assert_eq!(code_quality("x = call(1)\n    more words\n# why not"), 1.0);
        assert_eq!(code_quality("some words\n    more words\n# why not"), 0.0);
        assert_eq!(
            (code_quality(""), code_quality("f(x);g();"), code_quality("\n\n\n\n\n\n\n\n\n\n\n\n")),
            (0.0, 0.0, 0.0)
        );
    }

    #[test]
    fn long_lines_take_no_longer_than_they_are() {
        for part in ["<a", "(", "a(s", "<1>"] {
            assert!(code_quality(&part.repeat(200_000)) <= 1.0, "{part}");
        }
    }

    proptest! {
        #[test]
        fn tags_and_calls_are_found_as_by_looking_at_each(text in "[<>a!/ ()sed]{0,20}") {
            let tag = text.match_indices('<').any(|(at, _)| {
                let rest = &text[at + 1..];
                rest.starts_with(['a', 's', 'e', 'd', '/', '!']) && rest.contains('>')
            });
            prop_assert!(has_tag(&text) == tag, "{}", text);
            let call = text.match_indices('(').any(|(at, _)| {
                let ending = text[at + 1..].split(')').next().unwrap_or_default();
                let is_behind_name = text[..at].ends_with(is_name);
                is_behind_name && !matches!(ending, "s" | "es" | "d" | "ed")
            });
            prop_assert!(has_call(&text) == call, "{}", text);
        }

        #[test]
        fn stays_between_zero_and_one(text in "\\PC{0,80}|[\n\t a;:(){}=<>`-]{0,80}") {
            let score = code_quality(&text);
            prop_assert!((0.0..=1.0).contains(&score), "{}", score);
        }
    }
}
