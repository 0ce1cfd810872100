//! Renders conversations with chat templates, for comparison with transformers.
//!
//!     render TEMPLATES CONVERSATIONS MODEL > OUT
//!
//! TEMPLATES is a folder of `*.jinja`, CONVERSATIONS a JSON list of objects with `name`, `messages`, and optionally `tools`,
//! `documents`, `add_generation_prompt`, `continue_final_message`, `kwargs`; MODEL is a folder with `tokenizer.json` and
//! `tokenizer_config.json`.
//!
//! One JSON line for each template and conversation, in the order of names: `text` with `generated` (ranges of characters) and
//! `ids`, or `error` with its `kind`. Of a conversation that ends, also `mask` (a digit for each id) with `runs` (text, reason,
//! message), or `refused`.
#![expect(clippy::disallowed_methods, reason = "an example reads what it is given")]

use std::{
    error::Error,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use datac_model::{
    ChatTemplate, Conversation, Ending, Json, Masker, Model, RenderError, Rules, Run, Settings, TemplateError,
    TemplateFiles, Templates, Tokenizer, TokenizerFile,
};

type Line = serde_json::Map<String, serde_json::Value>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(templates), Some(conversations), Some(folder)) = (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: render TEMPLATES CONVERSATIONS MODEL".into());
    };
    let folder = Path::new(&folder);
    let tokenizer = TokenizerFile::read(&std::fs::read_to_string(folder.join("tokenizer.json"))?)?;
    let config = std::fs::read_to_string(folder.join("tokenizer_config.json"))?;
    let tokens = Templates::read(TemplateFiles { tokenizer_config: Some(&config), ..TemplateFiles::default() })?;
    let cases = Json::parse(&std::fs::read_to_string(conversations)?)?;
    let cases: Vec<Case> = cases.items().unwrap_or_default().iter().map(Case::new).collect::<Result<_, _>>()?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    for path in templates_in(Path::new(&templates))? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let source = std::fs::read_to_string(&path)?;
        let usual = model(&source, &tokens, &[], &tokenizer);
        for case in &cases {
            let mut line = Line::new();
            line.insert("template".to_owned(), name.clone().into());
            line.insert("conversation".to_owned(), case.name.clone().into());
            let other = (!case.arguments.is_empty()).then(|| model(&source, &tokens, &case.arguments, &tokenizer));
            match other.as_ref().unwrap_or(&usual) {
                Ok(model) => case.render(model, &mut line),
                Err(error) => {
                    line.insert("kind".to_owned(), "compile".into());
                    line.insert("error".to_owned(), error.to_string().into());
                }
            }
            serde_json::to_writer(&mut out, &line)?;
            out.write_all(b"\n")?;
        }
    }
    Ok(out.flush()?)
}

fn templates_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let paths = std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jinja"));
    paths.sort();
    Ok(paths)
}

/// What looks like a control token in the source of a template.
fn looks_special(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (open, close) in [("<|", "|>"), ("<\u{ff5c}", "\u{ff5c}>"), ("<", "_of_turn>"), ("<", "turn|>"), ("</", "s>")] {
        let tokens = source.split(open).skip(1).filter_map(|rest| rest.split_once(close));
        let tokens = tokens.filter(|(name, _)| name.len() < 30 && !name.contains(char::is_whitespace));
        found.extend(tokens.map(|(name, _)| format!("{open}{name}{close}")));
    }
    found.sort();
    found.dedup();
    found
}

/// A conversation with all that is said about rendering it.
struct Case {
    name: String,
    conversation: Conversation,
    arguments: Vec<(String, Json)>,
    asks: bool,
    open: Option<String>,
}

impl Case {
    fn new(case: &Json) -> Result<Self, Box<dyn Error>> {
        let messages = case.get("messages").ok_or("a case has no messages")?;
        let mut conversation = Conversation::of(&messages, case.get("tools"))?;
        conversation.documents = case.get("documents");
        let open = case.get("continue_final_message");
        Ok(Self {
            name: case.get("name").and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default(),
            conversation,
            arguments: case.get("kwargs").and_then(|kwargs| kwargs.pairs()).unwrap_or_default(),
            asks: case.get("add_generation_prompt").and_then(|asks| asks.as_bool()).unwrap_or_default(),
            open: open.map(|field| field.as_str().unwrap_or("content").to_owned()),
        })
    }

    fn render(&self, model: &Model<&TokenizerFile>, line: &mut Line) {
        if let Err((kind, error)) = self.try_render(model, line) {
            line.insert("kind".to_owned(), kind.into());
            line.insert("error".to_owned(), error.into());
        }
    }

    fn try_render(&self, model: &Model<&TokenizerFile>, line: &mut Line) -> Result<(), (&'static str, String)> {
        let ending = match &self.open {
            Some(field) => Ending::Open(field),
            None if self.asks => Ending::GenerationPrompt,
            None => Ending::Closed,
        };
        let rendered = model.masker().render(&self.conversation, ending).map_err(|error| match error {
            RenderError::Raised(message) => ("raised", message),
            error => ("failed", error.to_string()),
        })?;
        let ids = model.tokenizer().encode_placed(&rendered.text).map_err(|error| ("encode", error.to_string()))?.ids;
        let character = |byte: usize| rendered.text[..byte].chars().count();
        let generated = rendered.generated.iter().map(|range| vec![character(range.start), character(range.end)]);
        line.insert("generated".to_owned(), generated.collect::<Vec<_>>().into());
        line.insert("ids".to_owned(), ids.into());
        if ending == Ending::Closed {
            match model.encode(&self.conversation, &Rules::default()) {
                Ok(encoded) => {
                    let mask: String = encoded.mask().iter().map(|trained| char::from(b'0' + trained)).collect();
                    line.insert("mask".to_owned(), mask.into());
                    let text = &encoded.masked.text;
                    let run = |run: &Run| serde_json::json!([text[run.bytes.clone()], run.reason.name(), run.message]);
                    line.insert("runs".to_owned(), encoded.masked.runs.iter().map(run).collect());
                }
                Err(error) => {
                    line.insert("refused".to_owned(), error.to_string().into());
                }
            }
        }
        line.insert("text".to_owned(), rendered.text.into());
        Ok(())
    }
}

fn model<'t>(
    source: &str,
    tokens: &Templates,
    arguments: &[(String, Json)],
    tokenizer: &'t TokenizerFile,
) -> Result<Model<&'t TokenizerFile>, TemplateError> {
    let settings = Settings::at(jiff::civil::date(2026, 11, 29).at(6, 7, 5, 0));
    let template = ChatTemplate::compile(source, settings)?;
    // Templates are of all models: what looks like a control token is one in its own model.
    let mut special: Vec<String> = tokenizer.vocabulary().special().map(|token| token.text.clone()).collect();
    special.extend(looks_special(source));
    let masker = Masker::new(template, tokens.variables(arguments.iter().cloned()), special);
    Ok(Model::new(tokenizer, masker))
}
