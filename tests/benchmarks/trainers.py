"""Train a model with one system, for so many steps or so long, and print what it did.

    python trainers.py SYSTEM MODEL_FOLDER TOKEN_FILE steps|minutes NUMBER [OUTPUT_FOLDER]

SYSTEM is one of
tweetgen         this project's training loop with its default settings
trainer          transformers.Trainer as it is: padded to the longest of a batch, dropout as the
                 model's config has it, learning rate 5e-5
trainer-best     the same with batches of equal length, no dropout, bf16 where the processor has it,
                 and the learning rate and schedule that tweetgen uses
concatenate      as trainer-best, on blocks of BLOCK tokens cut from all tweets one after another,
                 as the run_clm script does

Batches hold BATCH tweets, or blocks of as many tokens. Run by the python that has the system.
"""

import itertools
import json
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

import torch

BATCH = 16
BLOCK = 128
WARM_UP_STEPS = 2
LEARNING_RATE = 5.7e-4  # of tweetgen for models/base


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

    def speed(self):
        return self.tokens / (time.perf_counter() - self.start)


def tweetgen(folder, token_file, limits, meter):
    """Train with this project's loop; the best weights by its own validation."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
    from tweetgen import pretrained, storage
    from tweetgen.dataset import Tokens
    from tweetgen.device import choose_precision
    from tweetgen.settings import TrainingSettings
    from tweetgen.training import StepReport, Training

    tokens = Tokens.from_file(storage.load_tokens(token_file))
    settings = TrainingSettings(batch_size=BATCH, epochs=1000, patience=0, **limits)
    cpu = torch.device("cpu")
    if "max_steps" in limits:  # only the speed is wanted: hold nothing out
        import dataclasses

        tokens = dataclasses.replace(tokens, validation_start=len(tokens.offsets) - 1)
    model = pretrained.load_pretrained(folder).model
    training = Training(
        model, tokens, settings, device=cpu, precision=choose_precision("auto", cpu)
    )
    for report in training.run():
        if isinstance(report, StepReport):
            meter.add(report.tokens)
    model.load_state_dict(training.best_weights, strict=False)
    return model


def rows_of(tokens, whole):
    """Training rows: EOS tweet EOS, or blocks of all tweets one after another."""
    ids, offsets = tokens["ids"].tolist(), tokens["offsets"].tolist()
    end = tokens["eos_token_id"]
    border = tokens["validation_start"]
    if whole:
        return [[end, *ids[a:b]] for a, b in itertools.pairwise(offsets[: border + 1])]
    ids = [end, *ids[: offsets[border]]]
    return [ids[i : i + BLOCK] for i in range(0, len(ids) - BLOCK, BLOCK)]


def batches_of_all_lengths(rows, num_batches):
    """Rows that form batches of equal length, as group_by_length makes them, from all lengths.

    The Trainer begins with the longest tweets of 800; a few steps would see only those.
    """
    rows = sorted(rows, key=len)
    batches = [rows[i : i + BATCH] for i in range(0, len(rows) - BATCH + 1, BATCH)]
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


def trainer(system, folder, token_file, limits, meter):
    """Train with transformers.Trainer; the last weights."""
    import transformers

    tokens = torch.load(token_file, weights_only=True)
    rows = rows_of(tokens, whole=system != "concatenate")
    is_plain = system == "trainer"
    dropout = {} if is_plain else dict.fromkeys(("attn_pdrop", "embd_pdrop", "resid_pdrop"), 0.0)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32", **dropout)
    batch = BATCH if system != "concatenate" else max(1, round(BATCH * mean_length(tokens) / BLOCK))
    features = torch.cpu.get_capabilities()
    has_bf16 = any(features.get(name) for name in ("avx512_bf16", "amx_bf16"))
    settings = {} if is_plain else {"bf16": has_bf16}
    if system == "trainer-best" and "max_steps" in limits:
        settings["train_sampling_strategy"] = "sequential"
        rows = batches_of_all_lengths(rows, limits["max_steps"])
    elif system == "trainer-best":
        settings |= {"train_sampling_strategy": "group_by_length", "length_column_name": "length"}

    class MeteredTrainer(transformers.Trainer):
        def training_step(self, model, inputs, *rest):
            loss = super().training_step(model, inputs, *rest)
            meter.tokens_of_step = int((inputs["labels"][:, 1:] != -100).sum())
            return loss

    class Stop(transformers.TrainerCallback):
        def on_step_end(self, arguments, state, control, **_):
            meter.add(meter.tokens_of_step)
            over = "max_minutes" in limits and minutes_since(started) >= limits["max_minutes"]
            control.should_training_stop |= over

    max_steps = limits.get("max_steps") or steps_in(model, rows, batch, limits["max_minutes"])
    if not is_plain:
        settings |= {"learning_rate": LEARNING_RATE, "lr_scheduler_type": "cosine"}
        settings |= {"warmup_steps": max_steps // 20}
    arguments = transformers.TrainingArguments(
        tempfile.gettempdir(),
        per_device_train_batch_size=batch,
        max_steps=max_steps,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        **settings,
    )
    started = time.perf_counter()
    MeteredTrainer(
        model,
        arguments,
        train_dataset=[{"input_ids": row, "length": len(row)} for row in rows],
        data_collator=collate,
        callbacks=[Stop()],
    ).train()
    return model


def mean_length(tokens):
    """Tokens of a tweet, EOS included."""
    return len(tokens["ids"]) / (len(tokens["offsets"]) - 1)


def minutes_since(start):
    return (time.perf_counter() - start) / 60


def steps_in(model, rows, batch, minutes):
    """About how many steps fit into so many minutes, from three tried ones without an optimiser."""
    step = max(1, len(rows) // (3 * batch))
    start = time.perf_counter()
    for first in range(0, 3 * batch * step, batch * step):
        chosen = rows[first : first + batch * step : step]
        model(**collate([{"input_ids": row} for row in chosen])).loss.backward()
    model.zero_grad()
    return int(3 * minutes / minutes_since(start))


def main():
    system, folder, token_file, unit, number, *output = sys.argv[1:]
    if unit == "minutes":
        limits = {"max_minutes": float(number)}
    else:
        limits = {"max_steps": int(number) + WARM_UP_STEPS}
    meter = Meter()
    if system == "tweetgen":
        model = tweetgen(folder, token_file, limits, meter)
    else:
        model = trainer(system, folder, token_file, limits, meter)
    speed = meter.speed()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if output:
        model.save_pretrained(output[0])
    print(json.dumps({"tokens_per_second": speed, "steps": meter.steps, "peak_bytes": peak}))


if __name__ == "__main__":
    main()
