#!/usr/bin/env bash
# Reads outputs with every trainer that setup.sh has installed.
#
#     tests/consumers/run.sh OUTPUTS [FOLDER]
#
# OUTPUTS holds <recipe>/<shape>/…, with the recipes' names of cases.json; FOLDER is what setup.sh was given. The log of
# each trainer is FOLDER/<name>.log. TRACE=1 adds tracebacks to it.
set -uo pipefail

outputs=${1:?the folder of outputs}
folder=${2:-${TMPDIR:-/tmp}/datac-consumers}
here=$(cd "$(dirname "$0")" && pwd)
failed=0
for name in trl llama-factory openrlhf swift verl axolotl mlcroissant; do
    if [ ! -f "$folder/$name/complete" ]; then
        echo "$name: not installed"
        continue
    fi
    PYTHONDONTWRITEBYTECODE=1 "$folder/$name/bin/python" "$here/read_${name//-/_}.py" "$outputs" 2>"$folder/$name.log" || failed=1
done
exit $failed
