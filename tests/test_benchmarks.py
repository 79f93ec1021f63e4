"""The figures in the README are those of the result files."""

import json

import pytest

from tests.benchmarks import growth, table
from tests.benchmarks.engines import NUM_TOKENS, speed_of
from tests.benchmarks.harness import RESULTS
from tests.conftest import PROJECT

README = "".join((PROJECT / name).read_text("utf-8") for name in ("README.md", "models/README.md"))


@pytest.mark.parametrize("lines", table.SECTIONS)
def test_readme_shows_the_tables_of_the_result_files(lines):
    assert "\n".join(lines()) in README


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_results_say_where_they_come_from(path):
    keys = ["date", "commit", "cpu", "versions", "command", "results"]
    assert list(json.loads(path.read_text("utf-8"))) == keys


def test_speed_is_of_rows_with_all_their_tokens():
    seeds = []

    def draw(num_rows, seed):
        seeds.append(seed)
        return [[0] * NUM_TOKENS] * num_rows

    assert speed_of(draw, 2) > 0
    assert seeds == [0, 1, 2, 3]  # the first one warms up


def test_speed_refuses_a_row_that_ended_early():
    with pytest.raises(AssertionError):
        speed_of(lambda num_rows, seed: [[0] * NUM_TOKENS, [0] * (NUM_TOKENS - 1)], 2)


def rows_of_growth(counted):
    return [
        {counted: number, "seconds": {"median": number / 10}, "peak_megabytes": 100 + number}
        for number in (4, 16)
    ]


GROWTH = {name: rows_of_growth(counted) for name, (counted, _) in growth.PARTS.items()}


def test_growth_is_shown_by_size(monkeypatch):
    monkeypatch.setattr(table, "load", lambda name: {"results": GROWTH})
    lines = list(table.growth_lines())
    assert len(lines) == 2 + 2 * len(GROWTH)
    assert lines[3] == "| preprocessing, the whole command | 16 | 1.6 s | 116 MB |"


def test_growth_is_drawn(tmp_path):
    growth.draw(GROWTH, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
