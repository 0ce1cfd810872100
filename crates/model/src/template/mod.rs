//! Chat templates, rendered byte for byte as transformers 5.23 with jinja2 3.1.6 renders them.
//!
//! [`ChatTemplate::compile`] sets up minijinja as transformers sets up jinja2 (`utils/chat_template_utils.py`): blocks trimmed,
//! no escaping, undefined values that print nothing, values printed as Python prints them, `tojson`, `raise_exception` and
//! `strftime_now` as transformers defines them, loop controls, and `{% generation %}`.

mod choice;
mod marks;

use std::{borrow::Cow, error::Error as _, ops::Range};

pub use choice::{ChoiceError, TemplateFiles, Templates};
pub use jiff::civil::DateTime;
use minijinja3::{
    AutoEscape, Environment, ErrorKind, OutputSpan, UndefinedBehavior, syntax::SyntaxConfig, value::Value,
};
use thiserror::Error;

use crate::{
    Conversation, Json,
    conversation::REASONING,
    python::{
        filters, methods,
        strftime::strftime,
        text,
        value::{Markup, Nothing},
    },
};
use marks::Marks;

/// What a template may not decide for itself.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The time that `strftime_now` writes. A build must not depend on the day it runs, so it is given.
    pub now: DateTime,
    /// How much work one rendering may be, in instructions of minijinja; 64 bytes written cost one more. Templates are programs
    /// of strangers.
    pub fuel: u64,
}

impl Settings {
    /// Settings with this time, and fuel for about a second of work.
    pub fn at(now: DateTime) -> Self {
        Self { now, fuel: 20_000_000 }
    }
}

/// How deeply a template may call itself: macros, recursive loops and blocks within each other.
const MAX_RECURSION: usize = 120;

/// A compiled chat template. Rendering needs only `&self`, and may run on many threads at once.
///
/// ```
/// use datac_model::{ChatTemplate, Conversation, Ending, Message, Settings};
///
/// let source = "{% for m in messages %}[{{ m.role }}]{% generation %}{{ m.content }}{% endgeneration %};{% endfor %}";
/// let template = ChatTemplate::compile(source, Settings::at(jiff::civil::date(2026, 1, 1).at(0, 0, 0, 0)))?;
/// let conversation = Conversation::new(vec![Message::new("user", "hi")]);
/// let rendered = template.render(&conversation, &[], Ending::Closed)?;
/// assert_eq!(rendered.text, "[user]hi;");
/// assert_eq!(rendered.generated, [6..8]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// The same template, whose generation blocks put marks around what they write; only for [`Marks::Captured`].
    marking: Option<Environment<'static>>,
    /// The same template, for which `safe` text is like any other, once without and once with marks around such text; only if
    /// it uses that filter.
    safe: Option<[Environment<'static>; 2]>,
    source: String,
    marks: Marks,
}

/// Why a template cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The source is no valid template.
    #[error("the chat template is invalid{}: {message}", .line.map(|line| format!(" at line {line}")).unwrap_or_default())]
    Syntax {
        /// What is wrong.
        message: String,
        /// The line, from 1.
        line: Option<usize>,
    },
}

/// How the text ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending<'a> {
    /// After the last message.
    #[default]
    Closed,
    /// With what begins the model's answer: `add_generation_prompt`.
    GenerationPrompt,
    /// Inside of the last message, behind the text of this field: `continue_final_message`.
    Open(&'a str),
}

/// A conversation as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// What stands in generation blocks: ranges of bytes of `text`, in order, apart, none of them empty. Always empty if the
    /// template has no such blocks, or the text ends inside of the last message.
    pub generated: Vec<Range<usize>>,
}

/// Why a template refuses a conversation.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RenderError {
    /// The conversation has no message.
    #[error("the conversation has no message")]
    Empty,
    /// The template called `raise_exception`, with this message.
    #[error("{0}")]
    Raised(String),
    /// The template does something that fails with this conversation, such as adding text to a missing value.
    #[error("{message}{}", .line.map(|line| format!(" (line {line} of the chat template)")).unwrap_or_default())]
    Failed {
        /// What failed.
        message: String,
        /// The line, from 1.
        line: Option<usize>,
    },
    /// The template ran longer than [`Settings::fuel`] allows.
    #[error("the chat template does not come to an end")]
    OutOfFuel,
    /// The template changes what its own generation blocks wrote, or the conversation holds characters that are never
    /// assigned, so that it is not known where generated text stands.
    #[error("the chat template changes the text of its generation blocks after writing it")]
    MovingMarks,
    /// The last message cannot be left open.
    #[error("the final message cannot be continued: {0}")]
    CannotContinue(&'static str),
}

/// The message of `raise_exception` on its way out of minijinja.
#[derive(Debug, Error)]
#[error("{0}")]
struct Raised(String);

impl ChatTemplate {
    /// Compiles the source of a template.
    pub fn compile(source: &str, settings: Settings) -> Result<Self, TemplateError> {
        // The lexer of Jinja2 takes every end of a line for a newline.
        let (source, marks) = marks::rewrite(&source.replace("\r\n", "\n").replace('\r', "\n"));
        let set_up = |safe: Safe, generated| environment(settings, source.clone(), safe, generated);
        let environment = set_up(Safe::Apart, |text| text)?;
        let marking = match marks {
            Marks::None | Marks::Direct => None,
            Marks::Captured => Some(set_up(Safe::Apart, |text| marks::mark(&text))?),
        };
        let safe = if marking.is_none() && uses_safe(&source) {
            Some([set_up(Safe::Plain, |text| text)?, set_up(Safe::Marked, |text| text)?])
        } else {
            None
        };
        Ok(Self { environment, marking, safe, source, marks })
    }

    /// Returns whether the template marks what the model generates.
    pub fn marks_generation(&self) -> bool {
        self.marks != Marks::None
    }

    /// Renders a conversation.
    ///
    /// `variables` are what [`Templates::variables`] returns: special tokens and arguments such as `enable_thinking`. The names
    /// that transformers sets itself (`messages`, `tools`, `documents`, `add_generation_prompt`) hide variables of the same name.
    pub fn render(
        &self,
        conversation: &Conversation,
        variables: &[(String, Json)],
        ending: Ending<'_>,
    ) -> Result<Rendered, RenderError> {
        let Ending::Open(field) = ending else {
            let messages = conversation.messages.iter().map(|message| Json::object(message.prepared())).collect();
            return self.render_prepared(messages, conversation, variables, ending);
        };
        let open = Open::new(conversation, field, &self.source)?;
        let text = self.render_prepared(open.messages.clone(), conversation, variables, Ending::Closed)?.text;
        Ok(Rendered { text: open.cut(text)?, generated: Vec::new() })
    }

    fn render_prepared(
        &self,
        messages: Vec<Json>,
        conversation: &Conversation,
        variables: &[(String, Json)],
        ending: Ending<'_>,
    ) -> Result<Rendered, RenderError> {
        if messages.is_empty() {
            return Err(RenderError::Empty);
        }
        let optional =
            |value: &Option<Json>| value.as_ref().map_or_else(|| Value::from_object(Nothing), |it| it.0.clone());
        let given = [
            ("messages", Json::from(messages).0),
            ("tools", optional(&conversation.tools)),
            ("documents", optional(&conversation.documents)),
            ("add_generation_prompt", Value::from(ending == Ending::GenerationPrompt)),
            // The blocks of the template; whatever else is asked of them is undefined.
            ("self", Value::from_pairs(std::iter::empty::<(Value, Value)>())),
        ];
        let variables = variables.iter().map(|(name, value)| (name.as_str(), value.0.clone()));
        let context = Value::from_pairs(variables.chain(given));
        if let Some(marking) = &self.marking {
            let marked = marking.get_template(NAME)?.render(context.clone())?;
            let (text, generated) = marks::take_out(&marked).ok_or(RenderError::MovingMarks)?;
            // Marks are characters, which a template could count, compare or cut: it must write the same without.
            return if self.environment.get_template(NAME)?.render(context)? == text {
                Ok(Rendered { text, generated })
            } else {
                Err(RenderError::MovingMarks)
            };
        }
        let rendered = self.render_in(&self.environment, context.clone());
        match (rendered, &self.safe) {
            (Err(refused @ RenderError::Failed { .. }), Some([plain, marked])) => {
                let plain = self.render_in(plain, context.clone())?;
                let (marked, spans) = marked.get_template(NAME)?.render_with_spans(context)?;
                // What was added to safe text is written with it.
                let beside = |span: &OutputSpan| marks::beside(&marked[span.output_range()]);
                let is_escaped = |text: String| text.contains(['&', '<', '>', '"', '\'']);
                let is_same = !spans.iter().filter_map(beside).any(is_escaped);
                let unmarked = marks::take_out(&marked).map(|(text, _)| text);
                if is_same && unmarked.as_ref() == Some(&plain.text) { Ok(plain) } else { Err(refused) }
            }
            (rendered, _) => rendered,
        }
    }

    fn render_in(&self, environment: &Environment<'static>, context: Value) -> Result<Rendered, RenderError> {
        let template = environment.get_template(NAME)?;
        if self.marks == Marks::None {
            return Ok(Rendered { text: template.render(context)?, generated: Vec::new() });
        }
        let (text, spans) = template.render_with_spans(context)?;
        let blocks = spans.iter().filter(|span| self.source[span.source_range()].starts_with(marks::FILTER));
        let generated = blocks.map(|span| span.output_range()).filter(|range| !range.is_empty()).collect();
        Ok(Rendered { text, generated })
    }
}

/// What the filter `safe` returns. In Jinja2 the operator `+` escapes what is added to such text, even where nothing else is
/// escaped; minijinja does not. So a template is rendered only if nothing is added, or nothing that needs to be escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Safe {
    /// Text that nothing can be added to.
    Apart,
    /// Text like any other.
    Plain,
    /// Text between marks.
    Marked,
}

/// Whether a template uses the filter `safe`, and what it returns is neither filtered again nor asked for a method.
fn uses_safe(source: &str) -> bool {
    let mut uses =
        source.split('|').skip(1).map(str::trim_start).filter_map(|rest| rest.strip_prefix("safe")).peekable();
    let is_last = |rest: &str| !rest.trim_start_matches([' ', ')']).starts_with(['.', '[']);
    let is_filtered = source.split('|').rev().skip(1).any(|piece| piece.trim() == "safe");
    uses.peek().is_some() && !is_filtered && uses.all(is_last)
}

/// The name of the template in its environment.
const NAME: &str = "chat";

/// Sets up minijinja as transformers sets up jinja2. `generated` is what becomes of the text of generation blocks.
fn environment(
    settings: Settings,
    source: String,
    safe: Safe,
    generated: fn(String) -> String,
) -> Result<Environment<'static>, TemplateError> {
    let mut environment = Environment::new();
    // What errors say must not depend on how this is built.
    environment.set_debug(false);
    environment.set_syntax(
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(false).build()?,
    );
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_recursion_limit(MAX_RECURSION);
    environment.set_fuel(Some(settings.fuel));
    environment.set_unknown_method_callback(methods::call);
    environment.set_formatter(|out, _, value| {
        if let Some(text) = value.as_str() {
            return Ok(out.write_str(text)?);
        }
        match text::to_str(value) {
            Some(text) => Ok(out.write_str(&text)?),
            None => Err(failed("the value cannot be printed")),
        }
    });
    filters::install(&mut environment);
    environment.add_filter("safe", move |value: Value| -> Result<Value, minijinja3::Error> {
        let text = text::to_str(&value).ok_or_else(|| failed("the value cannot be printed"))?;
        Ok(match safe {
            Safe::Apart => Value::from_object(Markup(text)),
            Safe::Plain => Value::from(text),
            Safe::Marked => Value::from(marks::mark(&text)),
        })
    });
    environment.add_filter(marks::FILTER, generated);
    environment.add_function("raise_exception", |message: Value| -> Result<Value, minijinja3::Error> {
        let message = text::to_str(&message).unwrap_or_default();
        Err(failed("raise_exception").with_source(Raised(message)))
    });
    let now = settings.now;
    environment.add_function("strftime_now", move |format: Cow<'_, str>| {
        strftime(now, &format).ok_or_else(|| failed("strftime_now was given a format that is not known"))
    });
    environment.add_template_owned(NAME, source)?;
    Ok(environment)
}

fn failed(message: &'static str) -> minijinja3::Error {
    minijinja3::Error::new(ErrorKind::InvalidOperation, message)
}

/// The message of an error without its place, which stands beside it.
fn message_of(error: &minijinja3::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

impl From<minijinja3::Error> for TemplateError {
    fn from(error: minijinja3::Error) -> Self {
        Self::Syntax { message: message_of(&error), line: error.line() }
    }
}

impl From<minijinja3::Error> for RenderError {
    fn from(error: minijinja3::Error) -> Self {
        if error.kind() == ErrorKind::OutOfFuel {
            return Self::OutOfFuel;
        }
        // Errors inside of macros and loops are wrapped, each in the next.
        let mut innermost = &error;
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(Raised(message)) = cause.downcast_ref() {
                return Self::Raised(message.clone());
            }
            if let Some(cause) = cause.downcast_ref::<minijinja3::Error>() {
                if cause.kind() == ErrorKind::OutOfFuel {
                    return Self::OutOfFuel;
                }
                innermost = cause;
            }
            source = cause.source();
        }
        Self::Failed { message: message_of(innermost), line: innermost.line() }
    }
}

/// A conversation whose last message is left open: a tag stands behind the text that goes on, and all that follows the tag is
/// cut off.
struct Open {
    messages: Vec<Json>,
    /// The text that goes on.
    text: String,
}

/// The tag of transformers; its final space tells whether the template trims.
const TAG: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

impl Open {
    fn new(conversation: &Conversation, field: &str, source: &str) -> Result<Self, RenderError> {
        let mut messages: Vec<_> = conversation.messages.iter().map(|message| message.prepared()).collect();
        let last = messages.last_mut().ok_or(RenderError::Empty)?;
        let find =
            |last: &[(String, Json)], name: &str| last.iter().find(|(key, _)| key == name).map(|(_, it)| it.clone());
        let open = find(last, field).ok_or(RenderError::CannotContinue("it has no such field"))?;
        // Reasoning stands under several names; all of them that hold this text go on.
        let mut fields = vec![field];
        if REASONING.contains(&field) {
            let is_same = |name: &&str| find(last, name).is_some_and(|value| value.0 == open.0);
            fields = REASONING.into_iter().filter(is_same).collect();
        }
        if !fields.iter().any(|field| source.contains(field)) {
            return Err(RenderError::CannotContinue("the template does not read the field"));
        }
        let (text, tagged) = if let Some(text) = open.as_str() {
            (text.to_owned(), Json::from(format!("{text}{TAG}")))
        } else {
            let mut parts = open.items().ok_or(RenderError::CannotContinue("the field is neither text nor parts"))?;
            let last_text =
                parts.iter_mut().rev().find_map(|part| Some((part.get("text")?.as_str()?.to_owned(), part)));
            let (text, part) = last_text.ok_or(RenderError::CannotContinue("no part of it is text"))?;
            let tagged = |(key, value): (String, Json)| {
                let value = if key == "text" { Json::from(format!("{text}{TAG}")) } else { value };
                (key, value)
            };
            *part = Json::object(part.pairs().unwrap_or_default().into_iter().map(tagged));
            (text, Json::from(parts))
        };
        for (_, value) in last.iter_mut().filter(|(key, _)| fields.contains(&key.as_str())) {
            *value = tagged.clone();
        }
        Ok(Self { messages: messages.into_iter().map(Json::object).collect(), text })
    }

    /// Cuts off what follows the tag, and the tag.
    fn cut(&self, mut text: String) -> Result<String, RenderError> {
        let at = text.rfind(TAG.trim_end()).filter(|_| text.contains(self.text.trim_matches(text::is_space)));
        let at = at.ok_or(RenderError::CannotContinue("the template does not write its text"))?;
        let keeps_space = text[at..].starts_with(TAG);
        text.truncate(at);
        if !keeps_space {
            text.truncate(text.trim_end_matches(text::is_space).len());
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests;
