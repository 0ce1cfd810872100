"""What all readers share: the cases, a tokenizer with a chat template, and the comparison.

A reader loads one shape with a trainer's own data code and turns each row that the trainer would train on into
one string: the decoded tokens, with the trained ones between MARK_OPEN and MARK_CLOSE. The same string is made
here from `cases.json`, by plain string building, so that the trainer's template engine is not its own witness.
Rows are compared as a multiset, since shuffling is allowed.
"""

import collections
import json
import os
import pathlib
import re
import sys
import tempfile
import traceback

# Nothing here may need the network, and no cache of an earlier run may be read.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
# Workers that a trainer starts share the folder.
SCRATCH = os.environ.get("CONSUMERS_SCRATCH") or tempfile.mkdtemp(prefix="datac-consumers-")
os.environ["CONSUMERS_SCRATCH"] = os.environ["HF_HOME"] = SCRATCH
os.environ["HF_DATASETS_CACHE"] = SCRATCH + "/datasets"

MARK_OPEN, MARK_CLOSE = "\u27e6", "\u27e7"
START, END = "<|im_start|>", "<|im_end|>"
CONTAINERS = (".jsonl", ".jsonl.zst", ".parquet", ".arrow")

# Arguments may reach the template as an object or as JSON text: both are written between <args> and </args>,
# and `canonical` takes spelling out of the comparison.
TEMPLATE = (
    "{%- if tools %}{{ '<|im_start|>system\\n<tools>' + (tools | tojson) + '</tools><|im_end|>\\n' }}{% endif %}"
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\\n' }}"
    "{%- if message['role'] == 'assistant' %}"
    "{%- generation %}"
    "{%- if message['reasoning_content'] %}{{- '<think>\\n' + message['reasoning_content'] + '\\n</think>\\n\\n' }}{% endif %}"
    "{%- if message['content'] %}{{- message['content'] }}{% endif %}"
    "{%- for call in message['tool_calls'] or [] %}"
    "{%- set arguments = call['function']['arguments'] %}"
    "{{- '<tool_call>' + call['function']['name'] + '<args>' }}"
    "{%- if arguments is string %}{{- arguments }}{% else %}{{- arguments | tojson }}{% endif %}"
    "{{- '</args></tool_call>' }}"
    "{%- endfor %}"
    "{{- '<|im_end|>' }}"
    "{%- endgeneration %}"
    "{%- else %}{{- message['content'] + '<|im_end|>' }}"
    "{%- endif %}"
    "{{- '\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"
)


def tokenizer(template=TEMPLATE):
    """Returns a byte-level tokenizer without merges: each byte is a token, and so are the markers of turns."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    raw.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=END, pad_token="<|pad|>")
    made.add_special_tokens({"additional_special_tokens": [START]})
    made.chat_template = template
    made.model_max_length = 1 << 20
    return made


def save_model(folder, kind="causal"):
    """Writes a model of a few thousand weights with the tokenizer, for trainers that insist on loading one."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2ForSequenceClassification

    torch.manual_seed(0)
    words = tokenizer()
    config = Qwen2Config(
        vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=8192, bos_token_id=None,
        eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id, num_labels=1,
    )
    model = Qwen2ForCausalLM(config) if kind == "causal" else Qwen2ForSequenceClassification(config)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return str(folder)


# ---- what is expected --------------------------------------------------------------------------------------


def load_cases(path):
    return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))


def tool_schemas(row):
    """The tools of a row as function schemas, or none."""
    return [{"type": "function", "function": tool} for tool in row.get("tools") or []]


def rendered(turns, tools=(), trained="all", opened=False):
    """Writes a dialogue as the template does, with the trained parts marked.

    `trained` is "all" (each assistant turn), "last" (the last one) or "none"; `opened` ends with an empty answer.
    """
    out = []
    if tools:
        out.append(f"{START}system\n<tools>{json.dumps(list(tools), ensure_ascii=False)}</tools>{END}\n")
    answers = [i for i, turn in enumerate(turns) if turn["role"] == "assistant"]
    marked = {"all": set(answers), "last": set(answers[-1:]), "none": set()}[trained]
    for i, turn in enumerate(turns):
        body = f"<think>\n{turn['reasoning']}\n</think>\n\n" if turn.get("reasoning") else ""
        body += turn["text"]
        for call in turn.get("calls", ()):
            arguments = json.dumps(call["arguments"], ensure_ascii=False)
            body += f"<tool_call>{call['name']}<args>{arguments}</args></tool_call>"
        body += END
        out.append(f"{START}{turn['role']}\n" + (f"{MARK_OPEN}{body}{MARK_CLOSE}" if i in marked else body) + "\n")
    if opened:
        out.append(f"{START}assistant\n")
    return "".join(out)


def datasets_number(value, container):
    """What `datasets` 5.2 makes of a float inside of a Json column: its parser adds digits times a power of ten in
    doubles, and its loader of JSON Lines first writes the number with ten decimals."""
    text = format(value, ".10f").rstrip("0") if container.startswith(".jsonl") else repr(value)
    if "e" in text or "." not in text:
        return value
    whole, digits = text.lstrip("-").split(".")
    made = float(whole) + (int(digits) * POWERS[len(digits)] if digits else 0.0)
    return -made if text.startswith("-") else made


POWERS = [float(f"1e-{n}") for n in range(20)]


def canonical(text, number=lambda value: value):
    """Writes JSON between the markers in one spelling, so that spaces and escapes do not matter; keys keep their order."""

    def respell(found):
        value = json.loads(found.group(2), parse_float=lambda digits: number(float(digits)))
        return found.group(1) + json.dumps(value, ensure_ascii=False) + found.group(3)

    return re.sub(r"(<args>|<tools>)(.*?)(</args>|</tools>)", respell, text, flags=re.S)


# ---- what came out -----------------------------------------------------------------------------------------


def marked(words, ids, labels):
    """Decodes tokens, with those that have a label between the marks. `labels` may be a mask of 0 and 1."""
    ids, labels = [int(i) for i in ids], [int(i) for i in labels]
    assert len(ids) == len(labels), (len(ids), len(labels))
    mask_only = set(labels) <= {0, 1}
    out, start = [], 0
    for end in range(1, len(ids) + 1):
        on = labels[start] == 1 if mask_only else labels[start] != -100
        if end < len(ids) and (labels[end] == 1 if mask_only else labels[end] != -100) == on:
            continue
        if on and not mask_only:
            assert labels[start:end] == ids[start:end], "a label is not the token that it stands on"
        piece = words.decode(ids[start:end], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        out.append(MARK_OPEN + piece + MARK_CLOSE if on else piece)
        start = end
    return "".join(out)


def plain(words, ids):
    return words.decode([int(i) for i in ids], skip_special_tokens=False, clean_up_tokenization_spaces=False)


# ---- outputs and reports -----------------------------------------------------------------------------------


class Output:
    """One folder `<recipe>/<shape>`."""

    def __init__(self, folder, recipe, shape, rows):
        self.folder, self.recipe, self.shape = pathlib.Path(folder), recipe, shape
        # Rows that the shape cannot hold stand in unfit.jsonl and not in the file.
        self.rows = [row for row in rows if shape not in row.get("unfit", ())]
        self.unfit = len(rows) - len(self.rows)

    def files(self, side="train"):
        """The files of one side, in order, and how they are packed."""
        for container in CONTAINERS:
            found = sorted(
                p for d in (self.folder, self.folder / "data") if d.is_dir() for p in d.iterdir()
                if re.fullmatch(rf"{side}(-\d+-of-\d+)?(-[0-9a-f]{{12}})?{re.escape(container)}", p.name)
            )
            if found:
                return found, container
        raise FileNotFoundError(f"no {side} file in {self.folder}")

    def check_unfit(self):
        path = self.folder / "unfit.jsonl"
        lines = sum(1 for line in path.open("rb")) if path.exists() else 0
        if lines != self.unfit:
            raise AssertionError(f"unfit.jsonl has {lines} rows, {self.unfit} expected")

    def stanza(self, *names):
        """The text of the stanza that was written for the trainer, or None."""
        for name in names:
            if (self.folder / name).exists():
                return (self.folder / name).read_text(encoding="utf-8")
        return None


class Report:
    def __init__(self, title):
        self.title, self.passed, self.failed, self.skipped = title, 0, 0, 0
        # Trainers print rows and progress; only results stay on standard output.
        self.out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self.folder, cases = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).with_name("cases.json")
        self.cases = load_cases(cases)

    def outputs(self, *shapes, kinds=None):
        """The outputs of these shapes that exist, with their recipes' rows."""
        for recipe, group in self.cases.items():
            if kinds and group["kind"] not in kinds:
                continue
            for shape in shapes:
                folder = pathlib.Path(self.folder) / recipe / shape
                if folder.is_dir():
                    yield group["kind"], Output(folder, recipe, shape, group["rows"])

    def run(self, name, check, output):
        """Runs one check, which returns a note or nothing and raises on failure."""
        try:
            if not output.rows:
                output.check_unfit()
                raise Skip("no row fits this shape")
            note = check(output)
        except Skip as why:
            self.skipped += 1
            print(f"skip  {name}: {why}", file=self.out, flush=True)
        except BaseException as error:  # SystemExit too: some trainers exit on bad rows
            if isinstance(error, KeyboardInterrupt):
                raise
            self.failed += 1
            print(f"FAIL  {name}: {type(error).__name__}: {error}", file=self.out, flush=True)
            if os.environ.get("TRACE"):
                traceback.print_exc()
        else:
            self.passed += 1
            print(f"ok    {name}" + (f" ({note})" if note else ""), file=self.out, flush=True)

    def close(self):
        """Ends the process; without the interpreter's own shutdown, which some reader threads abort."""
        print(f"{self.title}: {self.passed} passed, {self.failed} failed, {self.skipped} skipped", file=self.out, flush=True)
        import shutil

        shutil.rmtree(SCRATCH, ignore_errors=True)
        os._exit(1 if self.failed else 0)


class Skip(Exception):
    pass


def same(got, expected, number=lambda value: value):
    """Compares what a trainer made with what is expected, as multisets; says how many numbers the trainer's loader changed."""
    exact = collections.Counter(canonical(text) for text in expected)
    wanted = collections.Counter(canonical(text, number) for text in expected)
    made = collections.Counter(canonical(text) for text in got)
    if made != wanted:
        missing, extra = list((wanted - made).elements()), list((made - wanted).elements())
        lines = [f"{len(got)} rows, {len(expected)} expected"]
        lines += [f"      missing {text!r}" for text in missing[:3]] + [f"      instead {text!r}" for text in extra[:3]]
        raise AssertionError("\n".join(lines))
    changed = sum((exact - made).values())
    return f"{len(got)} rows" + (f", {changed} of them with floats that the loader changed" if changed else "")
