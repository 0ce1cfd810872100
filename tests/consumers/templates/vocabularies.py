"""Rebuilds tokenizers of real models from the vocabularies in llama.cpp's source archive.

    python vocabularies.py ARCHIVE OUT

Writes OUT/<name>/tokenizer.json and tokenizer_config.json, and checks each against llama.cpp's own test vectors. The patterns
that split texts are those of the models' published tokenizers.
"""

import json
import pathlib
import re
import sys
import tarfile

from gguf import GGUFReader
from tokenizers import Tokenizer

WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}


def split(pattern):
    regex = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [regex, BYTES]}


MODELS = {
    "qwen2": dict(pre=split(WORDS % ""), nfc=True, bos="<|endoftext|>", eos="<|im_end|>"),
    "llama-bpe": dict(
        pre=split(WORDS % "{1,3}"), nfc=False, ignore_merges=True, bos="<|begin_of_text|>", eos="<|eot_id|>"
    ),
    "gemma-4": dict(pre=None, nfc=False, words=True, bos="<bos>", eos="<turn|>"),
}


def field(reader, name):
    found = reader.fields.get(name)
    return None if found is None else found.contents()


def build(path, pre, nfc, bos, eos, ignore_merges=False, words=False):
    reader = GGUFReader(path)
    tokens, kinds, merges = (field(reader, f"tokenizer.ggml.{name}") for name in ("tokens", "token_type", "merges"))
    # Kinds: 3 control, 4 defined by the user.
    added = [
        {"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": k == 3}
        for i, (t, k) in enumerate(zip(tokens, kinds))
        if k in (3, 4)
    ]
    names = {token["content"] for token in added}
    model = {
        "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
        "fuse_unk": False, "byte_fallback": words, "ignore_merges": ignore_merges,
        "vocab": {t: i for i, t in enumerate(tokens) if words or t not in names},
        "merges": [merge.split(" ", 1) for merge in merges],
    }  # fmt: skip
    normalizer = {"type": "NFC"} if nfc else None
    decoder = BYTES
    if words:
        normalizer = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
        back = {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}
        decoder = {"type": "Sequence", "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"}]}
    file = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": normalizer,
        "pre_tokenizer": pre, "post_processor": None, "decoder": decoder, "model": model,
    }  # fmt: skip
    assert bos in tokens and eos in tokens, (bos, eos, [t["content"] for t in added][:40])
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": bos, "eos_token": eos, "pad_token": bos}
    return file, config


def check(path, vectors, expected):
    """How many of llama.cpp's vectors agree."""
    tokenizer = Tokenizer.from_file(str(path))
    texts = vectors.read_bytes().decode().split("\n__ggml_vocab_test__\n")
    lines = expected.read_text().split("\n")
    pairs = [(text, [int(i) for i in line.split()]) for text, line in zip(texts, lines)]
    return sum(tokenizer.encode(text, add_special_tokens=False).ids == ids for text, ids in pairs), len(pairs)


def main(archive, out):
    out = pathlib.Path(out)
    with tarfile.open(archive) as opened:
        wanted = re.compile(r"models/ggml-vocab-(" + "|".join(map(re.escape, MODELS)) + r")\.gguf(\.inp|\.out)?$")
        for member in opened:
            if wanted.search(member.name):
                target = out / "gguf" / pathlib.PurePath(member.name).name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(opened.extractfile(member).read())
    for name, how in MODELS.items():
        source = out / "gguf" / f"ggml-vocab-{name}.gguf"
        file, config = build(source, **how)
        folder = out / name
        folder.mkdir(exist_ok=True)
        (folder / "tokenizer.json").write_text(json.dumps(file, ensure_ascii=False), encoding="utf-8")
        (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
        right, all_ = check(folder / "tokenizer.json", source.with_suffix(".gguf.inp"), source.with_suffix(".gguf.out"))
        print(f"{name}: {len(file['model']['vocab'])} tokens, {right} of {all_} of llama.cpp's vectors")


if __name__ == "__main__":
    main(*sys.argv[1:])
