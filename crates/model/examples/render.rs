//! Renders conversations with chat templates, for comparison with transformers.
//!
//!     render TEMPLATES CONVERSATIONS > OUT
//!
//! TEMPLATES is a folder of `*.jinja`, CONVERSATIONS a JSON list of objects with `name`, `messages`, and optionally `tools`,
//! `documents`, `add_generation_prompt`, `continue_final_message`, `kwargs`. One JSON line for each template and conversation,
//! in the order of names: `text` with `generated` (ranges of characters), or `error` with its `kind`.
#![expect(clippy::disallowed_methods, reason = "an example reads what it is given")]

use std::{
    error::Error,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use datac_model::{ChatTemplate, Conversation, Ending, Json, RenderError, Settings, TemplateError};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(templates), Some(conversations)) = (arguments.next(), arguments.next()) else {
        return Err("usage: render TEMPLATES CONVERSATIONS".into());
    };
    let cases = Json::parse(&std::fs::read_to_string(conversations)?)?;
    let cases: Vec<Case> = cases.items().unwrap_or_default().iter().map(Case::new).collect::<Result<_, _>>()?;
    let settings = Settings::at(jiff::civil::date(2026, 11, 29).at(6, 7, 5, 0));
    let mut out = BufWriter::new(std::io::stdout().lock());
    for path in templates_in(Path::new(&templates))? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let template = ChatTemplate::compile(&std::fs::read_to_string(&path)?, settings);
        for case in &cases {
            let mut line = serde_json::Map::new();
            line.insert("template".to_owned(), name.clone().into());
            line.insert("conversation".to_owned(), case.name.clone().into());
            case.render(&template, &mut line);
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

/// A conversation with all that is said about rendering it.
struct Case {
    name: String,
    conversation: Conversation,
    variables: Vec<(String, Json)>,
    asks: bool,
    open: Option<String>,
}

impl Case {
    fn new(case: &Json) -> Result<Self, Box<dyn Error>> {
        let messages = case.get("messages").ok_or("a case has no messages")?;
        let mut conversation = Conversation::of(&messages, case.get("tools"))?;
        conversation.documents = case.get("documents");
        let special = [("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>"), ("pad_token", "<pad>")];
        let mut variables: Vec<_> = special.map(|(name, token)| (name.to_owned(), Json::from(token))).into();
        variables.extend(case.get("kwargs").and_then(|kwargs| kwargs.pairs()).unwrap_or_default());
        let open = case.get("continue_final_message");
        Ok(Self {
            name: case.get("name").and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default(),
            conversation,
            variables,
            asks: case.get("add_generation_prompt").and_then(|asks| asks.as_bool()).unwrap_or_default(),
            open: open.map(|field| field.as_str().unwrap_or("content").to_owned()),
        })
    }

    fn render(
        &self,
        template: &Result<ChatTemplate, TemplateError>,
        line: &mut serde_json::Map<String, serde_json::Value>,
    ) {
        let ending = match &self.open {
            Some(field) => Ending::Open(field),
            None if self.asks => Ending::GenerationPrompt,
            None => Ending::Closed,
        };
        let failure = match template {
            Err(error) => ("compile", error.to_string()),
            Ok(template) => match template.render(&self.conversation, &self.variables, ending) {
                Ok(rendered) => {
                    let character = |byte: usize| rendered.text[..byte].chars().count();
                    let generated =
                        rendered.generated.iter().map(|range| [character(range.start), character(range.end)]);
                    line.insert(
                        "generated".to_owned(),
                        generated.map(|range| range.to_vec()).collect::<Vec<_>>().into(),
                    );
                    line.insert("text".to_owned(), rendered.text.into());
                    return;
                }
                Err(error @ RenderError::Raised(_)) => ("raised", error.to_string()),
                Err(error) => ("failed", error.to_string()),
            },
        };
        line.insert("kind".to_owned(), failure.0.into());
        line.insert("error".to_owned(), failure.1.into());
    }
}
