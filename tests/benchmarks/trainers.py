"""Train a model with one system, for so many steps or so long, and print what it did.

    python trainers.py SYSTEM MODEL_FOLDER TOKEN_FILE steps|minutes NUMBER [--output FOLDER]
        [--batch 16] [--rate 1.8e-3] [--precision bf16] [--seed 0]

SYSTEM is one of
tweetgen         this project's training loop with its default settings
tweetgen-full    the same, but training all weights where adapters are the default
trainer-peft     transformers.Trainer with peft's adapters: rank 16 on all linear layers, as ours,
                 batches of equal length, no dropout, a cosine, the best epoch by held-out loss
trainer          the same, training all weights
trl-peft         TRL's SFTTrainer with the same adapters and without padding: the tweets of a batch
                 stand in one row, each one sees only itself

The precision is that of the peers' arithmetic: bf16 is autocast over float32 weights, bf16-frozen
keeps the weights beneath the adapters in 16 bits. Run by the python that has the system. Prints one
line of JSON: real tokens a second after the first steps, steps, and peak memory.
"""

import argparse
import itertools
import json
import random
import sys
import tempfile
import time
from pathlib import Path

import torch

WARM_UP_STEPS = 2
RANK, ALPHA = 16, 32
DROPOUTS = ("attn_pdrop", "embd_pdrop", "resid_pdrop")  # GPT-2's; Llama types have none
QUIET = {
    "use_cpu": True,
    "report_to": [],
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
            "seconds_per_step": seconds / max(1, self.steps - WARM_UP_STEPS),
            "steps": self.steps,
        }


def tweetgen(arguments, meter):
    """Train with this project's loop for so many steps, holding nothing out: for its speed."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
    import dataclasses

    from tweetgen import models, storage
    from tweetgen.dataset import TokenizedTweets
    from tweetgen.device import choose_precision
    from tweetgen.settings import TrainingSettings
    from tweetgen.training import StepReport, Training

    tokens = TokenizedTweets.from_file(storage.load_tokens(arguments.token_file))
    tokens = dataclasses.replace(tokens, validation_start=len(tokens.offsets) - 1)
    settings = TrainingSettings(
        epochs=1000, patience=0, batch_size=arguments.batch, max_steps=int(arguments.number)
    )
    if arguments.system == "tweetgen-full":
        settings = dataclasses.replace(settings, lora_rank=0)
    cpu = torch.device("cpu")
    precision = choose_precision("auto", cpu)
    model = models.load_pretrained(arguments.folder).model
    training = Training(model, tokens, settings, device=cpu, precision=precision)
    for report in training.run(lambda: False):
        if isinstance(report, StepReport):
            meter.add(report.tokens)
    return str(precision).removeprefix("torch.")


def rows_of(tokens):
    """Rows to train on and rows held out: EOS tweet EOS."""
    ids, end = tokens["ids"].tolist(), tokens["eos_token_id"]
    rows = [[end, *ids[a:b]] for a, b in itertools.pairwise(tokens["offsets"].tolist())]
    return rows[: tokens["validation_start"]], rows[tokens["validation_start"] :]


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
    ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    mask = torch.arange(length) < lengths[:, None]
    return {"input_ids": ids, "labels": ids.where(mask, -100), "attention_mask": mask.long()}


def load(folder, precision):
    """The model of a folder, without dropout."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder)
    for name in DROPOUTS:
        if hasattr(config, name):
            setattr(config, name, 0.0)
    dtype = "bfloat16" if precision == "bf16-frozen" else "float32"
    kind = transformers.AutoModelForCausalLM
    return kind.from_pretrained(folder, config=config, dtype=dtype)


def adapters():
    """What peft adds: the rank and the layers of tweetgen's own adapters."""
    import peft

    return peft.LoraConfig(
        r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def metered(kind, meter, minutes):
    """This kind of trainer, telling the meter its real tokens and stopping when its time is up."""
    import transformers

    class Stop(transformers.TrainerCallback):
        def on_train_begin(self, *_, **__):
            self.start = time.perf_counter()

        def on_step_end(self, arguments, state, control, **_):
            meter.add(meter.tokens_of_step)
            over = minutes and time.perf_counter() - self.start >= 60 * minutes
            control.should_training_stop |= bool(over)

    class Metered(kind):
        def __init__(self, *arguments, **settings):
            super().__init__(*arguments, **settings, callbacks=[Stop()])

        def training_step(self, model, inputs, *rest):
            loss = super().training_step(model, inputs, *rest)
            meter.tokens_of_step = int((inputs["labels"][:, 1:] != -100).sum())
            return loss

    return Metered


def num_steps(arguments, rows, loss_of):
    """How many steps are wanted, or about how many fit into so many minutes: three are tried."""
    if arguments.unit == "steps":
        return int(arguments.number)
    spread = batches_of_all_lengths(rows, arguments.batch, 3)
    start = time.perf_counter()
    for first in range(0, len(spread), arguments.batch):
        loss_of(spread[first : first + arguments.batch]).backward()
    return max(3, int(180 * arguments.number / (time.perf_counter() - start)))


def settings_of(arguments):
    """What both trainers are given."""
    return QUIET | {
        "per_device_train_batch_size": arguments.batch,
        "per_device_eval_batch_size": 4 * arguments.batch,
        "bf16": arguments.precision.startswith("bf16"),
        "learning_rate": arguments.rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.05,
        "seed": arguments.seed,
    }


def trainer(arguments, meter):
    """Train with transformers.Trainer."""
    import peft
    import transformers

    rows, held_out = rows_of(torch.load(arguments.token_file, weights_only=True))
    model = load(arguments.folder, arguments.precision)
    if arguments.system == "trainer-peft":
        model = peft.get_peft_model(model, adapters())
    settings = settings_of(arguments)
    is_timed = arguments.unit == "minutes"
    if is_timed:
        settings |= {"train_sampling_strategy": "group_by_length", "length_column_name": "length"}
        settings |= {"eval_strategy": "epoch", "save_strategy": "epoch", "save_total_limit": 1}
        settings |= {"load_best_model_at_end": True, "prediction_loss_only": True}
    else:
        settings |= {"train_sampling_strategy": "sequential", "save_strategy": "no"}

    def loss_of(rows):
        with torch.autocast("cpu", torch.bfloat16, enabled=settings["bf16"]):
            return model(**collate([{"input_ids": row} for row in rows])).loss

    steps = num_steps(arguments, rows, loss_of)
    model.zero_grad()
    if not is_timed:
        rows = batches_of_all_lengths(rows, arguments.batch, steps)
    with tempfile.TemporaryDirectory() as place:
        metered(transformers.Trainer, meter, is_timed and arguments.number)(
            model,
            transformers.TrainingArguments(
                place, max_steps=steps, remove_unused_columns=False, **settings
            ),
            train_dataset=[{"input_ids": row, "length": len(row)} for row in rows],
            eval_dataset=[{"input_ids": row} for row in held_out],
            data_collator=collate,
        ).train()
    if arguments.output:
        model = model.merge_and_unload() if arguments.system == "trainer-peft" else model
        model.float().save_pretrained(arguments.output)
    return arguments.precision


def trl(arguments, meter):
    """Train with TRL's SFTTrainer for so many steps."""
    import datasets
    import transformers
    import trl

    rows, _ = rows_of(torch.load(arguments.token_file, weights_only=True))
    settings = settings_of(arguments) | {"save_strategy": "no", "max_steps": int(arguments.number)}
    with tempfile.TemporaryDirectory() as place:
        metered(trl.SFTTrainer, meter, 0)(
            load(arguments.folder, arguments.precision),
            trl.SFTConfig(
                place,
                padding_free=True,
                max_length=None,  # padding_free wants it so
                gradient_checkpointing=False,
                **settings,
            ),
            train_dataset=datasets.Dataset.from_dict({"input_ids": rows}),
            processing_class=transformers.AutoTokenizer.from_pretrained(arguments.folder),
            peft_config=adapters(),
        ).train()
    return arguments.precision


SYSTEMS = {
    "tweetgen": tweetgen,
    "tweetgen-full": tweetgen,
    "trainer-peft": trainer,
    "trainer": trainer,
    "trl-peft": trl,
}


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("system", choices=SYSTEMS)
    flags.add_argument("folder")
    flags.add_argument("token_file")
    flags.add_argument("unit", choices=("steps", "minutes"))
    flags.add_argument("number", type=float)
    flags.add_argument("--output", default="")
    flags.add_argument("--batch", type=int, default=16)
    flags.add_argument("--rate", type=float, default=1e-3)
    flags.add_argument("--precision", default="fp32", choices=("fp32", "bf16", "bf16-frozen"))
    flags.add_argument("--seed", type=int, default=0)
    arguments = flags.parse_args()
    if arguments.unit == "steps":
        arguments.number += WARM_UP_STEPS
    meter = Meter()
    precision = SYSTEMS[arguments.system](arguments, meter)
    # Not ru_maxrss, in which the memory of the process that started this one is left.
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    print(json.dumps(meter.figures() | {"precision": precision, "peak_bytes": peak}))


if __name__ == "__main__":
    main()
