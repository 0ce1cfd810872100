#!/usr/bin/env bash
# transformers 5.23.0, jinja2 3.1.6: `return_assistant_tokens_mask` does not always give the tokens of `{% generation %}` blocks.
# A block in a macro is counted from where the macro began to write, not from where its text stands. Of a last character that is
# several tokens (an emoji, with a byte-level vocabulary) the first one alone is trained on. An empty block trains on the token that
# follows it. Each time the mask is wrong without a word. datac trains on the tokens of what the block wrote.
# Seen: "[m]Y" instead of "Yes!", one token of the four of an emoji, and the "]" behind an empty answer.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet transformers==5.23.0 jinja2==3.1.6
cd "$folder"
seen=$(venv/bin/python - 2>/dev/null <<'PY'
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

# Each byte is a token.
raw = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[]))
raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
raw.decoder = decoders.ByteLevel()
words = PreTrainedTokenizerFast(tokenizer_object=raw)

BLOCK = "{% generation %}{{ m.content }}{% endgeneration %}"
PLAIN = "{% for m in messages %}[" + BLOCK + "]{% endfor %}"
MACRO = "{% macro turn(m) %}[m]" + BLOCK + "{% endmacro %}{% for m in messages %}{{ turn(m) }}{% endfor %}"


def trained(template, answer):
    made = words.apply_chat_template(
        [{"role": "assistant", "content": answer}], chat_template=template, return_dict=True, return_assistant_tokens_mask=True
    )
    text = words.decode(made["input_ids"])
    ids = [token for token, on in zip(made["input_ids"], made["assistant_masks"]) if on]
    print(ascii(text), "trains on", len(ids), "tokens:", ascii(words.decode(ids)))


trained(PLAIN, "Yes!")
trained(MACRO, "Yes!")
trained(PLAIN, "\U0001f600")
trained(PLAIN, "")
PY
)
expected=$(cat <<'SEEN'
'[Yes!]' trains on 4 tokens: 'Yes!'
'[m]Yes!' trains on 4 tokens: '[m]Y'
'[\U0001f600]' trains on 1 tokens: '\ufffd'
'[]' trains on 1 tokens: ']'
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
