#!/usr/bin/env bash
# Makes one virtual environment a trainer, with pinned versions, and says what could not be installed.
#
#     tests/consumers/setup.sh [FOLDER] [NAME…]
#
# FOLDER is ${TMPDIR:-/tmp}/datac-consumers by default; without names, all are made. Environments that are complete are
# kept. Packages come from the index that pip is set up for. PyTorch's only wheel there for Linux brings the libraries
# of an accelerator along (5 GB, shared between the environments by hard links); none is used.
set -uo pipefail

folder=${1:-${TMPDIR:-/tmp}/datac-consumers}
shift || true
wanted=" ${*:-trl llama-factory openrlhf swift verl axolotl skyrl prime-rl megatron olmo openai mlcroissant moto} "
torch=torch==2.15.0
missing=()
export UV_PYTHON_DOWNLOADS=never
mkdir -p "$folder"

# The first interpreter of this version that runs.
python_of() {
    local at
    for at in "$(command -v "python$1" || true)" "$HOME"/.pyenv/versions/"$1".*/bin/"python$1" /usr/bin/"python$1"; do
        [ -x "$at" ] && "$at" -c '' 2>/dev/null && { echo "$at"; return; }
    done
}

uv=$folder/uv/bin/uv
if [ ! -x "$uv" ]; then
    python3 -m venv "$folder/uv" && "$folder/uv/bin/pip" install -q uv==0.13.8 || { echo "uv: not installed" >&2; exit 1; }
fi

# make NAME PYTHON MODULES [-- PACKAGE… [--no-deps PACKAGE…]]: the packages behind --no-deps come without what they name.
make() {
    local name=$1 version=$2 modules=$3 at=$folder/$1 python alone=() with=() bare=
    shift 3
    case $wanted in *" $name "*) ;; *) return ;; esac
    for package in "$@"; do
        if [ "$package" = --no-deps ]; then bare=1; elif [ "$bare" ]; then alone+=("$package"); else with+=("$package"); fi
    done
    if [ -f "$at/complete" ] && [ "$(cat "$at/complete")" = "$*" ]; then echo "$name: as it is"; return; fi
    python=$(python_of "$version")
    if [ -z "$python" ]; then missing+=("$name (no Python $version)"); return; fi
    rm -rf "$at"
    if "$uv" venv -q --python "$python" "$at" &&
        { [ ${#with[@]} = 0 ] || "$uv" pip install -q --python "$at/bin/python" "${with[@]}"; } &&
        { [ ${#alone[@]} = 0 ] || "$uv" pip install -q --python "$at/bin/python" --no-deps "${alone[@]}"; } &&
        CUDA_VISIBLE_DEVICES='' DISABLE_VERSION_CHECK=1 "$at/bin/python" -c "import $modules" >"$at/import.log" 2>&1; then
        echo "$*" >"$at/complete"
        echo "$name: made"
    else
        tail -n 3 "$at/import.log" 2>/dev/null
        missing+=("$name")
    fi
}

make trl 3.11 trl,datasets trl==1.16.0 transformers==5.23.0 datasets==5.2.0 pyarrow==26.0.1 pandas==3.1.1 zstandard $torch
make mlcroissant 3.11 mlcroissant mlcroissant==1.1.1 pyarrow==26.0.1 pandas==3.1.1
make llama-factory 3.11 llamafactory.data llamafactory==0.9.5 $torch
make swift 3.11 swift.dataset ms-swift==4.6.0 $torch
make verl 3.11 verl.utils.dataset.rl_dataset verl==0.9.1 $torch
make openrlhf 3.11 openrlhf.datasets transformers==5.15.0 datasets==5.2.0 accelerate jsonlines pylatexenc $torch \
    --no-deps openrlhf==0.11.2
# Its pins name attention kernels that only build beside an accelerator, so what the data code imports is listed here.
make axolotl 3.12 axolotl.utils.data.sft transformers==5.20.1 tokenizers==0.23.3 accelerate==1.15.0 datasets==5.0.1 \
    trl==1.14.1 peft==0.21.2 pydantic==2.13.5 typer==0.25.1 mistral-common==1.12.0 axolotl-contribs-lgpl==0.0.7 \
    axolotl-contribs-mit==0.0.6 addict fire PyYAML colorama python-dotenv posthog requests einops nvidia-ml-py kernels \
    scipy sentencepiece wandb packaging schedulefree numba zstandard $torch --no-deps axolotl==0.21.0
# Its data code runs without its accelerator extras. NeMo-RL's, from a checkout, runs in the same environment.
make skyrl 3.12 skyrl.train.sft_trainer,skyrl.train.dataset.dataset transformers==5.16.1 datasets==5.2.0 ray==2.57.0 peft==0.18.1 \
    torchdata loguru tqdm omegaconf hydra-core==1.3.4 jaxtyping tensordict func_timeout cloudpathlib fsspec s3fs gcsfs tensorboard \
    wandb polars orjson pybase64 soundfile scipy zstandard $torch --no-deps skyrl==0.4.0 skyrl-gym==0.4.0
# What the data code of prime-rl, from a checkout, imports.
make prime-rl 3.12 renderers.default,torchdata renderers==0.1.12 transformers==5.15.0 datasets==5.2.0 torchdata jaxtyping zstandard $torch
make megatron 3.11 megatron.core.datasets.gpt_dataset,megatron.core.datasets.helpers megatron-core==0.16.1 pyarrow==26.0.1 $torch
make olmo 3.11 olmo_core.data,yaml ai2-olmo-core==3.0.0 pyarrow==26.0.1 PyYAML torch==2.13.0
# A server of S3, no trainer.
make moto 3.11 moto.server,boto3 'moto[server]==5.2.5' boto3==1.44.8
make openai 3.11 openai,pydantic,jsonschema openai==3.57.0 pydantic jsonschema

if [ ${#missing[@]} -gt 0 ]; then
    printf 'not installed: %s\n' "${missing[@]}"
    exit 1
fi
