"""A training against a plain one, its end, its best weights, its interruptions and its faults."""

import dataclasses
import io
import math
import subprocess
import sys

import pytest
import torch
from torch import nn

from tests.tiny import END_ID, tiny_model, tiny_tokens
from tweetgen.dataset import TrainingOrder
from tweetgen.errors import TweetgenError
from tweetgen.models import weights_of
from tweetgen.settings import TrainingSettings
from tweetgen.training import StepReport, Training, ValidationReport
from tweetgen.training.learner import Learner

CPU = torch.device("cpu")
TEXTS = ["so it goes", "a", "we are made of star stuff", "why?", "42", "no.", "ok then", "hm"]
TOKENS = tiny_tokens([*TEXTS, "so be it", "star?"], num_validation=2)
SETTINGS = TrainingSettings(epochs=3, batch_size=4, learning_rate=0.01, patience=0, warmup_steps=0)


def start(tokens=TOKENS, architecture="gpt2", **changes):
    settings = dataclasses.replace(SETTINGS, **changes)
    model = tiny_model(architecture)
    return Training(model, tokens, settings, device=CPU, precision=torch.float32)


def steps(training):
    return [report for report in training.run() if isinstance(report, StepReport)]


def assert_same_weights(found, expected, **tolerance):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, **(tolerance or {"rtol": 0, "atol": 0}))


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_training_is_adam_on_the_mean_cross_entropy_of_a_batch(architecture):
    training = start(architecture=architecture, epochs=1, schedule="constant", max_grad_norm=0.5)
    training_losses = [report.loss for report in steps(training)]
    model = tiny_model(architecture).eval()  # no dropout
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.0)
    for step in range(2):
        rows = []
        for tweet in TrainingOrder(TOKENS, 4, 0).tweets(step):
            row = TOKENS.ids[TOKENS.offsets[tweet] : TOKENS.offsets[tweet + 1]].long()
            inputs = torch.cat([torch.tensor([END_ID]), row[:-1]])
            logits = model(input_ids=inputs[None]).logits[0]
            rows.append(nn.functional.cross_entropy(logits, row, reduction="none"))
        loss = torch.cat(rows).mean()
        assert training_losses[step] == pytest.approx(loss.item(), rel=1e-5)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
    assert_same_weights(weights_of(training.model), weights_of(model), rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("accumulate", [3, 8, 9])
def test_R29_accumulating_gives_the_losses_and_weights_of_the_whole_batch(accumulate):
    changes = {"batch_size": 8, "learning_rate": 1e-3}
    whole, parts = start(**changes), start(**changes, accumulate=accumulate)
    losses = [[report.loss for report in steps(training)] for training in (whole, parts)]
    assert losses[1] == pytest.approx(losses[0], abs=1e-6)
    assert_same_weights(weights_of(parts.model), weights_of(whole.model), rtol=1e-3, atol=2e-5)


def test_gradient_checkpointing_changes_no_loss():
    usual, checkpointed = start(), start(gradient_checkpointing=True)
    losses = [[report.loss for report in steps(training)] for training in (usual, checkpointed)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)


def test_a_model_without_gradient_checkpointing_is_told(monkeypatch):
    def refuse(self, options):
        raise ValueError("GPT2LMHeadModel does not support gradient checkpointing.")

    monkeypatch.setattr(
        "transformers.GPT2LMHeadModel.gradient_checkpointing_enable", refuse, raising=False
    )
    with pytest.raises(TweetgenError, match="leave out --gradient_checkpointing"):
        start(gradient_checkpointing=True)


def test_reports_begin_with_the_baseline_and_end_with_a_validation():
    reports = list(start(epochs=2).run())
    kinds = [(type(report), report.step, report.epoch) for report in reports]
    step, look = StepReport, ValidationReport
    assert kinds == [
        (look, 0, 0),
        *[(step, 1, 1), (step, 2, 1), (look, 2, 1)],
        *[(step, 3, 2), (step, 4, 2), (look, 4, 2)],
    ]
    assert sum(r.tokens for r in reports[1:3]) == int(TOKENS.offsets[8])
    assert reports[3].training_loss == pytest.approx((reports[1].loss + reports[2].loss) / 2)


def test_bits_per_character_are_those_of_each_tweet_alone():
    training, model = start(), tiny_model().eval()
    report = next(training.run())
    nats = eos_nats = 0.0
    for tweet in (8, 9):
        row = TOKENS.ids[TOKENS.offsets[tweet] : TOKENS.offsets[tweet + 1]].long()
        logits = model(torch.cat([torch.tensor([END_ID]), row[:-1]])[None]).logits[0]
        losses = nn.functional.cross_entropy(logits, row, reduction="none")
        nats, eos_nats = nats + losses.sum().item(), eos_nats + losses[-1].item()
    characters = len("so be it") + len("star?")
    assert report.bits_per_character == pytest.approx(nats / math.log(2) / characters, rel=1e-5)
    assert report.eos_bits_per_character == pytest.approx(eos_nats / math.log(2) / characters)
    assert report.loss == pytest.approx(nats / (characters + 2), rel=1e-5)


def chance_of_eos(model, text):
    ids = tiny_tokens([text]).ids.long()
    logits = model.eval()(torch.cat([torch.tensor([END_ID]), ids[:-1]])[None]).logits
    return logits[0, -1].softmax(-1)[END_ID].item()


def test_eos_is_learned():
    training = start(tiny_tokens(["ab", "abc"]), epochs=60, batch_size=2)
    list(training.run())
    assert chance_of_eos(training.model, "abc") > 0.9


def test_eos_is_not_learned_where_it_is_no_target():
    tweets = tiny_tokens(["ab", "abc"])
    without_eos = dataclasses.replace(tweets, ids=tweets.ids.where(tweets.ids != END_ID, 65))
    training = start(without_eos, epochs=60, batch_size=2)
    list(training.run())
    assert chance_of_eos(training.model, "abc") < 0.1


def test_best_weights_are_those_of_the_lowest_validation_loss():
    training = start(learning_rate=0.03, epochs=6, schedule="constant")
    seen = {}
    for report in training.run():
        if isinstance(report, ValidationReport):
            with training.in_place(training.averages):
                weights = {name: t.clone() for name, t in weights_of(training.model).items()}
            seen[report.loss] = (weights, report.is_best)
    best = min(seen)
    assert best != list(seen)[-1], "it must overfit, or the test shows nothing"
    assert_same_weights(training.best_weights, seen[best][0])
    assert seen[best][1] and not seen[list(seen)[-1]][1]


@pytest.mark.parametrize(("patience", "validations"), [(0, 7), (1, 2), (2, 3)])
def test_patience_counts_epochs_without_improvement(patience, validations):
    training = start(learning_rate=1.0, warmup_steps=0, epochs=6, patience=patience)  # gets worse
    list(training.run())
    assert len(training.position.history) == validations
    assert training.position.finished == ("patience" if patience else "epochs")
    assert training.is_complete


def test_the_stop_comes_half_an_epoch_after_the_best_at_the_latest():
    texts = [f"{number} of {number * 7 % 40} stars" for number in range(200)]
    settings = {"batch_size": 2, "learning_rate": 0.02, "patience": TrainingSettings().patience}
    training = start(tiny_tokens(texts, num_validation=5), epochs=30, lora_rank=4, **settings)
    list(training.run())
    position = training.position
    assert position.finished == "patience"
    assert position.step - position.best_step <= training.steps_per_epoch / 2


@pytest.mark.parametrize("texts", [["just one tweet"], ["one", "two"]])
def test_fewer_tweets_than_a_batch_train_without_validation(texts):
    training = start(tiny_tokens(texts), batch_size=16)
    reports = list(training.run())
    assert [report.loss for report in reports if isinstance(report, ValidationReport)] == [None] * 4
    assert steps(start(tiny_tokens(texts)))[-1].loss < steps(start(tiny_tokens(texts)))[0].loss
    with training.in_place(training.averages):
        assert_same_weights(training.best_weights, weights_of(training.model))


def test_what_is_saved_is_the_average_of_the_weights():
    training = start(tiny_tokens(TEXTS), epochs=20, ema_decay=0.9)  # nothing held out: the last
    expected = {name: t.clone() for name, t in weights_of(training.model).items()}
    for report in training.run():
        if isinstance(report, StepReport):
            decay = min(0.9, report.step / (report.step + 3))
            for name, weight in weights_of(training.model).items():
                expected[name] = decay * expected[name] + (1 - decay) * weight
    assert_same_weights(training.best_weights, expected, rtol=1e-5, atol=1e-6)
    whole = start(tiny_tokens(TEXTS), epochs=20, ema_decay=0)
    list(whole.run())
    assert_same_weights(whole.best_weights, weights_of(training.model))


def test_max_steps_bounds_the_run_and_is_where_the_schedule_ends():
    training = start(max_steps=3, learning_rate=1.0, schedule="cosine", warmup_steps=0)
    rates = [report.learning_rate for report in steps(training)]
    assert (len(rates), training.position.finished) == (3, "max_steps")
    assert rates == pytest.approx([(1 + math.cos(math.pi * x)) / 2 for x in (1 / 6, 3 / 6, 5 / 6)])


def test_max_minutes_bounds_the_run(monkeypatch):
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr("tweetgen.training.loop.time.monotonic", lambda: float(next(clock)))
    training = start(epochs=100, max_minutes=2, schedule="cosine")
    rates = [report.learning_rate for report in steps(training)]
    assert 1 < len(rates) < 12 and training.position.finished == "max_minutes"
    assert rates[-1] < 0.2 * max(rates), "the schedule must follow the clock to its end"


def test_dropout_is_drawn_from_the_seed():
    losses = [
        [report.loss for report in steps(start(dropout=0.2, seed=seed))] for seed in (0, 0, 1)
    ]
    assert losses[0] == losses[1] != losses[2]
    assert losses[0] != [report.loss for report in steps(start())]


def test_tokens_outside_the_vocabulary_are_refused():
    tokens = dataclasses.replace(TOKENS, ids=TOKENS.ids + 1)
    with pytest.raises(TweetgenError, match="preprocess"):
        start(tokens)


# -- interruptions --


def saved_and_loaded(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def stopped_after(training, num_reports):
    """The state of a training that is asked to stop after so many more reports."""
    asked = iter([False] * num_reports + [True])
    list(training.run(lambda: next(asked)))
    assert not training.is_complete
    return saved_and_loaded(training.state())


def without_seconds(value):
    if isinstance(value, dict):
        return {k: without_seconds(v) for k, v in value.items() if k != "seconds"}
    return [without_seconds(item) for item in value] if isinstance(value, list) else value


def assert_same_end(training, reference):
    for key, expected in without_seconds(reference.state()).items():
        found = without_seconds(training.state())[key]
        if key in ("weights", "best_weights", "averages", "first_moments", "second_moments"):
            assert_same_weights(found, expected)
        else:
            assert found == expected, key


@pytest.mark.parametrize(
    "kind, every",
    [({"architecture": "gpt2"}, 1), ({"architecture": "llama"}, 5), ({"lora_rank": 2}, 5)],
    ids=["gpt2", "llama", "LoRA"],
)
def test_R19_resumed_after_any_report_ends_in_the_same_bits(kind, every):
    changes = {"epochs": 6, "dropout": 0.1, "weight_decay": 0.1} | kind
    reference = start(**changes)
    num_reports = len(list(reference.run()))
    assert reference.position.step == 12
    for number in range(0, num_reports, every):
        state = stopped_after(start(**changes), number)
        torch.rand(number)  # whatever else draws random numbers meanwhile
        resumed = start(**changes)
        resumed.restore(state)
        list(resumed.run())
        assert_same_end(resumed, reference)


def test_R20_resumed_twice_and_across_epochs_ends_in_the_same_bits():
    reference = start(dropout=0.1)
    list(reference.run())
    state = stopped_after(start(dropout=0.1), 3)  # baseline and the two steps of the first epoch
    assert state["step"] == 2 and state["validated_step"] == 0
    for _ in range(2):
        resumed = start(dropout=0.1)
        resumed.restore(state)
        state = stopped_after(resumed, 2)
    resumed = start(dropout=0.1)
    resumed.restore(state)
    list(resumed.run())
    assert_same_end(resumed, reference)


def test_state_of_a_finished_training_has_nothing_left_to_do():
    training = start(epochs=1)
    list(training.run())
    again = start(epochs=1)
    again.restore(saved_and_loaded(training.state()))
    assert again.is_complete and list(again.run()) == []


def test_time_before_an_interruption_counts():
    training = start()
    state = stopped_after(training, 3)
    state["seconds"] = 1000.0
    resumed = start()
    resumed.restore(state)
    assert next(resumed.run()).seconds >= 1000.0


# -- faults --


@pytest.mark.parametrize("bad", ["loss", "gradient"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_R27_not_finite_stops_before_the_update(bad, value, monkeypatch):
    training, add = start(), Learner.add_gradients
    reference = start(max_steps=6)

    def broken(learner, batch, scale):
        loss = add(learner, batch, scale)
        if training.position.step == 2 and bad == "gradient":
            next(learner.model.parameters()).grad[0, 0] = value
        return loss * value if training.position.step == 2 and bad == "loss" else loss

    monkeypatch.setattr(Learner, "add_gradients", broken)
    with pytest.raises(
        TweetgenError, match=f"{bad} is not finite at step 3; lower --learning_rate"
    ):
        list(training.run())
    monkeypatch.undo()
    for report in reference.run():
        if report.step == 2:
            break
    assert training.position.step == 2
    assert_same_weights(weights_of(training.model), weights_of(reference.model))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        RuntimeError("MPS backend out of memory"),
        MemoryError(),
    ],
    ids=lambda error: f"{type(error).__name__}-{str(error)[:3]}",
)
def test_R28_out_of_memory_says_what_to_try(error, monkeypatch):
    training = start(batch_size=32)

    def full(*args):
        raise error

    monkeypatch.setattr(Learner, "add_gradients", full)
    message = "not enough memory for --batch_size 32; try 16 with --accumulate 2"
    with pytest.raises(TweetgenError, match=message):
        list(training.run())


CHILD = """
import resource, torch
from tweetgen.device import memory_errors
from tweetgen.errors import TweetgenError
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
try:
    with memory_errors("for so many ones"):
        torch.ones(4 << 30)
except TweetgenError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS bounds memory on Linux")
def test_real_out_of_memory_is_recognised():
    child = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True)
    assert child.stdout == "not enough memory for so many ones.\n", child.stderr


def test_other_runtime_errors_are_not_hidden(monkeypatch):
    training = start()
    monkeypatch.setattr(Learner, "add_gradients", lambda *args: torch.ones(2) @ torch.ones(3))
    with pytest.raises(RuntimeError):
        list(training.run())
