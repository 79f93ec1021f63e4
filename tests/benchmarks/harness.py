"""What the benchmarks share: commands, alternating repeats, medians, budgets and result files.

The machine is never quite idle, so figures that are compared come from alternating runs, and their
ratio is the median of the ratios of neighbouring runs. A result file is of one commit: nothing is
measured in a tree with changes unless --dirty says so, and then no file is written.
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
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

PROJECT = Path(__file__).resolve().parent.parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
SAMPLE = "sample"  # how the flags name data/tweets.csv; other files are found in --data
BASE = "models/base"
PACKAGES = ("torch", "transformers", "tokenizers", "kitoken", "pandas", "numpy", "scikit-learn")
PEER_PACKAGES = (
    *("torch", "transformers", "peft", "trl", "datasets", "tweet-preprocessor"),
    *("ctranslate2", "openvino-genai", "xllamacpp"),
)
CPU_FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
# Result files and documents may change without making figures another commit's.
NOT_CODE = (":!tests/benchmarks/results", ":!*.md")
SAMPLE_SECONDS = 0.1  # between two looks at the memory


class Run(NamedTuple):
    """What a command took."""

    seconds: float
    peak_bytes: int  # of all its processes together, shared memory counted once; 0: not watched
    output: str


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Flags that every benchmark has."""
    flags = argparse.ArgumentParser(
        f"python -m tests.benchmarks.{name}", description=(description or "").split("\n")[0]
    )
    add = flags.add_argument
    add("--quick", action="store_true", help="the least that shows that all works; no figures")
    add("--budget", type=float, default=0, metavar="MINUTES", help="begin no round after this long")
    add("--dirty", action="store_true", help="measure changed code; writes no result file")
    data = Path(os.environ["TWEETGEN_DATA"]) if os.environ.get("TWEETGEN_DATA") else None
    add("--data", type=Path, default=data, help="folder of tweets (default: TWEETGEN_DATA)")
    add("--peers", default="", help="python of the environment with the peers")
    return flags


class Session:
    """One run of a benchmark: its flags, its time, and the file that its results go to."""

    def __init__(self, arguments: argparse.Namespace, argv: Sequence[str] | None = None) -> None:
        """Start the clock. Exits where the tree has changes and the flags do not allow that."""
        self.arguments = arguments
        self._start = time.monotonic()
        self.writes = not (arguments.quick or arguments.dirty)
        if self.writes and is_dirty():
            raise SystemExit("the code has changes: commit them, or add --dirty (writes no file)")
        argv = sys.argv[1:] if argv is None else argv
        module = Path(sys.argv[0]).stem
        self._command = " ".join(["python -m", f"tests.benchmarks.{module}", *shown_flags(argv)])

    def minutes_left(self) -> float:
        """How much of the budget is left; without one, infinity."""
        budget = self.arguments.budget
        return budget - (time.monotonic() - self._start) / 60 if budget else float("inf")

    def alternate(
        self, subjects: dict[str, Callable[[], Any]], repeats: int
    ) -> dict[str, list[Any]]:
        """What each subject measures, in turns: A B A B; one round, more while the budget lasts."""
        values: dict[str, list[Any]] = {name: [] for name in subjects}
        for _ in range(1 if self.arguments.quick else repeats):
            start = time.monotonic()
            for name, measure in subjects.items():
                values[name].append(measure())
            if self.minutes_left() < (time.monotonic() - start) / 60:
                break
        return values

    def save(self, name: str, results: dict[str, Any]) -> None:
        """Print the results; add them to results/NAME.json, or replace what is of other code."""
        found = document(self._command, results, self.arguments.peers)
        print(json.dumps(results, indent=1, ensure_ascii=False))
        if not self.writes:
            print("no result file: --quick and --dirty write none", file=sys.stderr)
            return
        path = RESULTS / f"{name}.json"
        earlier = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        if all(earlier.get(key) == found[key] for key in ("commit", "cpu", "versions")):
            found["results"] = merged(earlier["results"], results)
            if found["command"] not in earlier["command"].split("; "):
                found["command"] = f"{earlier['command']}; {found['command']}"
        RESULTS.mkdir(exist_ok=True)
        text = json.dumps(found, indent=1, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")


def load(name: str) -> dict[str, Any]:
    """The results in results/NAME.json; {} where there is no such file."""
    path = RESULTS / f"{name}.json"
    content = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    found: dict[str, Any] = content.get("results", {})
    return found


def merged(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Both results; where both have an entry the later one, entry by entry where it has parts."""
    both = earlier | later
    for key in earlier.keys() & later.keys():
        # A figure with its spread is one thing.
        if isinstance(earlier[key], dict) and isinstance(later[key], dict) and "n" not in later:
            both[key] = merged(earlier[key], later[key])
    return both


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


def run_json(command: Sequence[Any], **environment: str) -> dict[str, Any]:
    """What a command prints as its last line, which is JSON."""
    found: dict[str, Any] = json.loads(run(command, **environment).output.splitlines()[-1])
    return found


def _watch(process: subprocess.Popen[str], peaks: list[int]) -> None:
    while process.poll() is None:
        start = time.perf_counter()
        peaks.append(sum(_memory(number) for number in _family(process.pid)))
        # A look walks all pages of a process: it may take a twentieth of the time.
        time.sleep(max(SAMPLE_SECONDS, 20 * (time.perf_counter() - start)))


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


def script(name: str) -> Path:
    """The path of a script beside this file, for the python of the peers."""
    return Path(__file__).with_name(f"{name}.py")


def voice_path(data: Path | None, name: str) -> Path:
    """The file of a voice: the project's sample, or one of the folder of tweets."""
    if name == SAMPLE:
        return PROJECT / "data" / "tweets.csv"
    if data is None or not (data / "data" / name).is_file():
        raise SystemExit(f"--data FOLDER must hold data/{name}")
    return data / "data" / name


def preprocess(data: Path | None, voice: str, model: str, output: Path) -> Path:
    """The token file of a voice, for a model."""
    line = [sys.executable, "preprocess.py", "--data_path", voice_path(data, voice)]
    run([*line, "--model", model, "--output_path", output])
    return output


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Median and spread, rounded to four digits."""
    numbers = {"median": statistics.median(values), "low": min(values), "high": max(values)}
    return {name: float(f"{number:.4g}") for name, number in numbers.items()} | {"n": len(values)}


def ratio(values: Sequence[float], others: Sequence[float]) -> dict[str, Any]:
    """How much larger `values` are than the `others` measured in the same turns."""
    return summary([value / other for value, other in zip(values, others, strict=True)])


def rounded(values: dict[str, Any]) -> dict[str, Any]:
    """The same numbers to four digits."""
    return {
        key: float(f"{value:.4g}") if isinstance(value, float) else value
        for key, value in values.items()
    }


def tell(line: str) -> None:
    """Say how far a run has come."""
    print(line, file=sys.stderr, flush=True)


def document(command: str, results: Any, peers: str = "") -> dict[str, Any]:
    """The results with all that says where they come from."""
    versions = {"python": platform.python_version()} | _versions(PACKAGES)
    return {
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "cpu": f"{_cpu()}, {os.cpu_count()} cores, {platform.system()}",
        "versions": versions | ({"peers": _peer_versions(peers)} if peers else {}),
        "command": command,
        "results": results,
    }


def _git(*arguments: str) -> str:
    line = ["git", *arguments, "--", ".", *NOT_CODE]
    return subprocess.run(line, cwd=PROJECT, capture_output=True, text=True).stdout.strip()


def is_dirty() -> bool:
    """Whether the code differs from its last commit; result files and documents are not code."""
    return bool(_git("status", "--porcelain")) or not _git("log", "-1", "--format=%h")


def commit() -> str:
    """The last commit that changed code, with "-dirty" where it has changed since."""
    found = _git("log", "-1", "--format=%h", "--abbrev=12") or "unknown"
    return found + "-dirty" * is_dirty()


def _cpu() -> str:
    name, flags = platform.processor() or platform.machine(), set()
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
            if line.startswith("flags"):
                flags = set(line.split())
    return f"{name} ({' '.join(flag for flag in CPU_FLAGS if flag in flags) or 'flags unknown'})"


def shown_flags(argv: Sequence[str]) -> list[str]:
    """The flags of a command, without where this machine keeps its folders."""
    places = {"--data": "FOLDER", "--keep": "FOLDER", "--peers": "VENV/bin/python"}
    named = [f"FOLDER/{Path(word).name}" if Path(word).is_absolute() else word for word in argv]
    return [places.get(before, word) for before, word in zip(["", *argv], named, strict=False)]


def _versions(packages: Sequence[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _peer_versions(python: str) -> dict[str, str]:
    line = [python, script("harness")]
    return run_json(line) if Path(python).is_file() else {}


def has_bfloat16() -> bool:
    """Whether the processor multiplies in bfloat16."""
    import torch

    features = torch.cpu.get_capabilities()
    return any(features.get(name) for name in ("avx512_bf16", "amx_bf16"))


if __name__ == "__main__":
    print(json.dumps(_versions(PEER_PACKAGES)))
