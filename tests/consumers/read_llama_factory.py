"""Reads the shape `llama-factory` with LLaMA-Factory's own loader and processors, by the written dataset_info.json.

    python read_llama_factory.py OUTPUTS [CASES]

The trainer has its own templates instead of the tokenizer's. One like the bench's is registered here; its tools are
written as for Qwen, and `unfolded` takes that spelling back.
"""

import json
import os
import re

os.environ["DISABLE_VERSION_CHECK"] = "1"  # newer wheels than it asks for

from common import END, SCRATCH, START, Report, marked, plain, rendered, same, save_model, tokenizer, tool_schemas

from llamafactory.data import get_dataset
from llamafactory.data.formatter import FunctionFormatter, StringFormatter, ToolFormatter
from llamafactory.data.template import get_template_and_fix_tokenizer, register_template
from llamafactory.hparams import DataArguments, ModelArguments
from transformers import Seq2SeqTrainingArguments

CAUSAL = save_model(SCRATCH + "/causal")
register_template(
    name="bench",
    format_user=StringFormatter(slots=[f"{START}user\n{{{{content}}}}{END}\n{START}assistant\n"]),
    format_assistant=StringFormatter(slots=[f"{{{{content}}}}{END}\n"]),
    format_system=StringFormatter(slots=[f"{START}system\n{{{{content}}}}{END}\n"]),
    format_function=FunctionFormatter(slots=[f"{{{{content}}}}{END}\n"], tool_format="qwen"),
    format_observation=StringFormatter(slots=[f"{START}tool\n{{{{content}}}}{END}\n{START}assistant\n"]),
    format_tools=ToolFormatter(tool_format="qwen"),
)


def unfolded(text):
    """Writes tools and calls as the bench's template does: the trainer puts tools into the system turn."""

    def system(found):
        tools = ", ".join(found.group(2).strip().split("\n"))
        first = f"{START}system\n<tools>[{tools}]</tools>{END}\n"
        return first + (f"{START}system\n{found.group(1)}{END}\n" if found.group(1) else "")

    def call(found):
        value = json.loads(found.group(1))
        return f"<tool_call>{value['name']}<args>{json.dumps(value['arguments'], ensure_ascii=False)}</args></tool_call>"

    text = re.sub(
        r"<\|im_start\|>system\n((?:(?!<\|im_end\|>).)*?)\n\n# Tools\n\n(?:(?!<\|im_end\|>).)*?XML tags:\n<tools>(.*?)</tools>"
        r"(?:(?!<\|im_end\|>).)*<\|im_end\|>\n",
        system, text, flags=re.S,
    )
    return re.sub(r"<tool_call>\n(\{.*?\})\n</tool_call>", call, text)


def prepared(output, stage):
    info = json.loads((output.folder / "dataset_info.json").read_text(encoding="utf-8"))
    names = [name for name, entry in info.items() if "train" in entry["file_name"]]
    words = tokenizer()
    data = DataArguments(
        template="bench", dataset=",".join(names), dataset_dir=str(output.folder), cutoff_len=1 << 16, overwrite_cache=True
    )
    model = ModelArguments(model_name_or_path=CAUSAL, cache_dir=SCRATCH + "/llama-factory")
    training = Seq2SeqTrainingArguments(output_dir=SCRATCH + "/out", use_cpu=True, do_train=True, report_to=[])
    template = get_template_and_fix_tokenizer(words, data)
    return words, get_dataset(template, model, data, training, stage, words)["train_dataset"]


def answered(text):
    return text.replace("\u27e7\n", "\n\u27e7")


def conversations(output):
    words, rows = prepared(output, "sft")
    got = [unfolded(marked(words, row["input_ids"], row["labels"])) for row in rows]
    note = same(got, [answered(rendered(row["turns"], tool_schemas(row))) for row in output.rows])
    output.check_unfit()
    return note


def pairs(output):
    words, rows = prepared(output, "rm")
    got, expected = [], []
    for row in rows:
        got += [f"{side}: " + marked(words, row[f"{side}_input_ids"], row[f"{side}_labels"]) for side in ("chosen", "rejected")]
    for row in output.rows:
        expected += [f"{side}: " + answered(rendered([*row["prompt"], row[side]], (), "last")) for side in ("chosen", "rejected")]
    return same(got, expected)


def labelled(output):
    words, rows = prepared(output, "kto")
    got = [f"{row['kto_tags']}: " + marked(words, row["input_ids"], row["labels"]) for row in rows]
    expected = [
        f"{row['label']}: " + answered(rendered([*row["prompt"], row["answer"]], (), "last")) for row in output.rows
    ]
    return same(got, expected)


def prompts(output):
    words, rows = prepared(output, "ppo")
    got = [plain(words, row["input_ids"]) for row in rows]
    return same(got, [rendered(row["prompt"], (), "none", opened=True) for row in output.rows])


def texts(output):
    words, rows = prepared(output, "pt")
    # Texts are joined and cut; the cut is far behind their end here.
    got = ["".join(plain(words, row["input_ids"]) for row in rows)]
    return same(sorted(got[0].split(END)[:-1]), sorted(row["text"] for row in output.rows))


CHECKS = {"conversation": conversations, "preference": pairs, "labelled": labelled, "prompt": prompts, "text": texts}
if __name__ == "__main__":  # workers of some trainers import this file again
    report = Report("llama-factory")
    for kind, output in report.outputs("llama-factory", kinds=set(CHECKS)):
        report.run(f"{output.recipe}/{output.shape} {CHECKS[kind].__name__}", CHECKS[kind], output)
    report.close()
