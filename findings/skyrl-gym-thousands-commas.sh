#!/usr/bin/env bash
# skyrl-gym 0.4.0, environment gsm8k: the scorer takes thousands commas out of the model's number and not out of the ground truth. An answer
# that GSM8K itself writes as "1,200" is wrong however a model writes it, right answers included, without a word. (The scorer of
# verl 0.9.1 for `openai/gsm8k` is the same.) datac's `answer: final` writes ground truths without commas.
# Seen: no point for "1200" and "1,200" against "1,200", a point for both against "1200".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet skyrl-gym==0.4.0
cd "$folder"
seen=$(venv/bin/python - 2>/dev/null <<'PY'
import skyrl_gym

for truth in ["1,200", "1200"]:
    for answer in ["1200", "1,200"]:
        extras = {"reward_spec": {"method": "rule", "ground_truth": truth}}
        env = skyrl_gym.make("gsm8k", env_config={}, extras=extras)
        reward = env.step(f"#### {answer}")["reward"]
        print(f"{answer} against {truth}: {reward}")
PY
)
expected=$(cat <<'SEEN'
1200 against 1,200: 0.0
1,200 against 1,200: 0.0
1200 against 1200: 1.0
1,200 against 1200: 1.0
SEEN
)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected"; exit 1; }
