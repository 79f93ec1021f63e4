"""The figures in the README are those of the result files."""

import json

import pytest

from tests.benchmarks import table
from tests.benchmarks.harness import RESULTS
from tests.conftest import PROJECT

README = (PROJECT / "README.md").read_text("utf-8")


def test_readme_shows_the_table_of_the_result_files():
    assert "\n".join(table.lines()) in README


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_results_say_where_they_come_from(path):
    keys = ["date", "commit", "cpu", "versions", "command", "results"]
    assert list(json.loads(path.read_text("utf-8"))) == keys
