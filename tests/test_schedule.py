"""Learning rates and validation points."""

import itertools

import pytest

from tweetgen.settings import TrainingSettings
from tweetgen.training.schedule import default_learning_rate, learning_rate, validation_steps


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("cosine", [0.5, 1.0, 0.5, 0.0]),
        ("linear", [0.5, 1.0, 0.5, 0.0]),
        ("constant", [0.5, 1.0, 1.0, 1.0]),
    ],
)
def test_learning_rate_rises_then_follows_the_schedule(schedule, expected):
    settings = TrainingSettings(warmup_fraction=0.2, schedule=schedule)
    rates = [learning_rate(fraction, 1.0, settings) for fraction in (0.1, 0.2, 0.6, 1.0)]
    assert rates == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("warmup_fraction", [0.0, 1.0])
@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_learning_rate_is_never_above_the_peak(schedule, warmup_fraction):
    settings = TrainingSettings(warmup_fraction=warmup_fraction, schedule=schedule)
    rates = [learning_rate(step / 100, 3e-4, settings) for step in range(1, 101)]
    assert all(0 <= rate <= 3e-4 for rate in rates) and max(rates) > 2.9e-4


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
        (2_800, 300, 175, [175]),  # a short epoch: at its end
        (28_000, 280, 1_750, [437, 875, 1_312, 1_750]),  # at most 500 steps apart
        (28_000, 3_100, 1_750, [875, 1_750]),  # but not so often that it costs too much
        (28_000, 28_000, 1_750, [1_750]),
        (28_000, 0, 1_750, [1_750]),
        (1, 0, 1, [1]),
    ],
)
def test_validation_points(num_training, num_validation, steps_per_epoch, expected):
    assert validation_steps(num_training, num_validation, steps_per_epoch) == expected
