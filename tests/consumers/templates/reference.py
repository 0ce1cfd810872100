"""Renders conversations with transformers: what `datac-model` is held to.

    python reference.py TEMPLATES CONVERSATIONS MODEL OUT

Writes one JSON line for each template and conversation, in the order of names: `text` with its `ids`, or `error` with its
`kind`; of templates with generation blocks also `generated` (ranges of characters), `marked` (the same, found by marks) and
`mask` (a digit for each id). The clock stands at 2026-11-29 06:07:05.
"""

import datetime
import json
import logging
import pathlib
import sys

import jinja2
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 11, 29, 6, 7, 5)


OPEN, CLOSE = "\U0010fffe", "\U0010ffff"


def marked_spans(template, arguments):
    """Where generation blocks wrote, found by marks instead of by counting. `None` if marks change what is written."""
    compiled = chat_template_utils._compile_jinja_template(template)
    tracker = next(e for e in compiled.environment.extensions.values() if "generation" in e.tags)
    plain = compiled.render(**arguments)
    tracker._generation_support = jinja2.pass_eval_context(lambda context, caller: OPEN + caller() + CLOSE)
    try:
        marked = compiled.render(**arguments)
    finally:
        del tracker._generation_support
    text, spans, depth = "", [], 0
    for c in marked:
        if c == OPEN:
            if depth == 0:
                start = len(text)
            depth += 1
        elif c == CLOSE:
            depth -= 1
            if depth == 0 and start < len(text):
                spans.append([start, len(text)])
        else:
            text += c
    return spans if text == plain else None


def main(templates, conversations, model, out):
    logging.disable(logging.WARNING)
    chat_template_utils.datetime = Clock
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model)
    conversations = json.loads(pathlib.Path(conversations).read_text(encoding="utf-8"))
    with open(out, "w", encoding="utf-8") as lines:
        for path in sorted(pathlib.Path(templates).glob("*.jinja")):
            with open(path, encoding="utf-8", newline="") as opened:
                source = opened.read()
            for conversation in conversations:
                line = {"template": path.stem, "conversation": conversation["name"]}
                line.update(render(tokenizer, source, conversation))
                lines.write(json.dumps(line, ensure_ascii=True) + "\n")


def render(tokenizer, source, conversation):
    given = {key: conversation[key] for key in ("tools", "documents") if key in conversation}
    ending = {key: conversation[key] for key in ("add_generation_prompt", "continue_final_message") if key in conversation}
    kwargs = conversation.get("kwargs", {})
    try:
        text = tokenizer.apply_chat_template(
            conversation["messages"], chat_template=source, tokenize=False, **given, **ending, **kwargs
        )
    except Exception as error:
        kind = "raised" if type(error) is jinja2.TemplateError else type(error).__name__
        return {"error": str(error), "kind": kind}
    line = {"text": text, "generated": [], "ids": tokenizer(text, add_special_tokens=False)["input_ids"]}
    if "endgeneration" not in source or "continue_final_message" in ending:
        return line
    messages = [{k: v for k, v in message.items() if v is not None} for message in conversation["messages"]]
    arguments = {"tools": None, "documents": None, "add_generation_prompt": False, **tokenizer.special_tokens_map, **given, **ending, **kwargs}
    _, generated = chat_template_utils.render_jinja_template(
        [messages], chat_template=source, return_assistant_tokens_mask=True, **arguments
    )
    seen = chat_template_utils._alias_reasoning_fields(messages)
    line["generated"] = generated[0]
    line["marked"] = marked_spans(source, {"messages": seen, **arguments})
    if "add_generation_prompt" not in ending:
        out = tokenizer.apply_chat_template(
            conversation["messages"],
            chat_template=source,
            return_dict=True,
            return_assistant_tokens_mask=True,
            **given,
            **kwargs,
        )
        assert out["input_ids"] == line["ids"]
        line["mask"] = "".join(map(str, out["assistant_masks"]))
    return line


if __name__ == "__main__":
    main(*sys.argv[1:])
