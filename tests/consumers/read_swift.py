"""Reads the shape `swift` with ms-swift's own loader, preprocessors and encoder.

    python read_swift.py OUTPUTS [CASES]

The trainer has its own templates. One like the bench's is registered here, with a class that writes tools, calls and
results as the bench's template does; what such a class is given is what the trainer made of the row.
"""

import datetime
import json
import os
import re

os.environ["MODELSCOPE_CACHE"] = os.environ.get("TMPDIR", "/tmp") + "/datac-consumers-modelscope"

from common import END, SCRATCH, START, Report, datasets_number, marked, plain, rendered, same, save_model, tool_schemas

from swift.agent_template import agent_template_map
from swift.agent_template.hermes import HermesAgentTemplate
from swift.dataset import load_dataset
from swift.model import get_processor
from swift.template import get_template, register_template
from swift.template.templates.utils import ChatmlTemplateMeta
from swift.utils import remove_arrow_padding


class BenchTools(HermesAgentTemplate):
    def _format_tools(self, tools, system=None, user_message=None):
        schemas = json.dumps([self.wrap_tool(tool) for tool in tools], ensure_ascii=False)
        first = f"<tools>{schemas}</tools>"
        return f"{first}{END}\n{START}system\n{system}" if system else first

    def _format_tool_calls(self, tool_call_messages):
        calls = [self._parse_tool_call(message["content"]) for message in tool_call_messages]
        return "".join(
            f"<tool_call>{call['name']}<args>{json.dumps(call['arguments'], ensure_ascii=False)}</args></tool_call>"
            for call in calls
        )

    def _format_tool_responses(self, assistant_content, tool_messages):
        results = "".join(f"{START}tool\n{message['content']}{END}\n" for message in tool_messages)
        return assistant_content, [f"{END}\n", f"{results}{START}assistant\n"]


agent_template_map["bench"] = BenchTools
register_template(ChatmlTemplateMeta("bench", agent_template="bench"))
processor = get_processor(save_model(SCRATCH + "/causal"), model_type="qwen2", download_model=False)
# The model's type brings a normalizer along, which would hide what the file holds.
processor.backend_tokenizer.normalizer = None


def encoder(mode):
    # The trainer's own default: preference stages train the last answer only.
    scale = "default" if mode == "train" else "last_round"
    made = get_template(processor, template_type="bench", max_length=1 << 16, loss_scale=scale)
    made.set_mode(mode)
    return made


def load(output, **more):
    files, _ = output.files()
    return load_dataset([str(f) for f in files], load_from_cache_file=False, strict=True, **more)[0]


def text(output):
    return "".join(f.read_text(encoding="utf-8") for f in output.files()[0] if f.suffix == ".jsonl")


def number(value):
    return datasets_number(value, ".parquet")


def answered(text):
    return text.replace("\u27e7\n", "\n\u27e7")


def conversations(output):
    template = encoder("train")
    made = [template.encode(dict(row)) for row in load(output)]
    got = [marked(processor, row["input_ids"], row["labels"]) for row in made]
    # A null in a tool's schema is padding to the trainer, whoever wrote it.
    schemas = [tool_schemas(row) for row in output.rows]
    kept = [remove_arrow_padding(list(tools)) for tools in schemas]
    expected = [answered(rendered(row["turns"], tools)) for row, tools in zip(output.rows, kept)]
    dropped = sum(list(tools) != less for tools, less in zip(schemas, kept))
    # OpenAI's `tool_calls` are parsed early and then kept in a column of JSON objects, whose parser changes floats;
    # calls written as turns of the role `tool_call` stay text until they are rendered.
    note = same(got, expected, number if "tool_calls" in text(output) else lambda value: value)
    output.check_unfit()
    return note + (f", {dropped} of them with nulls in tools that the trainer drops" if dropped else "")


def pairs(output):
    template = encoder("rlhf")
    got, expected = [], []
    for row in load(output):
        made = template.encode(dict(row))
        for side in ("chosen", "rejected"):
            got.append(f"{side} {made.get('margin')}: " + marked(processor, made[f"{side}_input_ids"], made[f"{side}_labels"]))
    for row in output.rows:
        margin = float(row["margin"]) if "margin" in row else None
        for side in ("chosen", "rejected"):
            expected.append(f"{side} {margin}: " + answered(rendered([*row["prompt"], row[side]], (), "last")))
    return same(got, expected)


def labelled(output):
    template = encoder("kto")
    got = []
    for row in load(output):
        made = template.encode({**row, "rejected_messages": row["messages"]})
        got.append(f"{bool(made['label'])}: " + marked(processor, made["chosen_input_ids"], made["chosen_labels"]))
    expected = [f"{row['label']}: " + answered(rendered([*row["prompt"], row["answer"]], (), "last")) for row in output.rows]
    return same(got, expected)


def prompts(output):
    got, note = [], ""
    template = encoder("vllm")
    dates = all(re.fullmatch(r"\d{4}-\d\d-\d\d", row["reference"]) for row in output.rows)
    for row in load(output, remove_unused_columns=False):
        made = template.encode({"messages": row["messages"]})
        solution = row["solution"]
        if dates and isinstance(solution, datetime.datetime):
            solution, note = solution.date().isoformat(), ", whose solutions the loader turned into timestamps"
        got.append(f"{solution!r} " + plain(processor, made["input_ids"]))
    expected = [f"{row['reference']!r} " + rendered(row["prompt"], (), "none", opened=True) for row in output.rows]
    return same(got, expected) + note


CHECKS = {"conversation": conversations, "preference": pairs, "labelled": labelled, "prompt": prompts}
if __name__ == "__main__":  # workers of some trainers import this file again
    report = Report("swift")
    for kind, output in report.outputs("swift", kinds=set(CHECKS)):
        report.run(f"{output.recipe}/{output.shape} {CHECKS[kind].__name__}", CHECKS[kind], output)
    report.close()
