#!/usr/bin/env bash
# Reads outputs with every trainer that setup.sh has installed.
#
#     tests/consumers/run.sh OUTPUTS [FOLDER [CASES]]
#
# OUTPUTS holds <recipe>/<shape>/…, with the recipes' names of CASES (cases.json); FOLDER is what setup.sh was given. The log
# of each trainer is FOLDER/<name>.log. TRACE=1 adds tracebacks to it. NEMO_RL and PRIME_RL name checkouts of these trainers,
# which are no packages.
set -uo pipefail

outputs=${1:?the folder of outputs}
folder=${2:-${TMPDIR:-/tmp}/datac-consumers}
here=$(cd "$(dirname "$0")" && pwd)
failed=0
for name in trl llama-factory openrlhf swift verl axolotl skyrl prime-rl nemo-rl openai mlcroissant; do
    checkout=${name^^}
    checkout=${checkout/-/_}
    case $name in
        prime-rl | nemo-rl) [ -n "${!checkout:-}" ] || { echo "$name: no checkout in $checkout"; continue; } ;;
    esac
    environment=${name/nemo-rl/skyrl}
    if [ ! -f "$folder/$environment/complete" ]; then
        echo "$name: not installed"
        continue
    fi
    PYTHONDONTWRITEBYTECODE=1 "$folder/$environment/bin/python" "$here/read_${name//-/_}.py" "$outputs" ${3:+"$3"} \
        2>"$folder/$name.log" || failed=1
done
exit $failed
