//! Which converter reads a source.

use super::{Converter, Doubt, by_name, meaning, shared::spelling::INPUT};
use crate::{
    row::is_called,
    sample::{SampleKind, Slot},
    survey::{Survey, Types},
};

/// A source that no converter can be chosen for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChooseError {
    /// No converter has the name the recipe gives.
    #[error("unknown converter `{name}`; {} converters: {}", kind.name(), list(converters))]
    Unknown {
        /// The name.
        name: String,
        /// The kind of sample the recipe wants.
        kind: SampleKind,
        /// The converters of that kind.
        converters: Vec<&'static str>,
    },
    /// The recipe names a converter that makes another kind of sample.
    #[error(
        "converter `{name}` makes {} samples, but the phase needs {} samples ({})",
        makes.name(), kind.name(), list(converters)
    )]
    WrongKind {
        /// The name.
        name: &'static str,
        /// The kind it makes.
        makes: SampleKind,
        /// The kind of sample the recipe wants.
        kind: SampleKind,
        /// The converters of that kind.
        converters: Vec<&'static str>,
    },
    /// No row of the source can be read.
    #[error("no row of {} can be read", called(repo))]
    NoRows {
        /// The source.
        repo: String,
    },
    /// No converter of the wanted kind reads such rows.
    #[error("no {} converter matches the columns {} of {}", kind.name(), list(columns), called(repo))]
    NoneFits {
        /// The source.
        repo: String,
        /// The kind of sample the recipe wants.
        kind: SampleKind,
        /// The columns of the source.
        columns: Vec<String>,
        /// A column that should be a list of messages by its name, and holds something else.
        odd: Option<&'static str>,
        /// A column that holds dialogues written down as texts.
        spoken: Option<&'static str>,
        /// The converter that comes nearest, and the columns that it lacks.
        nearest: Option<Box<(&'static str, Vec<&'static str>)>>,
        /// What could be the parts of a sample.
        likely: Box<Likely>,
        /// The kinds of sample that converters make of such rows.
        others: Box<[SampleKind]>,
    },
    /// Several converters of the wanted kind read such rows.
    #[error(
        "several {} converters match the columns {} of {}: {}",
        kind.name(), list(columns), called(repo), read(converters, *rows)
    )]
    Ambiguous {
        /// The source.
        repo: String,
        /// The kind of sample the recipe wants.
        kind: SampleKind,
        /// The converters that fit, each with how many rows it reads.
        converters: Vec<(&'static str, u32)>,
        /// How many rows were looked at.
        rows: u32,
        /// The columns of the source.
        columns: Vec<String>,
    },
    /// Several columns could fill a slot of the only converter that reads such rows.
    #[error(
        "several columns of {} could be the `{}` of `{converter}`: {}",
        called(repo), doubt.slot.name(), list(&doubt.columns)
    )]
    Doubtful {
        /// The source.
        repo: String,
        /// The converter.
        converter: &'static str,
        /// What is not clear.
        doubt: Doubt,
    },
}

/// What in the columns of a source could be the parts of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Likely {
    /// The columns that could fill the slots which a sample needs, as far as there are so many.
    fills: Vec<(Slot, String)>,
    /// A column that holds objects, in which the parts may be.
    object: Option<String>,
}

impl ChooseError {
    /// Returns what to write into the entry of the dataset.
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown { .. } | Self::WrongKind { .. } => {
                "name one of them, or none: it is chosen by the rows".to_owned()
            }
            Self::NoRows { .. } => {
                "a row is a JSON object, in a line or in one array, without comments and with its texts in \
                                    double quotes; `datac inspect` shows what there is"
                    .to_owned()
            }
            Self::Ambiguous { converters, .. } => {
                let each: Vec<String> = converters.iter().map(|(name, _)| format!("`converter: {name}`")).collect();
                format!("write {}", each.join(" or "))
            }
            Self::Doubtful { doubt, .. } => format!("say which it is: {}", mapping(&doubt.fills)),
            Self::NoneFits { kind, columns, odd, spoken, nearest, likely, others, .. } => {
                let Likely { fills, object } = &**likely;
                let mut hints = Vec::new();
                if columns.first().is_some_and(|name| name.starts_with("sep=")) {
                    return "the first line, `sep=…`, tells Excel what is between fields, and is taken for the header: remove it"
                        .to_owned();
                }
                if let Some(column) = odd {
                    hints.push(format!(
                        "`{column}` is not a list of messages, which are objects with `role` and `content`, or `from` and `value`"
                    ));
                }
                if let Some(column) = spoken {
                    hints.push(format!(
                        "`{column}` holds dialogues written down as texts: write `converter: transcript`"
                    ));
                }
                if let Some((name, lacks)) = nearest.as_deref() {
                    hints.push(format!("`{name}` comes nearest, and lacks {}", list(lacks)));
                }
                if fills.len() == Slot::needed_by(*kind).len() {
                    hints.push(format!("say what the columns are, for example {}", mapping(fills)));
                } else if let Some(column) = object {
                    let (column, slot) = (column.escape_debug(), Slot::needed_by(*kind)[0].name());
                    hints.push(format!(
                        "`{column}` holds objects: say what is in them by its path, such as `columns: {{ {slot}: {column}.NAME }}`"
                    ));
                }
                if hints.is_empty() && !others.is_empty() {
                    let kinds: Vec<&str> = others.iter().map(|kind| kind.name()).collect();
                    hints.push(format!("such rows make {} samples: see `phase`", kinds.join(" or ")));
                }
                if hints.is_empty() {
                    hints.push("`docs/rows.md` lists the columns of each converter".to_owned());
                }
                hints.join("; ")
            }
        }
    }
}

/// A mapping of columns as a recipe has it.
fn mapping(fills: &[(Slot, String)]) -> String {
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let entry = |(slot, name): &(Slot, String)| match plain(name) {
        true => format!("{}: {name}", slot.name()),
        false => format!("{}: {name:?}", slot.name()),
    };
    format!("`columns: {{ {} }}`", fills.iter().map(entry).collect::<Vec<_>>().join(", "))
}

/// A source by the name that decides; files of one's own have none.
fn called(repo: &str) -> String {
    if repo.is_empty() { "the local files".to_owned() } else { format!("`{repo}`") }
}

fn list(words: &[impl AsRef<str>]) -> String {
    const SHOWN: usize = 20;
    if words.is_empty() {
        return "(none)".to_owned();
    }
    let mut quoted: Vec<_> =
        words.iter().take(SHOWN).map(|word| format!("`{}`", word.as_ref().escape_debug())).collect();
    if words.len() > SHOWN {
        quoted.push(format!("and {} more", words.len() - SHOWN));
    }
    quoted.join(", ")
}

/// Converters with how many rows each reads; without the numbers where each reads all.
fn read(converters: &[(&str, u32)], rows: u32) -> String {
    let are_all = converters.iter().all(|(_, read)| *read == rows);
    let each = |(name, read): &(&str, u32)| match are_all {
        true => format!("`{name}`"),
        false => format!("`{name}` ({read} of {rows} rows)"),
    };
    converters.iter().map(each).collect::<Vec<_>>().join(", ")
}

/// The converter for a source: the one named, else the repository's, else the one that makes most of its rows.
///
/// Only converters that make the wanted `kind` are considered. Repository ids are compared without regard to case, as
/// the Hub does. Of several that read the surveyed rows the one of the highest [rank](Converter::rank) is chosen, unless
/// one below it reads rows that it does not.
pub fn choose(
    explicit: Option<&str>,
    repo: &str,
    kind: SampleKind,
    survey: &Survey,
) -> Result<&'static dyn Converter, ChooseError> {
    let of_kind: Vec<_> = super::all().filter(|converter| converter.kind() == kind).collect();
    let names = |converters: &[&'static dyn Converter]| converters.iter().map(|converter| converter.name()).collect();
    if let Some(name) = explicit {
        return match by_name(name) {
            Some(converter) if converter.kind() == kind => Ok(converter),
            Some(converter) => Err(ChooseError::WrongKind {
                name: converter.name(),
                makes: converter.kind(),
                kind,
                converters: names(&of_kind),
            }),
            None => Err(ChooseError::Unknown { name: name.to_owned(), kind, converters: names(&of_kind) }),
        };
    }
    let is_repos_own = |converter: &&dyn Converter| converter.repos().iter().any(|id| id.eq_ignore_ascii_case(repo));
    if let Some(converter) = of_kind.iter().copied().find(is_repos_own) {
        return Ok(converter);
    }
    if survey.rows == 0 {
        return Err(ChooseError::NoRows { repo: repo.to_owned() });
    }
    let alike: Vec<Survey> = survey.alike().collect();
    let reading = of_kind.iter().map(|converter| (*converter, rows_read(*converter, &alike)));
    let fitting: Vec<(&'static dyn Converter, u32)> = reading.filter(|(_, rows)| *rows > 0).collect();
    let (repo, columns) = (repo.to_owned(), survey.names().into_iter().map(str::to_owned).collect());
    let Some(highest) = fitting.iter().map(|(converter, _)| converter.rank()).max() else {
        return Err(ChooseError::NoneFits {
            repo,
            kind,
            columns,
            odd: odd(survey).filter(|_| kind != SampleKind::Text),
            spoken: spoken(survey).filter(|_| kind == SampleKind::Conversation),
            nearest: nearest(&of_kind, survey).map(Box::new),
            likely: Box::new(Likely { fills: likely(kind, survey), object: object(survey).map(str::to_owned) }),
            others: others(kind, survey).into(),
        });
    };
    let top: Vec<_> = fitting.iter().filter(|(converter, _)| converter.rank() == highest).collect();
    // Rows that only another one reads would be lost.
    let reads_all = |best: &dyn Converter| {
        let others = || fitting.iter().filter(|(other, _)| other.name() != best.name());
        others().next().is_none()
            || alike.iter().all(|rows| best.reads(rows) > 0 || others().all(|(other, _)| other.reads(rows) == 0))
    };
    match top[..] {
        [(converter, _)] if reads_all(*converter) => match converter.doubt(survey) {
            Some(doubt) => Err(ChooseError::Doubtful { repo, converter: converter.name(), doubt }),
            None => Ok(*converter),
        },
        _ => {
            let converters = fitting.iter().map(|(converter, rows)| (converter.name(), *rows)).collect();
            Err(ChooseError::Ambiguous { repo, kind, converters, rows: survey.rows, columns })
        }
    }
}

/// How many of the surveyed rows a converter reads, asked of those of one kind at a time.
fn rows_read(converter: &dyn Converter, alike: &[Survey]) -> u32 {
    alike.iter().map(|rows| converter.reads(rows)).sum()
}

/// The converter that lacks fewest of the columns it wants, and has one of them.
fn nearest(of_kind: &[&'static dyn Converter], survey: &Survey) -> Option<(&'static str, Vec<&'static str>)> {
    let mut best: Option<(usize, usize, &'static str, Vec<&'static str>)> = None;
    for converter in of_kind {
        for set in converter.wants() {
            let wanted = set.len();
            let is_there = |name: &&str| survey.columns.iter().any(|column| is_called(&column.name, name));
            let lacks: Vec<&'static str> = set.into_iter().filter(|name| !is_there(name)).collect();
            let has = wanted - lacks.len();
            // One that lacks nothing does not read such values: what it lacks cannot be said by columns.
            if has == 0 || lacks.is_empty() {
                continue;
            }
            if best.as_ref().is_none_or(|(least, most, ..)| (lacks.len(), wanted - has) < (*least, *most)) {
                best = Some((lacks.len(), wanted - has, converter.name(), lacks));
            }
        }
    }
    best.map(|(_, _, name, lacks)| (name, lacks))
}

/// The columns that could fill the slots which a sample of `kind` needs: those of the same name, those whose names hold a word for
/// it, then those of a fitting type in their order. Which side of a pair is the better one, its type cannot tell.
fn likely(kind: SampleKind, survey: &Survey) -> Vec<(Slot, String)> {
    let mut taken: Vec<&str> = Vec::new();
    let mut fills = Vec::new();
    for slot in Slot::needed_by(kind) {
        let types = match slot {
            Slot::Label => Types::BOOLEAN.or(Types::NUMBER).or(Types::STRING),
            Slot::Completions => Types::STRINGS.or(Types::STRING),
            Slot::Labels => Types::LIST.or(Types::STRING),
            _ => Types::STRING.or(Types::OBJECTS),
        };
        let free = survey.columns.iter().filter(|column| !taken.contains(&column.name.as_str()));
        let fitting: Vec<_> =
            free.filter(|column| column.types.has(types)).map(|column| column.name.as_str()).collect();
        let find = |is_meant: &dyn Fn(&str) -> bool| fitting.iter().copied().find(|name| is_meant(name));
        let other = |name: &str| is_beside(name, kind);
        let any = |name: &str| !matches!(slot, Slot::Chosen | Slot::Rejected) && !other(name);
        let own = find(&|name| Slot::by_name(name) == Some(*slot));
        let worded = || find(&|name| !other(name) && has_word_for(*slot, name));
        let Some(column) = own.or_else(worded).or_else(|| find(&any)) else { break };
        taken.push(column);
        fills.push((*slot, column.to_owned()));
    }
    fills
}

/// Whether the name of a column holds a word for a slot.
fn has_word_for(slot: Slot, name: &str) -> bool {
    const REJECTED: &[&str] = &["reject", "dispreferred", "nonpreferred", "worse", "worst", "loser", "losing", "bad"];
    let name: String = crate::row::letters(name).map(char::from).collect();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    match slot {
        Slot::User => {
            has(&["user", "prompt", "question", "query", "instruction", "problem", "request", "human", "input"])
        }
        Slot::Assistant => {
            has(&["assistant", "response", "answer", "output", "completion", "reply", "solution", "target", "summary"])
        }
        Slot::Chosen => {
            has(&["chosen", "preferred", "accepted", "better", "best", "winner", "winning", "good"]) && !has(REJECTED)
        }
        Slot::Rejected => has(REJECTED),
        Slot::Text => has(&["text", "content", "document", "body"]),
        _ => false,
    }
}

/// Whether a column of this name stands beside a dialogue rather than being part of it.
fn is_beside(name: &str, kind: SampleKind) -> bool {
    const BESIDE: &[&str] = &[
        "url",
        "type",
        "kind",
        "source",
        "category",
        "model",
        "date",
        "time",
        "timestamp",
        "split",
        "lang",
        "language",
        "index",
        "title",
        "error",
        "method",
        "status",
        "version",
        "score",
    ];
    let is_id =
        |name: &str| is_called(name, "id") || ["_id", "-id", " id", "Id", "ID"].iter().any(|end| name.ends_with(end));
    let is_one = |names: &[&str]| names.iter().any(|known| is_called(name, known));
    is_id(name)
        || is_one(BESIDE)
        || kind != SampleKind::Text && (is_one(&INPUT[1..]) || meaning::of(name, kind).is_some())
}

/// The kinds of sample that other converters make of such rows.
fn others(kind: SampleKind, survey: &Survey) -> Vec<SampleKind> {
    let alike: Vec<Survey> = survey.alike().collect();
    let makes =
        |of: &SampleKind| super::all().any(|converter| converter.kind() == *of && rows_read(converter, &alike) > 0);
    // Prompts are told by the names of columns alone, and of such values none could be made.
    let is_none = |of: &SampleKind| *of == SampleKind::Prompt && odd(survey).is_some();
    SampleKind::ALL.into_iter().filter(|of| *of != kind && !is_none(of) && makes(of)).collect()
}

/// Returns a column that should be a list of messages by its name, and is none in any row.
fn odd(survey: &Survey) -> Option<&'static str> {
    let is_odd = |name: &&str| {
        let column = survey.column(name).filter(|column| column.filled > 0);
        column.is_some_and(|column| !column.types.has(Types::OBJECTS.or(Types::STRING)))
    };
    ["messages", "conversations"].into_iter().find(is_odd)
}

/// Returns the first column that holds objects and nothing else.
fn object(survey: &Survey) -> Option<&str> {
    let column = survey.columns.iter().find(|column| column.types == Types::OBJECT)?;
    Some(&column.name)
}

/// Returns a column that [`transcript`](super::transcript) reads, if its texts begin as transcripts do.
fn spoken(survey: &Survey) -> Option<&'static str> {
    let is_spoken = |name: &&str| survey.column(name).is_some_and(|column| column.types.has(Types::TRANSCRIPT));
    super::transcript::COLUMNS.into_iter().find(is_spoken)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{super::CONVERTERS, *};
    use crate::{
        json,
        sample::SampleKind::{Conversation, Labelled, Preference, Prompt, Stepwise, Text},
        shape::SHAPES,
    };

    fn survey(rows: &[&str]) -> Survey {
        let mut survey = Survey::default();
        rows.iter().for_each(|row| survey.add(&json::row(row).unwrap()));
        survey
    }

    fn chosen(repo: &str, kind: SampleKind, rows: &[&str]) -> Result<&'static str, ChooseError> {
        choose(None, repo, kind, &survey(rows)).map(Converter::name)
    }

    #[test]
    fn hints_say_what_helps() {
        let hint = |kind, row: &str| chosen("", kind, &[row]).unwrap_err().hint();
        for conversations in [r#"[["q","a"]]"#, r#"{"speaker":["user"],"content":["q"]}"#] {
            let told = hint(Conversation, &format!(r#"{{"conversations":{conversations}}}"#));
            assert!(told.starts_with("`conversations` is not a list of messages") && !told.contains("phase"), "{told}");
        }
        let told = hint(Conversation, r#"{"transcript":"\n\nHuman: q\n\nAssistant: a","rating":1}"#);
        assert!(told.contains("`converter: transcript`"), "{told}");
        let told = hint(Conversation, r#"{"sep=":"user","Unnamed: 1":"assistant"}"#);
        assert!(told.contains("Excel") && !told.contains("columns:"), "{told}");
    }

    #[test]
    fn columns_that_stand_beside_are_not_taken_for_parts() {
        let hint = |kind, row: &str| chosen("", kind, &[row]).unwrap_err().hint();
        for (kind, row, told) in [
            (
                Conversation,
                r#"{"id":"1","userPrompt":"q","modelReply":"a"}"#,
                "`columns: { user: userPrompt, assistant: modelReply }`",
            ),
            (
                Conversation,
                r#"{"systemPrompt":"s","frage":"q","antwort":"a"}"#,
                "`columns: { user: frage, assistant: antwort }`",
            ),
            (Conversation, r#"{"custom_id":"1","url":"u","body":{"messages":[]}}"#, "`columns: { user: body.NAME }`"),
            (
                Preference,
                r#"{"question":"q","loser":"b","winner":"a"}"#,
                "`columns: { user: question, chosen: winner, rejected: loser }`",
            ),
        ] {
            assert!(hint(kind, row).contains(told), "{}", hint(kind, row));
        }
        // Which of the two is the better one, another column says.
        let sides = r#"{"prompt":"q","response_a":"x","response_b":"y","preference":"a"}"#;
        assert!(!hint(Preference, sides).contains("columns:"), "{}", hint(Preference, sides));
        let squad = r#"{"question":"q","context":"c","answers":{"text":["a"]}}"#;
        assert!(!hint(Conversation, squad).contains("assistant: context"), "{}", hint(Conversation, squad));
    }

    #[test]
    fn the_recipes_sources_have_their_converters() {
        let alpaca = r#"{"instruction":"i","input":"","output":"o","text":"t"}"#;
        assert_eq!(chosen("tatsu-lab/alpaca", Conversation, &[alpaca]), Ok("alpaca"));
        assert_eq!(chosen("sahil2801/CodeAlpaca-20k", Conversation, &[alpaca]), Ok("code_alpaca"));
        assert_eq!(chosen("gsm8k", Conversation, &[]), Ok("gsm8k"));
        assert_eq!(chosen("OpenAI/GSM8K", Conversation, &[]), Ok("gsm8k"), "case does not count");
        assert_eq!(chosen("anthropic/hh-rlhf", Preference, &[]), Ok("hh_rlhf"));
        assert_eq!(chosen("tatsu-lab/alpaca", Prompt, &[alpaca]), Ok("prompts"));
    }

    #[test]
    fn other_sources_are_known_by_their_rows() {
        for (kind, row, name) in [
            (Conversation, r#"{"output":"o","instruction":"i"}"#, "alpaca"),
            (Conversation, r#"{"question":"q","answer":"4\n#### 4"}"#, "gsm8k"),
            (Conversation, r#"{"question":"q","answer":"a"}"#, "qa"),
            (Conversation, r#"{"Question":"q","Answer":"a"}"#, "qa"),
            (Conversation, r#"{"system_prompt":"s","question":"q","response":"r"}"#, "qa"),
            (Conversation, r#"{"instruction":"i","context":"c","response":"r","category":"c"}"#, "qa"),
            (Conversation, r#"{"problem":"p","solution":"s","answer":"4"}"#, "qa"),
            (Conversation, r#"{"input":"q","output":"a"}"#, "qa"),
            (Conversation, r#"{"id":1,"conversations":[{"from":"human","value":"q"}]}"#, "messages"),
            (Conversation, r#"{"messages":[{"role":"user","content":"q"}],"prompt":"q"}"#, "messages"),
            (Conversation, r#"{"instruction":"i","response":"r","conversations":[{}]}"#, "messages"),
            (Conversation, r#"{"instruction":"i","output":"r","messages":[]}"#, "alpaca"),
            (Conversation, r#"{"conversation":[{"input":"q","output":"a"}]}"#, "turns"),
            (Conversation, r#"{"data":["q","a"]}"#, "turns"),
            (Conversation, r#"{"prompt":{"text":"q","role":"prompter","replies":[]}}"#, "threads"),
            (Preference, r#"{"chosen":"\n\nHuman: q","rejected":"\n\nHuman: q"}"#, "hh_rlhf"),
            (Preference, r#"{"prompt":"q","chosen":"a","rejected":"b"}"#, "preference"),
            (Preference, r#"{"system":"s","question":"q","chosen":"a","rejected":"b"}"#, "preference"),
            (Preference, r#"{"chosen":[{"role":"user","content":"q"}],"rejected":[{}]}"#, "preference"),
            (Preference, r#"{"messages":[{}],"rejected_response":"b"}"#, "preference"),
            (Preference, r#"{"instruction":"q","completions":[{"response":"a","overall_score":1}]}"#, "rankings"),
            (Preference, r#"{"prompt":"q","answers":[{"answer":"a","rank":1}]}"#, "rankings"),
            (Preference, r#"{"context":[{}],"completions":[{"rank":0,"completion":[{}]}]}"#, "rankings"),
            (Labelled, r#"{"prompt":"q","completion":"a","label":false}"#, "labelled"),
            (Stepwise, r#"{"prompt":"q","completions":["a"],"labels":[true]}"#, "stepwise"),
            (Prompt, r#"{"prompt":"q"}"#, "prompts"),
            (Prompt, r#"{"instruction":"q","output":"a"}"#, "prompts"),
            (Prompt, r#"{"question":"q","answer":"4"}"#, "rlvr"),
            (Prompt, r#"{"messages":[{}],"ground_truth":"4"}"#, "rlvr"),
            (Prompt, r#"{"prompt":[{}],"reward_model":{"ground_truth":"4"}}"#, "rlvr"),
            (Conversation, r#"{"Messages":[{"role":"user","content":"q"}]}"#, "messages"),
            (Conversation, r#"{"Conversations":[{"from":"human","value":"q"}],"System":"s"}"#, "messages"),
            (Conversation, r#"{"Dialogue":["q","a"]}"#, "turns"),
            (Conversation, r#"{"User Prompt":"q","Question":"q","Answer":"a"}"#, "qa"),
            (Prompt, r#"{"Prompt":"q"}"#, "prompts"),
            (Prompt, r#"{"prompt":"q","groundTruth":"4"}"#, "rlvr"),
            (Prompt, r#"{"question":"q","input_output":"1"}"#, "rlvr"),
            (Text, r#"{"Text":"t"}"#, "text"),
            (Text, r#"{"text":"t"}"#, "text"),
            (Text, r#"{"messages":[{"role":"assistant","content":"t"}]}"#, "text"),
        ] {
            assert_eq!(chosen("a/b", kind, &[row]), Ok(name), "{row}");
        }
    }

    #[test]
    fn what_shapes_write_is_read_again() {
        for shape in SHAPES.iter().filter(|shape| !shape.is_of_tokens()) {
            let path = format!("{}/../../tests/fixtures/shapes/{}.jsonl", env!("CARGO_MANIFEST_DIR"), shape.name());
            #[expect(clippy::disallowed_methods, reason = "a test reads its fixture")]
            let fixture = String::from_utf8(std::fs::read(path).unwrap()).unwrap();
            for row in fixture.lines() {
                let kind = shape.read(row).unwrap().sample.kind();
                if let Err(error) = chosen("", kind, &[row]) {
                    panic!("{}: {error}: {row}", shape.name());
                }
            }
        }
    }

    #[test]
    fn values_decide_and_no_row_is_lost_without_a_word() {
        let plain = r#"{"question":"q","answer":"a"}"#;
        let title = "{\"question\":\"q\",\"answer\":\"#### Title\\ntext\"}";
        let number = r#"{"question":"q","answer":"so\n#### 4"}"#;
        assert_eq!(chosen("", Conversation, &[plain, plain, title]), Ok("qa"));
        assert_eq!(chosen("", Conversation, &[number, number]), Ok("gsm8k"));
        let mixed = chosen("", Conversation, &[plain, plain, number]).unwrap_err();
        assert!(
            mixed.to_string().ends_with("`gsm8k` (1 of 3 rows), `qa`") || mixed.hint().contains("gsm8k"),
            "{mixed}"
        );
        let pair = r#"{"chosen":"\n\nHuman: q","rejected":"\n\nHuman: q"}"#;
        let half = r#"{"chosen":"\n\nHuman: q","rejected":"b","prompt":"p"}"#;
        assert!(matches!(chosen("", Preference, &[pair, half]), Err(ChooseError::Ambiguous { .. })));
        for (row, name) in [
            (r#"{"instruction":"i","output":"o","messages":3}"#, "alpaca"),
            (r#"{"instruction":"i","output":"o","messages":"none"}"#, "alpaca"),
            (r#"{"messages":"[{\"role\":\"user\",\"content\":\"q\"}]"}"#, "messages"),
            (r#"{"instruction":"Say hi","output":"hi","data":["x","y"]}"#, "alpaca"),
            (r#"{"question":"q","answer":"a","turns":["x","y"]}"#, "qa"),
            (r#"{"instruction":"i","output":"o","conversation":[{"input":"q","output":"a"}]}"#, "turns"),
            (r#"{"prompt":{"text":"q"},"response":"a"}"#, "qa"),
        ] {
            assert_eq!(chosen("", Conversation, &[row]), Ok(name), "{row}");
        }
        let csv = r#"{"prompt":"","chosen":"[{\"role\":\"user\",\"content\":\"q\"}]","rejected":"[{\"role\":\"user\",\"content\":\"q\"}]"}"#;
        assert_eq!(chosen("", Preference, &[csv]), Ok("preference"));
    }

    #[test]
    fn odd_rows_at_the_beginning_do_not_decide() {
        let rows = [r#"{"_meta":{"version":2}}"#, r#"{"instruction":"i"}"#, r#"{"instruction":"i","output":"o"}"#];
        assert_eq!(chosen("", Conversation, &rows), Ok("alpaca"));
        assert!(chosen("", Conversation, &rows[..2]).is_err());
    }

    #[test]
    fn a_name_in_the_recipe_comes_first() {
        let named = |name, kind| choose(Some(name), "tatsu-lab/alpaca", kind, &Survey::default()).map(Converter::name);
        assert_eq!(named("messages", Conversation), Ok("messages"));
        assert_eq!(
            named("hh_rlhf", Conversation).unwrap_err().to_string(),
            "converter `hh_rlhf` makes preference samples, but the phase needs conversation samples \
             (`alpaca`, `code_alpaca`, `gsm8k`, `messages`, `qa`, `turns`, `threads`, `transcript`)"
        );
        assert_eq!(
            named("alpacca", Text).unwrap_err().to_string(),
            "unknown converter `alpacca`; text converters: `text`"
        );
    }

    #[test]
    fn errors_name_converters_and_columns_and_what_to_write() {
        let told = |kind, rows: &[&str]| {
            let error = chosen("", kind, rows).unwrap_err();
            format!("{error}\n{}", error.hint())
        };
        let told = [
            told(Preference, &[r#"{"q":"a","x`\n":"b"}"#]),
            told(Preference, &[r#"{"prompt":"a","good":"b","bad":"c"}"#]),
            told(Conversation, &[r#"{"frage":"a","antwort":"b"}"#]),
            told(Conversation, &[r#"{"query":"a","reponse":"b"}"#]),
            told(Conversation, &[r#"{"text":"a"}"#]),
            told(Conversation, &[r#"{"question":"a","prompt":"b","answer":"c"}"#]),
            told(Conversation, &[r#"{"messages":[{}]}"#, r#"{"instruction":"a","output":"b"}"#]),
            told(Conversation, &[r#"{"messages":[{}],"conversation":["a"]}"#]),
            told(Labelled, &[r#"{"prompt":"a","completion":"b","is good":true}"#]),
            told(Text, &[]),
        ];
        insta::assert_snapshot!(told.join("\n\n"));
    }

    #[test]
    fn a_repository_has_one_converter_per_kind() {
        let mut seen = BTreeSet::new();
        for converter in CONVERTERS {
            for repo in converter.repos() {
                assert!(seen.insert((converter.kind(), repo.to_ascii_lowercase())), "{repo}");
            }
        }
    }
}
