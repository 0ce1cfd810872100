//! A sample as a model sees it.

use datac_model::{
    Conversation, Encoded, Ending, Json, MaskError, Message as Turn, Model, ModelError, Reason as Why, Rules,
    Tokenizer, TokenizerFile, TrainOn,
};
use std::sync::Arc;

use super::ReadModel;
use datac_core::{
    config::model::SpecialTokens,
    encoded::{EncodedSample, Notes, RoleTokens, Sequence, TrainedRun, WhyTrained},
    row::{Reason, Reject},
    sample::{self, Arguments, Body, Content, Message, MessageExtras, Sample, ToolCall},
    shape::{Unfit, wrapped_tools},
};

/// What is rendered of a dialogue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// All of it, by the rules of the recipe.
    Dialogue,
    /// All of it; the answer is trained on.
    Answer,
    /// What stands before an answer, and what begins it.
    Prompt,
}

/// A dialogue as a model sees it.
struct Rendered {
    sequence: Sequence,
    /// The text that the ids are of.
    text: String,
    /// For each message how many ids stand for its content, if that is known.
    contents: Option<Vec<u32>>,
    /// The first message with pictures, videos or sounds of which the template writes nothing.
    unseen: Option<usize>,
}

/// What was found of a sample while it was rendered.
#[derive(Default)]
pub(super) struct Found {
    pub(super) notes: Notes,
    /// Of the longest sequence.
    pub(super) roles: RoleTokens,
    /// The length of that sequence.
    longest: usize,
    /// Whether the template writes nothing of the reasoning of a message.
    pub(super) lacks_reasoning: bool,
}

impl ReadModel {
    /// Renders and encodes a sample, or says why it is no sample for this model.
    pub(super) fn encode(&self, sample: &Sample<'_>) -> Result<(EncodedSample, Found), Reject> {
        let mut found = Found::default();
        if let Some(tools) = &sample.tools {
            self.special_in(tools.as_str(), "the tools", &mut found.notes)?;
        }
        let sequences = match &sample.body {
            Body::Text { text } => vec![self.text(text, &mut found.notes)?],
            Body::Conversation { messages } | Body::Labelled { messages } => {
                vec![self.dialogue(sample, messages.iter(), Part::Dialogue, &mut found)?]
            }
            Body::Preference { prompt, ranked } => {
                let answer = |answer: &Vec<Message<'_>>| {
                    self.dialogue(sample, prompt.iter().chain(answer), Part::Answer, &mut found)
                };
                ranked.iter().map(answer).collect::<Result<_, _>>()?
            }
            Body::Prompt { messages } => vec![self.dialogue(sample, messages.iter(), Part::Prompt, &mut found)?],
            Body::Stepwise { .. } => unreachable!("recipes of stepwise samples have no model"),
        };
        Ok((EncodedSample { row_hash: sample.row_hash(), sequences }, found))
    }

    /// A text, with the token that ends texts behind it; all of it is trained on.
    fn text(&self, text: &str, notes: &mut Notes) -> Result<Sequence, Reject> {
        self.special_in(text, "the text", notes)?;
        let mut ids =
            self.tokenizer.encode(text).map_err(|error| Reject::new(Reason::NotEncoded, error.to_string()))?;
        if ids.is_empty() {
            return Err(Reject::new(Reason::NothingTrained, "the text is empty"));
        }
        ids.extend(self.end_of_text);
        let length = ids.len() as u32;
        let run = TrainedRun { start: 0, length, why: WhyTrained::All, message: None, weight: 1.0 };
        Ok(Sequence { ids, runs: vec![run] })
    }

    fn dialogue<'m, 's: 'm>(
        &self,
        sample: &Sample<'_>,
        messages: impl Iterator<Item = &'m Message<'s>> + Clone,
        part: Part,
        found: &mut Found,
    ) -> Result<Sequence, Reject> {
        for (number, message) in messages.clone().enumerate() {
            self.special_in_message(message, number, &mut found.notes)?;
        }
        // As rows of TRL have them: bare functions are wrapped, and an empty list, which templates write as if there were some,
        // is none.
        let unfit = |unfit: Unfit| Reject::new(Reason::NotRendered, format!("the row has {}", unfit.0));
        let tools = wrapped_tools(sample.tools.as_ref()).map_err(unfit)?.map(|tools| json(&tools)).transpose()?;
        let model = match (&self.with_tools, &tools) {
            (Some(with_tools), Some(_)) => with_tools.as_ref().map_err(|failure| &failure.message),
            _ => self.plain.as_ref(),
        };
        let model = model.map_err(|why| Reject::new(Reason::NotRendered, why.clone()))?;
        let conversation = |form: Form| -> Result<Conversation, Reject> {
            let messages = messages.clone().map(|message| turn(message, form)).collect::<Result<_, _>>()?;
            Ok(Conversation { tools: tools.clone(), ..Conversation::new(messages) })
        };
        let sequence = self.sequence(model, &conversation(Form::Object)?, part, &mut found.notes);
        let has_calls_as_text = messages.clone().any(has_arguments_as_text);
        let Rendered { sequence, text, contents, unseen } = match sequence {
            // Some templates take arguments only as the text that they were written as.
            Err(refused) if has_calls_as_text && refused.reason == Reason::NotRendered => {
                let as_written = conversation(Form::AsWritten)?;
                self.sequence(model, &as_written, part, &mut found.notes).map_err(|_| refused)?
            }
            sequence => sequence?,
        };
        if let Some(number) = unseen {
            let number = number + 1;
            let detail = format!("the chat template writes nothing of the picture, video or sound in message {number}");
            return Err(Reject::new(Reason::NotRendered, detail));
        }
        if let Some(number) = messages.clone().position(|message| is_printed(message, &text)) {
            let detail = format!(
                "the chat template writes the parts of message {} as Python prints a list, not what they hold",
                number + 1
            );
            return Err(Reject::new(Reason::NotRendered, detail));
        }
        found.lacks_reasoning |= messages.clone().any(|message| lacks_reasoning(message, &text));
        match contents {
            // Of answers of one length the first, as in `EncodedSample::tokens`.
            Some(contents) if sequence.ids.len() > found.longest => {
                (found.longest, found.roles) = (sequence.ids.len(), RoleTokens::default());
                messages.zip(contents).for_each(|(message, ids)| found.roles.add(message.role, ids));
            }
            Some(_) => {}
            None => found.notes = found.notes.and(Notes::UNPLACED),
        }
        Ok(sequence)
    }

    /// Returns a conversation as ids.
    fn sequence(
        &self,
        model: &Model<Arc<TokenizerFile>>,
        conversation: &Conversation,
        part: Part,
        notes: &mut Notes,
    ) -> Result<Rendered, Reject> {
        if part == Part::Prompt {
            let Encoded { masked, ids, contents, .. } =
                model.encode_prompt(conversation).map_err(|error| refusal(&error))?;
            let unseen = model.masker().unwritten_media(conversation, &masked.text, Ending::GenerationPrompt);
            return Ok(Rendered { sequence: Sequence { ids, runs: Vec::new() }, text: masked.text, contents, unseen });
        }
        let rules = match part {
            Part::Answer => Rules { train_on: TrainOn::Completion, ..self.rules },
            _ => self.rules,
        };
        let Encoded { masked, ids, runs, contents, .. } =
            model.encode(conversation, &rules).map_err(|error| refusal(&error))?;
        if !masked.unended.is_empty() {
            *notes = notes.and(Notes::UNENDED);
        }
        let run = |run: &datac_model::TokenRun| TrainedRun {
            start: run.tokens.start as u32,
            length: run.tokens.len() as u32,
            why: why(run.reason),
            message: run.message.map(|message| message as u32),
            weight: run.weight,
        };
        let runs: Vec<TrainedRun> = runs.iter().map(run).collect();
        if runs.is_empty() {
            return Err(Reject::new(Reason::NothingTrained, "no token of the text is trained on"));
        }
        let unseen = model.masker().unwritten_media(conversation, &masked.text, Ending::Closed);
        Ok(Rendered { sequence: Sequence { ids, runs }, text: masked.text, contents, unseen })
    }

    fn special_in_message(&self, message: &Message<'_>, number: usize, notes: &mut Notes) -> Result<(), Reject> {
        let place = || format!("message {} ({})", number + 1, message.role.name());
        let mut look = |text: &str| self.special_in(text, &place(), notes);
        match &message.content {
            Content::Text(text) => look(text)?,
            Content::Parts(parts) => look(parts.as_str())?,
            Content::Null | Content::Absent => {}
        }
        let Some(extras) = &message.extras else { return Ok(()) };
        // Whatever a template may write; what says how much a message counts is none of it.
        let MessageExtras { reasoning, tool_calls, tool_call_id, name, weight: _, train: _, other } = &**extras;
        [reasoning, tool_call_id, name].into_iter().flatten().try_for_each(|text| look(text))?;
        other.iter().try_for_each(|(_, value)| look(value.as_str()))?;
        for ToolCall { id, kind, name, arguments, other } in tool_calls.iter().flatten() {
            look(name)?;
            [id, kind].into_iter().flatten().try_for_each(|text| look(text))?;
            other.iter().try_for_each(|(_, value)| look(value.as_str()))?;
            match arguments {
                // Templates are given the object that it holds, in which nothing is escaped.
                Some(Arguments::Text(text)) => match sample::Json::new(text) {
                    Some(json) => look(json.as_str())?,
                    None => look(text)?,
                },
                Some(Arguments::Json(json)) => look(json.as_str())?,
                None => {}
            }
        }
        Ok(())
    }

    /// Notes, or refuses, the texts of control tokens in a text: the tokenizer would read them as such.
    fn special_in(&self, text: &str, place: &str, notes: &mut Notes) -> Result<(), Reject> {
        let found = self.tokenizer.vocabulary().special_in(text);
        let Some(first) = found.first() else { return Ok(()) };
        *notes = notes.and(Notes::SPECIAL_IN_TEXT);
        match self.special_tokens {
            SpecialTokens::Allow => Ok(()),
            SpecialTokens::Reject => {
                Err(Reject::new(Reason::SpecialToken, format!("{place} holds the control token `{}`", first.text)))
            }
        }
    }
}

/// Whether a text has the parts of a message as Python prints them: templates that know no parts write the list.
fn is_printed(message: &Message<'_>, text: &str) -> bool {
    let Content::Parts(parts) = &message.content else { return false };
    let parts = Json::parse(parts.as_str()).ok().and_then(|parts| parts.items()).unwrap_or_default();
    parts.iter().any(|part| {
        let kind = part.pairs().and_then(|pairs| pairs.into_iter().next());
        let begins = kind.and_then(|(key, value)| Some(format!("{{'{key}': '{}'", value.as_str()?)));
        begins.is_some_and(|begins| text.contains(&begins))
    })
}

/// Whether a text has nothing of the reasoning of a message.
fn lacks_reasoning(message: &Message<'_>, text: &str) -> bool {
    let reasoning = message.extras.as_ref().and_then(|extras| extras.reasoning.as_ref());
    reasoning.is_some_and(|reasoning| !text.contains(reasoning.trim()))
}

/// How arguments of calls that are written as texts are given to the template.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As the object that the text holds, as servers of models give them: most templates write a text as JSON in JSON.
    Object,
    /// As they are.
    AsWritten,
}

fn has_arguments_as_text(message: &Message<'_>) -> bool {
    let calls = message.extras.iter().flat_map(|extras| extras.tool_calls.iter().flatten());
    calls.into_iter().any(|call| matches!(call.arguments, Some(Arguments::Text(_))))
}

/// A message as templates see it: as in a row of the shape `messages`.
fn turn(message: &Message<'_>, form: Form) -> Result<Turn, Reject> {
    let mut fields = vec![("role".to_owned(), Json::from(message.role.name()))];
    let mut add = |name: &str, value: Json| fields.push((name.to_owned(), value));
    match &message.content {
        Content::Text(text) => add("content", Json::from(&**text)),
        Content::Parts(parts) => add("content", json(parts.as_str())?),
        Content::Null | Content::Absent => {}
    }
    if let Some(extras) = &message.extras {
        let texts =
            [("reasoning_content", &extras.reasoning), ("tool_call_id", &extras.tool_call_id), ("name", &extras.name)];
        for (name, text) in texts {
            if let Some(text) = text {
                add(name, Json::from(&**text));
            }
        }
        if let Some(calls) = &extras.tool_calls {
            let calls = calls.iter().map(|call| call_of(call, form)).collect::<Result<Vec<_>, _>>()?;
            add("tool_calls", Json::from(calls));
        }
        if let Some(weight) = &extras.weight {
            add("weight", json(weight.as_str())?);
        }
        if let Some(train) = extras.train {
            add("train", Json::from(train));
        }
        for (name, value) in &extras.other {
            add(name, json(value.as_str())?);
        }
    }
    Ok(Turn::of(fields))
}

fn call_of(call: &ToolCall<'_>, form: Form) -> Result<Json, Reject> {
    let arguments = match &call.arguments {
        Some(Arguments::Json(arguments)) => Some(json(arguments.as_str())?),
        Some(Arguments::Text(text)) => {
            let object = Json::parse(text).ok().filter(|value| form == Form::Object && value.pairs().is_some());
            Some(object.unwrap_or_else(|| Json::from(&**text)))
        }
        None => None,
    };
    let mut function = vec![("name".to_owned(), Json::from(&*call.name))];
    function.extend(arguments.map(|arguments| ("arguments".to_owned(), arguments)));
    let mut fields = Vec::new();
    fields.extend(call.id.as_ref().map(|id| ("id".to_owned(), Json::from(&**id))));
    fields.push(("type".to_owned(), Json::from(call.kind.as_deref().unwrap_or("function"))));
    fields.push(("function".to_owned(), Json::object(function)));
    for (name, value) in &call.other {
        fields.push((name.to_string(), json(value.as_str())?));
    }
    Ok(Json::object(fields))
}

fn json(text: &str) -> Result<Json, Reject> {
    Json::parse(text).map_err(|error| Reject::new(Reason::NotRendered, error.to_string()))
}

/// Says why a sample is refused; messages are counted from 1, as people do.
fn refusal(error: &ModelError) -> Reject {
    let of = |message: &usize, part: &str| format!("{part} of message {}", message + 1);
    let (reason, detail) = match error {
        ModelError::Mask(MaskError::NoMessage | MaskError::Nothing) => (Reason::NothingTrained, error.to_string()),
        ModelError::Mask(MaskError::Dropped { message, part }) => {
            (Reason::NotRendered, format!("the chat template drops the {}", of(message, part)))
        }
        ModelError::Mask(MaskError::Uncertain { message, part }) => {
            (Reason::NotRendered, format!("it is not certain where the chat template writes the {}", of(message, part)))
        }
        ModelError::Mask(MaskError::Weight { message }) => {
            (Reason::NotRendered, format!("the {} is not a number from 0 on", of(message, "weight")))
        }
        ModelError::Encode(_) => (Reason::NotEncoded, error.to_string()),
        _ => (Reason::NotRendered, error.to_string()),
    };
    Reject::new(reason, detail)
}

fn why(reason: Why) -> WhyTrained {
    match reason {
        Why::Marked => WhyTrained::Marked,
        Why::Content => WhyTrained::Content,
        Why::Reasoning => WhyTrained::Reasoning,
        Why::ToolCall => WhyTrained::ToolCall,
        Why::EndOfTurn => WhyTrained::EndOfTurn,
        Why::All => WhyTrained::All,
    }
}
