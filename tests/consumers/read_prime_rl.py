"""Reads the shape `prime-rl` with prime-rl's own dataset for SFT, from a checkout, since it is no package.

    PRIME_RL=CHECKOUT python read_prime_rl.py OUTPUTS [CASES]

What it imports beside its data code (configuration, log) is stood in for. Its renderers are classes of one model each; the one
here asks the bench's template, and says which tokens the model would have written.
"""

import logging
import os
import sys
import types

from common import Report, marked, rendered, same, tokenizer, tool_schemas


class LossMaskConfig:
    system, user, assistant, tool = False, False, True, False


def stand_in(name, **what):
    module = types.ModuleType(name)
    vars(module).update(what)
    sys.modules[name] = module


sys.path.insert(0, os.path.join(os.environ["PRIME_RL"], "src"))
stand_in("prime_rl.configs")
stand_in("prime_rl.configs.sft", LossMaskConfig=LossMaskConfig, DataConfig=object, SFTDataConfig=object)
stand_in("prime_rl.utils.logger", get_logger=lambda: logging.getLogger("prime-rl"))

import dataclasses

from prime_rl.trainer.sft.data import SFTDataset, setup_and_interleave_datasets
from renderers.base import RenderedTokens
from renderers.default import DefaultRenderer, _decode_tool_call_arguments

words = tokenizer()


class BenchRenderer(DefaultRenderer):
    def render(self, messages, *, tools=None, add_generation_prompt=False):
        made = super().render(messages, tools=tools, add_generation_prompt=add_generation_prompt)
        mask = words.apply_chat_template(
            _decode_tool_call_arguments(messages), tools=tools, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
        )["assistant_masks"]
        return dataclasses.replace(made, sampled_mask=[bool(one) for one in mask])


def conversations(output):
    rows = setup_and_interleave_datasets(str(output.folder), [(None, "train")], None, "all_exhausted")
    made = SFTDataset(rows, BenchRenderer(words), shuffle=True, seq_len=1 << 16, max_epochs=1)
    got = []
    for row in made:
        # Labels are of the token that follows; the first token has none.
        ids = [row["input_ids"][0], *row["target_ids"]]
        got.append(marked(words, ids, [0, *(int(one) for one in row["loss_mask"])]))
    note = same(got, [rendered(row["turns"], tool_schemas(row)) for row in output.rows])
    output.check_unfit()
    return note


if __name__ == "__main__":  # workers of some trainers import this file again
    report = Report("prime-rl")
    for _, output in report.outputs("prime-rl", kinds={"conversation"}):
        report.run(f"{output.recipe}/{output.shape} conversations", conversations, output)
    report.close()
