"""What the benchmarks share: alternating repeats, medians and spread, memory, JSON and tables.

The machine is never quite idle, so figures that are compared come from alternating runs, and their
ratio is the median of the ratios of neighbouring runs.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tweetgen.device import SPIN_COUNT

PROJECT = Path(__file__).resolve().parent.parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("torch", "transformers", "tokenizers", "kitoken", "pandas", "numpy", "emoji")
SAMPLE_SECONDS = 0.1  # between two looks at the memory


class Run(NamedTuple):
    """What a command took."""

    seconds: float
    peak_bytes: int  # of all its processes together, shared memory counted once; 0: not watched
    output: str


def parser(description: str) -> argparse.ArgumentParser:
    """Flags that every benchmark has."""
    flags = argparse.ArgumentParser(description=description)
    flags.add_argument("--quick", action="store_true", help="fewer repeats, under three minutes")
    flags.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("TWEETGEN_DATA"),
        help="folder of tweets (default: TWEETGEN_DATA)",
    )
    flags.add_argument("--peers", default="", help="python of the environment with the peers")
    return flags


def run(command: Sequence[Any], *, watched: bool = False, **environment: str) -> Run:
    """Run a command to its end; its errors go to our stderr.

    Watching its memory takes a fifth of a core, so what is timed is not watched.
    """
    start = time.perf_counter()
    process = subprocess.Popen(
        list(map(str, command)),
        cwd=PROJECT,
        env=os.environ | {"HF_HUB_OFFLINE": "1"} | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    peaks = [0]
    watch = threading.Thread(target=_watch, args=(process, peaks))
    if watched:
        watch.start()
    output, _ = process.communicate()
    seconds = time.perf_counter() - start
    if watched:
        watch.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: exit code {process.returncode}")
    return Run(seconds, max(peaks), output)


def _watch(process: subprocess.Popen[str], peaks: list[int]) -> None:
    while process.poll() is None:
        peaks.append(sum(_memory(number) for number in _family(process.pid)))
        time.sleep(SAMPLE_SECONDS)


def _family(process: int) -> list[int]:
    """A process and all it has started, directly or not. Linux only; elsewhere itself."""
    family = [process]
    for parent in family:
        try:
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        except OSError:
            continue
        family += map(int, children)
    return family


def _memory(process: int) -> int:
    """Bytes of a process, its share of what it shares with others; 0 where that cannot be read."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def write_model(name, folder):
    """Write a model as a folder, which is all that the peers can read."""
    from tweetgen import models

    found = models.load_pretrained(name)
    content = {
        "config_json": models.config_json_of(found.model),
        "weights": models.weights_of(found.model),
        "adapters": {},
        "tokenizer_json": found.tokenizer_json,
        "eos_token_id": found.eos_token_id,
    }
    models.export("transformers", folder, content)


def environment_of(system: str) -> dict[str, str]:
    """What our commands set before they import torch; the peers wait as they like."""
    return {"GOMP_SPINCOUNT": SPIN_COUNT} if system.startswith("tweetgen") else {}


def alternate(
    subjects: dict[str, Callable[[], float]], repeats: int, warm_up: bool = True
) -> dict[str, list[float]]:
    """What each subject measures, `repeats` times, in turns: A B A B."""
    if warm_up:
        for measure in subjects.values():
            measure()
    values: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(repeats):
        for name, measure in subjects.items():
            values[name].append(measure())
    return values


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Median and spread, rounded to four digits."""
    numbers = {"median": statistics.median(values), "low": min(values), "high": max(values)}
    return {name: float(f"{number:.4g}") for name, number in numbers.items()} | {"n": len(values)}


def ratio(values: Sequence[float], others: Sequence[float]) -> dict[str, Any]:
    """How much larger `values` are than the `others` measured in the same turns."""
    return summary([value / other for value, other in zip(values, others, strict=True)])


def document(command: str, results: Any) -> dict[str, Any]:
    """The results with all that says where they come from."""
    return {
        "date": datetime.date.today().isoformat(),
        "commit": _commit(),
        "cpu": f"{_cpu()}, {os.cpu_count()} cores, {platform.system()}",
        "versions": {"python": platform.python_version()} | _versions(),
        "command": command,
        "results": results,
    }


def save(name: str, content: dict[str, Any]) -> None:
    """Write results/NAME.json, and print it as one line."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(json.dumps(content, ensure_ascii=False))


def print_table(rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under their heading, the first; numbers to the right."""
    texts = [[_shown(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        first = row[0].ljust(widths[0])
        print("  ".join([first, *map(str.rjust, row[1:], widths[1:])]).rstrip())


def _shown(cell: Any) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def _commit() -> str:
    line = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(line, cwd=PROJECT, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def _cpu() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
