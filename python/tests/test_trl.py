"""Rows into TRL's trainers, tiny and on a processor, and from steps of training back to the rows; skipped without TRL.

What a log says of a step is held against what the loss was computed of: the question of each row has a number of its own, which is
looked for in the decoded ids.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import datac
from conftest import PROJECT

pytest.importorskip("trl", reason="TRL is not installed")
pytest.importorskip("pyarrow")

ROWS = 40


def question(number):
    return f"What is number {number:03d}?"


def numbers_in(text):
    return re.findall(r"number (\d\d\d)\?", text)


def sft_row(number):
    return {"instruction": question(number), "input": "", "output": f"It is {number}." + " So it is." * (number % 4)}


KINDS = {
    "sft": [sft_row(number) for number in range(ROWS)],
    "dpo": [
        {"prompt": question(number), "chosen": f"It is {number}.", "rejected": "I do not know."} for number in range(ROWS)
    ],
    "kto": [
        {"prompt": question(number), "completion": f"It is {number}.", "label": number % 2 == 0} for number in range(ROWS)
    ],
    "rlaif": [{"prompt": question(number), "answer": str(number)} for number in range(ROWS)],
}


def workspace(folder, phase, output, more=""):
    """A workspace with one recipe over rows of a kind, built; the validation side is empty."""
    (folder / "config").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "data/rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in KINDS[phase]))
    (folder / "config/own.yaml").write_text(
        f"metadata: {{ phase: {phase} }}\ndatasets:\n  - {{ name: own, source: data/rows.jsonl }}\n"
        f"validation: {{ ratio: 0, seed: 1 }}\n{more}output: {output}\n"
    )
    # The sample hub has the model of the rows that are packed.
    ws = datac.Workspace(folder, hub="sample")
    ws.build()
    return ws


def words():
    """The tokenizer of datac's sample model, which has every byte."""
    from transformers import PreTrainedTokenizerFast

    folder = PROJECT / "crates/model/sample"
    config = json.loads((folder / "tokenizer_config.json").read_text())
    made = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), eos_token=config["eos_token"])
    made.pad_token = made.eos_token
    made.chat_template = (folder / "chat_template.jinja").read_text()
    return made


def tiny(tokenizer, kind="LlamaForCausalLM", **more):
    """A model with random weights."""
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        **more,
    )
    return getattr(transformers, kind)(config)


QUIET = {
    "report_to": [],
    "use_cpu": True,
    "bf16": False,
    "disable_tqdm": True,
    "save_strategy": "no",
    "logging_strategy": "no",
    "per_device_train_batch_size": 2,
    "gradient_checkpointing": False,
}


def seen_by_steps(trainer, key="input_ids"):
    """Notes, for each optimizer step, the ids that the loss is computed of."""
    import transformers

    steps, compute = {}, trainer.compute_loss

    def compute_loss(model, inputs, *more, **named):
        if model.training:
            steps.setdefault(trainer.state.global_step + 1, []).extend(inputs[key].tolist())
        assert not any("datac" in name for name in inputs), "the model is given nothing else"
        return compute(model, inputs, *more, **named)

    trainer.compute_loss = compute_loss
    assert isinstance(trainer, transformers.Trainer)
    return steps


def named_in(log):
    """The ids of each step in a log, the last training that began before it counts."""
    steps = {}
    for line in map(json.loads, log.read_text().splitlines()):
        if "begin" in line:
            steps = {step: ids for step, ids in steps.items() if step <= line["begin"]}
        else:
            steps[line["step"]] = line["ids"]
    return steps


def held_together(ws, log, seen, tokenizer, accumulated=1):
    """Holds a log against what was seen: the same rows in the same order, step by step."""
    rows = {row["id"]: json.dumps(row) for row in ws["config/own"].outputs["trl"].train}
    named = named_in(log)
    assert named.keys() == seen.keys() and named
    for step, ids in named.items():
        numbers = [numbers_in(rows[id])[0] for id in ids]
        decoded = [numbers_in(tokenizer.decode(one)) for one in seen[step]]
        assert [[number] for number in numbers] * (len(decoded) // len(numbers)) == decoded, step
    return named


def blamed(ws, log, step, capsys=None):
    """The numbers of the source lines that `datac blame` names."""
    found = []
    source = (ws.path / "data/rows.jsonl").read_text().splitlines()
    for row in ws.blame(log, step).rows:
        [made] = row.made_of
        assert made.source.file.endswith("data/rows.jsonl") and made.recipe == "config/own"
        found += numbers_in(source[made.source.line - 1])
    return found


@pytest.mark.parametrize("workers", [0, 2])
def test_ten_steps_of_sft_and_the_rows_of_the_fifth(tmp_path, workers):
    import datac.trl
    from trl import SFTTrainer

    ws = workspace(tmp_path / "ws", "sft", "{ shape: trl, id: true }")
    tokenizer = words()
    log = tmp_path / "rows.jsonl"
    taken = datac.trl.sft(
        ws, "config/own", output_dir=str(tmp_path / "run"), max_steps=10, gradient_accumulation_steps=2,
        dataloader_num_workers=workers, **QUIET,
    )
    assert len(taken["train_dataset"]) == ROWS and "eval_dataset" not in taken
    trainer = SFTTrainer(tiny(tokenizer), processing_class=tokenizer, **taken)
    datac.trl.RowIds(log, recipe="config/own").attach(trainer)
    seen = seen_by_steps(trainer)
    trainer.train()
    named = held_together(ws, log, seen, tokenizer)
    assert list(named) == list(range(1, 11)) and all(len(ids) == 4 for ids in named.values())
    assert len({id for ids in named.values() for id in ids}) == ROWS, "an epoch has each row once"
    seen_in_five = [numbers_in(tokenizer.decode(ids))[0] for ids in seen[5]]
    assert blamed(ws, log, 5) == seen_in_five
    # The command of the same wheel.
    told = subprocess.run(
        [sys.executable, "-m", "datac", "-C", str(ws.path), "blame", str(log), "--step", "5"],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()
    for line, number in zip(told, seen_in_five, strict=True):
        assert line.endswith(f"data/rows.jsonl:{int(number) + 1}"), line


def test_packed_rows_name_all_samples(tmp_path):
    import datac.trl
    from trl import SFTTrainer

    ws = workspace(tmp_path / "ws", "sft", "{ shape: tokens, pack: 200, id: true }", "model: datac/sample\n")
    tokenizer = words()
    log = tmp_path / "rows.jsonl"
    # Positions of packed rows need an attention that this model has not; which rows it sees is the same without.
    taken = datac.trl.sft(
        ws, "config/own", output_dir=str(tmp_path / "run"), max_steps=3, padding_free=False, **QUIET
    )
    assert taken["args"].max_length is None and taken["args"].padding_free is False
    assert datac.trl.sft(ws, "config/own", output_dir=str(tmp_path / "run"), **QUIET)["args"].padding_free is True
    trainer = SFTTrainer(tiny(tokenizer), processing_class=tokenizer, **taken)
    datac.trl.RowIds(log).attach(trainer)
    seen = seen_by_steps(trainer)
    trainer.train()
    named = named_in(log)
    assert any(len(ids) > 2 for ids in named.values()), "rows of several samples"
    for step, ids in named.items():
        assert len(set(ids)) == len(ids)
        assert blamed(ws, log, step) == [number for row in seen[step] for number in numbers_in(tokenizer.decode(row))]


def test_a_training_that_goes_on_from_a_checkpoint(tmp_path):
    import datac.trl
    from trl import SFTTrainer

    ws = workspace(tmp_path / "ws", "sft", "{ shape: trl, id: true }")
    tokenizer = words()
    log = tmp_path / "rows.jsonl"

    def train(steps, checkpoint=None):
        quiet = {**QUIET, "save_strategy": "steps"}
        taken = datac.trl.sft(
            ws, "config/own", output_dir=str(tmp_path / "run"), max_steps=30, save_steps=3, gradient_accumulation_steps=2, **quiet
        )
        trainer = SFTTrainer(tiny(tokenizer), processing_class=tokenizer, **taken)
        datac.trl.RowIds(log).attach(trainer)
        seen = seen_by_steps(trainer)
        if steps:
            from transformers import TrainerCallback

            class Killed(TrainerCallback):
                def on_step_end(self, args, state, control, **others):
                    control.should_training_stop = state.global_step == steps

            trainer.add_callback(Killed())
        trainer.train(resume_from_checkpoint=checkpoint)
        return seen

    first = train(8)
    # The line that was being written.
    with log.open("a") as file:
        file.write('{"step": 9, "ro')
    second = train(14, str(tmp_path / "run/checkpoint-3"))
    assert sorted(second) == list(range(4, 15)), "batches that were trained on are skipped"
    held_together(ws, log, {**{step: first[step] for step in (1, 2, 3)}, **second}, tokenizer)
    for step in (3, 4, 8, 14):
        seen = (second if step > 3 else first)[step]
        assert blamed(ws, log, step) == [numbers_in(tokenizer.decode(ids))[0] for ids in seen]


def test_other_trainers(tmp_path):
    import datac.trl
    import trl

    tokenizer = words()
    arguments = {"max_steps": 4, **QUIET}

    def train(phase, function, made, key, **more):
        folder = tmp_path / f"{phase}-{function.__name__}"
        ws = workspace(folder / "ws", phase, "{ shape: trl, id: true }")
        taken = function(ws, "config/own", output_dir=str(folder / "run"), **arguments, **more)
        trainer = made(taken)
        datac.trl.RowIds(folder / "rows.jsonl").attach(trainer)
        seen = seen_by_steps(trainer, key)
        trainer.train()
        return ws, folder / "rows.jsonl", seen

    # Trainers that compare with a model of reference load it from where the first one is.
    folder = str(tmp_path / "model")
    tiny(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)

    def causal(trainer, **more):
        return lambda taken: trainer(folder, processing_class=tokenizer, **more, **taken)

    # Both sides of each pair are in a batch.
    held_together(*train("dpo", datac.trl.dpo, causal(trl.DPOTrainer), "input_ids"), tokenizer)
    scorer = lambda taken: trl.RewardTrainer(  # noqa: E731
        tiny(tokenizer, "LlamaForSequenceClassification", num_labels=1), processing_class=tokenizer, **taken
    )
    held_together(*train("dpo", datac.trl.reward, scorer, "input_ids"), tokenizer)

    def score(completions, **others):
        return [float(len(str(completion)) % 7) for completion in completions]

    ws, log, seen = train(
        "rlaif", datac.trl.grpo, causal(trl.GRPOTrainer, reward_funcs=score), "prompt_ids",
        num_generations=2, steps_per_generation=2, num_iterations=2, max_completion_length=4, gradient_accumulation_steps=1,
    )
    # Completions of several rows are shuffled before they are trained on.
    held_together(ws, log, seen, tokenizer)

    ws, log, seen = train("kto", datac.trl.kto, causal(trl.KTOTrainer), "input_ids")
    held_together(ws, log, seen, tokenizer)


def test_several_processes_write_a_log_each(tmp_path):
    ws = workspace(tmp_path / "ws", "sft", "{ shape: trl, id: true }")
    script = tmp_path / "train.py"
    script.write_text(
        "import json, os, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import datac, datac.trl\n"
        "from test_trl import QUIET, seen_by_steps, tiny, words\n"
        "from trl import SFTTrainer\n"
        f"ws, tokenizer = datac.Workspace({str(ws.path)!r}), words()\n"
        f"taken = datac.trl.sft(ws, 'config/own', output_dir={str(tmp_path / 'run')!r}, max_steps=3, ddp_backend='gloo', **QUIET)\n"
        "trainer = SFTTrainer(tiny(tokenizer), processing_class=tokenizer, **taken)\n"
        f"datac.trl.RowIds({str(tmp_path / 'rows.jsonl')!r}).attach(trainer)\n"
        "seen = seen_by_steps(trainer)\n"
        "trainer.train()\n"
        f"open({str(tmp_path)!r} + '/seen' + os.environ['RANK'], 'w').write(json.dumps(seen))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29517", str(script)],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    tokenizer = words()
    logs = [tmp_path / f"rows.rank{rank}.jsonl" for rank in (0, 1)]
    seen = [json.loads((tmp_path / f"seen{rank}").read_text()) for rank in (0, 1)]
    everything = []
    for step in ("1", "2", "3"):
        by_rank = [[numbers_in(tokenizer.decode(ids))[0] for ids in seen[rank][step]] for rank in (0, 1)]
        assert [blamed(ws, log, int(step)) for log in logs] == by_rank
        together = [row.id for row in ws.blame(logs, int(step)).rows]
        assert len(together) == 4 and not set(together) & set(everything)
        everything += together


def test_what_is_missing_is_said(tmp_path):
    import datac.trl
    from trl import SFTTrainer

    ws = workspace(tmp_path / "native", "sft", "native")
    with pytest.raises(datac.ConfigError) as raised:
        datac.trl.sft(ws, "config/own")
    assert raised.value.hint == "write `output: [native, { shape: trl, id: true }]` in config/own.yaml, and build it"
    ws = workspace(tmp_path / "several", "sft", "[trl, trl-prompt-completion]")
    with pytest.raises(datac.ConfigError, match='shape="trl" or shape="trl-prompt-completion"'):
        datac.trl.sft(ws, "config/own")
    taken = datac.trl.sft(ws, "config/own", shape="trl-prompt-completion", output_dir=str(tmp_path / "run"), **QUIET)
    assert {"prompt", "completion"} <= set(taken["train_dataset"].column_names)
    with pytest.raises(datac.ConfigError, match="not for `GRPOTrainer`"):
        datac.trl.grpo(ws, "config/own")
    with pytest.raises(datac.ConfigError, match="does not read the shape `verl`"):
        datac.trl.sft(ws, "config/own", shape="verl")
    with pytest.raises(datac.ConfigError, match="PRMTrainer"):
        datac.trl.prm(ws, "config/own")
    tokenizer = words()
    trainer = SFTTrainer(tiny(tokenizer), processing_class=tokenizer, **taken)
    with pytest.raises(datac.ConfigError, match="no ids"):
        datac.trl.RowIds(tmp_path / "log").attach(trainer)
    (tmp_path / "unbuilt/config").mkdir(parents=True)
    (tmp_path / "unbuilt/config/own.yaml").write_text((tmp_path / "several/config/own.yaml").read_text())
    with pytest.raises(datac.ConfigError, match="has not been built"):
        datac.trl.sft(datac.Workspace(tmp_path / "unbuilt"), "config/own")
    ws = workspace(tmp_path / "packing", "sft", "{ shape: trl, id: true }")
    taken = datac.trl.sft(ws, "config/own", packing=True, max_length=64, output_dir=str(tmp_path / "run"), **QUIET)
    trainer = SFTTrainer(tiny(tokenizer), processing_class=tokenizer, **taken)
    with pytest.raises(datac.ConfigError, match="TRL packs the rows"):
        datac.trl.RowIds(tmp_path / "log").attach(trainer)
