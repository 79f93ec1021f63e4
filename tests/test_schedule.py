"""Learning rates and validation points."""

import itertools

import pytest

from tweetgen.settings import TrainingSettings
from tweetgen.training.schedule import default_learning_rate, learning_rate, validation_steps


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("cosine", [0.125, 0.875, 1.0, 0.5, 0.0]),
        ("linear", [0.125, 0.875, 1.0, 0.5, 0.0]),
        ("constant", [0.125, 0.875, 1.0, 1.0, 1.0]),
    ],
)
def test_learning_rate_rises_for_some_steps_then_follows_the_schedule(schedule, expected):
    settings = TrainingSettings(warmup_steps=4, schedule=schedule)
    places = [(0, 0.0), (3, 0.0), (4, 0.0), (500, 0.5), (1000, 1.0)]
    rates = [learning_rate(step, progress, 1.0, settings) for step, progress in places]
    assert rates == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("warmup_steps", [0, 10, 1000])
@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_learning_rate_is_never_above_the_peak(schedule, warmup_steps):
    settings = TrainingSettings(warmup_steps=warmup_steps, schedule=schedule)
    rates = [learning_rate(step, step / 100, 3e-4, settings) for step in range(100)]
    assert all(0 <= rate <= 3e-4 for rate in rates)


def test_larger_models_learn_slower():
    sizes = (7_430_000, 124_000_000, 135_000_000, 1_500_000_000)
    rates = [default_learning_rate(size) for size in sizes]
    assert all(smaller >= larger for smaller, larger in itertools.pairwise(rates))


@pytest.mark.parametrize(("num_parameters", "rate"), [(7_426_048, 5.7e-4), (134_515_008, 2e-4)])
def test_default_learning_rate_is_near_the_best_of_the_sweeps(num_parameters, rate):
    assert default_learning_rate(num_parameters) == pytest.approx(rate, rel=0.05)


@pytest.mark.parametrize(
    ("num_training", "num_validation", "steps_per_epoch", "expected"),
    [
        (1_224, 136, 77, [38, 77]),  # four times an epoch would cost too much
        (1_224, 60, 77, [19, 38, 57, 77]),
        (160, 8, 10, [10]),  # at least 10 steps apart
        (80_000, 280, 5_000, [500 * part for part in range(1, 11)]),  # at most 500
        (28_000, 3_100, 1_750, [875, 1_750]),  # but not so often that it costs too much
        (28_000, 28_000, 1_750, [1_750]),
        (28_000, 0, 1_750, [1_750]),
        (1, 0, 1, [1]),
    ],
)
def test_validation_points(num_training, num_validation, steps_per_epoch, expected):
    assert validation_steps(num_training, num_validation, steps_per_epoch) == expected
