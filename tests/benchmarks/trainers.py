"""Train a model with one system, for so many steps or so long, and print what it did.

    python trainers.py SYSTEM MODEL_FOLDER TOKEN_FILE steps|minutes NUMBER [OUTPUT_FOLDER]
        [--batch 16]

SYSTEM is one of
tweetgen         this project's training loop with its default settings, but training all weights
tweetgen-lora    the same with adapters, its default for large models
trainer          transformers.Trainer as it is: padded to the longest of a batch, dropout as the
                 model's config has it, learning rate 5e-5
trainer-best     the same with batches of equal length, no dropout, bf16 where the processor has it,
                 tweetgen's learning rate, and a cosine, which serves it better than no schedule
trainer-peft     as trainer-best, but adapters of peft: rank 16, on all linear layers, tweetgen's
                 learning rate for adapters
trl              TRL's SFTTrainer without padding: the tweets of a batch stand in one row, each one
                 sees only itself; no dropout, precision, learning rate and schedule as above
concatenate      as trainer-best, on blocks of BLOCK tokens cut from all tweets one after another,
                 as the run_clm script does

Batches hold so many tweets, or blocks of as many tokens. Run by the python that has the system.
Prints one line of JSON: real tokens a second and seconds a step, after the first steps, the number
of steps and peak memory.
"""

import argparse
import itertools
import json
import random
import resource
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import torch

BLOCK = 128
WARM_UP_STEPS = 2
OURS = {
    "tweetgen": {"lora_rank": 0},
    "tweetgen-lora": {"lora_rank": 16},
}
# The learning rate of tweetgen for models/base
SCHEDULE = {"learning_rate": 5.7e-4, "lr_scheduler_type": "cosine", "warmup_steps": 0.05}
ADAPTER_RATE = 2.4e-3  # of tweetgen for SmolLM2-135M
GROUPED = ("trainer-best", "trainer-peft")  # batches of similar lengths
DROPOUTS = ("attn_pdrop", "embd_pdrop", "resid_pdrop")  # GPT-2's; Llama types have none
QUIET = {
    "use_cpu": True,
    "report_to": [],
    "save_strategy": "no",
    "logging_strategy": "no",
    "disable_tqdm": True,
    "dataloader_pin_memory": False,
}


class Meter:
    """Real tokens and seconds of all steps but the first few."""

    def __init__(self):
        self.steps = self.tokens = 0
        self.start = time.perf_counter()

    def add(self, num_tokens):
        self.steps += 1
        if self.steps <= WARM_UP_STEPS:
            self.start = time.perf_counter()
        else:
            self.tokens += num_tokens

    def figures(self):
        """Tokens a second and seconds a step until now."""
        seconds = time.perf_counter() - self.start
        return {
            "tokens_per_second": self.tokens / seconds,
            "seconds_per_step": seconds / (self.steps - WARM_UP_STEPS),
            "steps": self.steps,
        }


def tweetgen(system, folder, token_file, plan, meter):
    """Train with this project's loop; the best weights by its own validation."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
    from tweetgen import models, storage
    from tweetgen.dataset import Tokens
    from tweetgen.device import choose_precision
    from tweetgen.settings import TrainingSettings
    from tweetgen.training import StepReport, Training
    from tweetgen.training.lora import final_weights

    tokens = Tokens.from_file(storage.load_tokens(token_file))
    settings = TrainingSettings(epochs=1000, patience=0, **OURS[system], **plan)
    cpu = torch.device("cpu")
    if "max_steps" in plan:  # only the speed is wanted: hold nothing out
        import dataclasses

        tokens = dataclasses.replace(tokens, validation_start=len(tokens.offsets) - 1)
    model = models.load_pretrained(folder).model
    training = Training(
        model, tokens, settings, device=cpu, precision=choose_precision("auto", cpu)
    )
    for report in training.run():
        if isinstance(report, StepReport):
            meter.add(report.tokens)
    with training.best_in_place():
        weights = final_weights(training.model, torch.float32)
    return models.model_from_weights(models.config_json_of(training.model), weights)


def rows_of(tokens, whole):
    """Training rows: EOS tweet EOS, or blocks of all tweets one after another."""
    ids, offsets = tokens["ids"].tolist(), tokens["offsets"].tolist()
    end = tokens["eos_token_id"]
    border = tokens["validation_start"]
    if whole:
        return [[end, *ids[a:b]] for a, b in itertools.pairwise(offsets[: border + 1])]
    ids = [end, *ids[: offsets[border]]]
    return [ids[i : i + BLOCK] for i in range(0, len(ids) - BLOCK, BLOCK)]


def batches_of_all_lengths(rows, size, num_batches):
    """Rows that form batches of equal length, as group_by_length makes them, from all lengths.

    The Trainer begins with the longest tweets of 800; a few steps would see only those.
    """
    rows = sorted(rows, key=len)
    batches = [rows[i : i + size] for i in range(0, len(rows) - size + 1, size)]
    middles = [(2 * n + 1) * len(batches) // (2 * num_batches) for n in range(num_batches)]
    random.Random(0).shuffle(middles)
    return [row for middle in middles for row in batches[middle]]


def collate(rows):
    """A padded batch; padding is masked by length."""
    rows = [row["input_ids"] for row in rows]
    length = max(map(len, rows))
    lengths = torch.tensor(list(map(len, rows)))
    pad = [[0] * (length - len(row)) for row in rows]
    ids = torch.tensor([row + zeros for row, zeros in zip(rows, pad, strict=True)])
    mask = torch.arange(length) < lengths[:, None]
    return {"input_ids": ids, "labels": ids.where(mask, -100), "attention_mask": mask.long()}


def load(folder, keep_dropout=False):
    """The model of a folder, in float32."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder)
    for name in DROPOUTS:
        if hasattr(config, name) and not keep_dropout:
            setattr(config, name, 0.0)
    kind = transformers.AutoModelForCausalLM
    return kind.from_pretrained(folder, config=config, dtype="float32")


def with_adapters(model):
    """The model with peft's adapters, as many as tweetgen's."""
    import peft

    config = peft.LoraConfig(
        r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return peft.get_peft_model(model, config)


def has_bf16():
    """Whether the processor multiplies in bf16; where it does not, that is slower than float32."""
    features = torch.cpu.get_capabilities()
    return any(features.get(name) for name in ("avx512_bf16", "amx_bf16"))


def metered(kind, meter, plan):
    """This kind of trainer, telling the meter its real tokens and stopping when its time is up."""
    import transformers

    class Stop(transformers.TrainerCallback):
        def on_train_begin(self, *_, **__):
            self.start = time.perf_counter()

        def on_step_end(self, arguments, state, control, **_):
            meter.add(meter.tokens_of_step)
            over = "max_minutes" in plan and minutes_since(self.start) >= plan["max_minutes"]
            control.should_training_stop |= over

    class Metered(kind):
        def __init__(self, *arguments, **settings):
            super().__init__(*arguments, **settings, callbacks=[Stop()])

        def training_step(self, model, inputs, *rest):
            loss = super().training_step(model, inputs, *rest)
            meter.tokens_of_step = int((inputs["labels"][:, 1:] != -100).sum())
            return loss

    return Metered


def trainer(system, folder, token_file, plan, meter):
    """Train with transformers.Trainer; the last weights."""
    import transformers

    tokens = torch.load(token_file, weights_only=True)
    rows = rows_of(tokens, whole=system != "concatenate")
    is_plain = system == "trainer"
    model = load(folder, keep_dropout=is_plain)
    batch = plan["batch_size"]
    if system == "concatenate":
        batch = max(1, round(batch * mean_length(tokens) / BLOCK))
    settings = {} if is_plain else {"bf16": has_bf16(), **SCHEDULE}
    if system == "trainer-peft":
        model, settings["learning_rate"] = with_adapters(model), ADAPTER_RATE
    if system in GROUPED and "max_steps" in plan:
        settings["train_sampling_strategy"] = "sequential"
        rows = batches_of_all_lengths(rows, batch, plan["max_steps"])
    elif system in GROUPED:
        settings |= {"train_sampling_strategy": "group_by_length", "length_column_name": "length"}

    def loss_of(rows):
        return model(**collate(rows)).loss

    arguments = transformers.TrainingArguments(
        tempfile.gettempdir(),
        per_device_train_batch_size=batch,
        max_steps=num_steps(model, loss_of, rows, batch, plan),
        remove_unused_columns=False,
        **QUIET,
        **settings,
    )
    metered(transformers.Trainer, meter, plan)(
        model,
        arguments,
        train_dataset=[{"input_ids": row, "length": len(row)} for row in rows],
        data_collator=collate,
    ).train()
    return model


def trl(folder, token_file, plan, meter):
    """Train with TRL's SFTTrainer; the last weights."""
    import datasets
    import transformers
    import trl

    rows = rows_of(torch.load(token_file, weights_only=True), whole=True)
    model = load(folder)
    arguments = trl.SFTConfig(
        tempfile.gettempdir(),
        per_device_train_batch_size=plan["batch_size"],
        padding_free=True,
        max_length=None,  # padding_free wants it so
        gradient_checkpointing=False,
        bf16=has_bf16(),
        max_steps=1,
        **QUIET,
        **SCHEDULE,
    )
    trainer = metered(trl.SFTTrainer, meter, plan)(
        model,
        arguments,
        train_dataset=datasets.Dataset.from_dict({"input_ids": rows}),
        processing_class=transformers.AutoTokenizer.from_pretrained(folder),
    )

    def loss_of(rows):
        labelled = [row | {"labels": row["input_ids"]} for row in rows]
        return trainer.compute_loss(model, trainer.data_collator(labelled))

    trainer.args.max_steps = num_steps(model, loss_of, rows, plan["batch_size"], plan)
    trainer.train()
    return model


def mean_length(tokens):
    """Tokens of a tweet, EOS included."""
    return len(tokens["ids"]) / (len(tokens["offsets"]) - 1)


def minutes_since(start):
    return (time.perf_counter() - start) / 60


def num_steps(model, loss_of, rows, batch, plan):
    """How many steps are wanted, or about how many fit into so many minutes.

    For that three are tried, without an optimiser.
    """
    if "max_steps" in plan:
        return plan["max_steps"]
    step = max(1, len(rows) // (3 * batch))
    start = time.perf_counter()
    for first in range(0, 3 * batch * step, batch * step):
        chosen = rows[first : first + batch * step : step]
        loss_of([{"input_ids": row} for row in chosen]).backward()
    model.zero_grad()
    return int(3 * plan["max_minutes"] / minutes_since(start))


def main():
    flags = argparse.ArgumentParser()
    for name in ("system", "folder", "token_file", "unit"):
        flags.add_argument(name)
    flags.add_argument("number", type=float)
    flags.add_argument("output", nargs="?")
    flags.add_argument("--batch", type=int, default=16)
    arguments = flags.parse_args()
    plan = {"batch_size": arguments.batch}
    if arguments.unit == "minutes":
        plan["max_minutes"] = arguments.number
    else:
        plan["max_steps"] = int(arguments.number) + WARM_UP_STEPS
    meter = Meter()
    kind = tweetgen if arguments.system in OURS else trainer
    train = trl if arguments.system == "trl" else partial(kind, arguments.system)
    model = train(arguments.folder, arguments.token_file, plan, meter)
    figures = meter.figures()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if arguments.output:
        model.save_pretrained(arguments.output)
    print(json.dumps(figures | {"peak_bytes": peak}))


if __name__ == "__main__":
    main()
