#!/usr/bin/env bash
# transformers 5.23.0, jinja2 3.1.6: `return_assistant_tokens_mask` gives up at the first `{% generation %}` block whose beginning is
# no token, and masks no block behind it. So a conversation that is cut at its beginning (`truncation_side="left"`), within an
# answer or behind one, has a mask of zeros, though later answers are whole; and so has one whose first answer begins with a blank,
# under a tokenizer that has no tokens for blanks. No warning. datac cuts no conversations, and masks every answer by itself.
# Seen: uncut 2 of 2 answers, cut 0 of 1 whole answer, a leading blank 0 of 2.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet transformers==5.23.0 jinja2==3.1.6
cd "$folder"
seen=$(venv/bin/python - 2>/dev/null <<'PY'
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

words = "user assistant Why ? Because . And then Rest".split()
model = models.WordLevel({word: number for number, word in enumerate(["[UNK]", *words])}, unk_token="[UNK]")
inner = Tokenizer(model)
inner.pre_tokenizer = pre_tokenizers.Whitespace()
template = """{% for m in messages %}{{ m.role + ' ' }}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}
{% else %}{{ m.content }}
{% endif %}{% endfor %}"""


def masked(first, **how):
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", truncation_side="left", chat_template=template)
    chat = [("user", "Why ?"), ("assistant", first), ("user", "And then ?"), ("assistant", "Rest .")]
    chat = [{"role": role, "content": content} for role, content in chat]
    out = tokenizer.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True, **how)
    pairs = zip(out["input_ids"], out["assistant_masks"])
    return " ".join(f"[{word}]" if is_trained else word for id, is_trained in pairs for word in [tokenizer.decode([id])])


print(masked("Because ."))
print(masked("Because .", truncation=True, max_length=8))
print(masked(" Because ."))
PY
)
expected=$(cat <<'SEEN'
user Why ? assistant [Because] [.] user And then ? assistant [Rest] [.]
. user And then ? assistant Rest .
user Why ? assistant Because . user And then ? assistant Rest .
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
