"""The files between the stages: what is loaded is what was saved, and nothing is executed."""

import errno
import os
import subprocess
import sys
import time
import zipfile

import pytest
import torch

from tests.conftest import PROJECT
from tests.examples import equal, model_content, tokens_content
from tweetgen import files, storage
from tweetgen.errors import TweetgenError


class Bomb:
    """Unpickling it runs a command: what a hostile file would hold."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (os.system, (f"touch {self.marker}",))


def test_saved_tokens_load_equal(tmp_path):
    storage.save_tokens(tmp_path / "a.pkl", tokens_content())
    content = storage.load_tokens(tmp_path / "a.pkl")
    assert list(content)[:2] == ["format", "version"]
    del content["format"], content["version"]
    assert equal(content, tokens_content())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_saved_model_loads_equal(tmp_path, dtype):
    content = model_content() | {"adapters": {"layer.A": torch.ones(2, 3, dtype=dtype)}}
    content["weights"] = {name: weight.to(dtype) for name, weight in content["weights"].items()}
    storage.save_model(tmp_path / "a.pt", content)
    loaded = storage.load_model(tmp_path / "a.pt")
    assert all(equal(loaded[key], content[key]) for key in content)


def test_what_is_loaded_can_be_changed_and_the_file_stays(tmp_path):
    path = tmp_path / "a.pkl"
    storage.save_tokens(path, tokens_content())
    storage.load_tokens(path)["ids"].zero_()
    assert equal(storage.load_tokens(path)["ids"], tokens_content()["ids"])


CHILD = """
import re, sys
from tweetgen import storage
used = lambda: int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
before = used()
content = storage.load_model(sys.argv[1])
print(used() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_weights_are_loaded_without_a_copy(tmp_path):
    content = model_content() | {"weights": {"large": torch.zeros(25_000_000)}}  # 100 MB
    storage.save_model(tmp_path / "a.pt", content)
    line = [sys.executable, "-c", CHILD, tmp_path / "a.pt"]
    child = subprocess.run(line, cwd=PROJECT, capture_output=True, text=True)
    assert float(child.stdout) < 20, child.stderr


def test_only_plain_values_are_saved(tmp_path):
    with pytest.raises(AssertionError):
        storage.save_tokens(tmp_path / "a.pkl", tokens_content() | {"counts": {"bad": {1, 2}}})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "variable",
    [pytest.param(None, id="R01-hostile"), pytest.param("1", id="R02-hostile-and-switched-off")],
)
@pytest.mark.parametrize(
    "command",
    [
        ["fine_tune.py", "--data", "{}", "--output_path", "out.pt"],
        ["generate.py", "--model_path", "{}"],
        ["preprocess.py", "--data_path", "{}", "--output_path", "out.pkl"],
    ],
    ids=lambda command: command[0],
)
def test_a_hostile_file_executes_nothing(tmp_path, command, variable):
    marker = tmp_path / "executed"
    torch.save({"format": "tweetgen.model", "version": 1, "x": Bomb(marker)}, tmp_path / "a.pt")
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    if variable:
        environment["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = variable
    script, *flags = command
    line = [sys.executable, PROJECT / script, *(flag.format("a.pt") for flag in flags)]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert not marker.exists()


def test_R03_legacy_format_never_reaches_torch(tmp_path, monkeypatch):
    torch.save(model_content(), tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    monkeypatch.setattr(torch, "load", lambda *_a, **_k: pytest.fail("torch.load was called"))
    with pytest.raises(TweetgenError, match="old or foreign format"):
        storage.load_model(tmp_path / "a.pt")


def rewrite(path, change=lambda name, data: data, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, change(name, data))


def test_R04_a_compressed_bomb_is_refused_at_once(tmp_path):
    path = tmp_path / "a.pt"
    bomb = model_content() | {"training": {"zeros": torch.zeros(25_000_000)}}
    storage.save_model(path, bomb)
    rewrite(path, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1_000_000
    start = time.perf_counter()
    with pytest.raises(TweetgenError, match="compressed"):
        storage.load_model(path)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("cut", [0, 1, 3000, -1], ids=lambda cut: f"R05-cut-at-{cut}")
def test_a_truncated_file_is_named(tmp_path, cut):
    path = tmp_path / "a.pkl"
    storage.save_tokens(path, tokens_content())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(TweetgenError, match=r"a\.pkl is (damaged or incomplete|empty|of an old)"):
        storage.load_tokens(path)


def test_R06_a_flipped_byte_in_any_member_is_found(tmp_path):
    path = tmp_path / "a.pkl"
    storage.save_tokens(path, tokens_content())
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        places = [
            (member.filename, archive.open(member)._fileobj.tell())
            for member in archive.infolist()
            if member.file_size
        ]
    assert len(places) > 4
    for name, place in places:
        flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        path.write_bytes(flipped)
        with pytest.raises(TweetgenError, match="damaged"):
            storage.load_tokens(path)
            pytest.fail(f"the flip in {name} was not seen")


@pytest.mark.parametrize("load", [storage.load_model, storage.load_resume])
def test_R07_a_token_file_in_the_wrong_place_says_what_it_is(tmp_path, load):
    storage.save_tokens(tmp_path / "a.pkl", tokens_content())
    with pytest.raises(TweetgenError, match=r"written by preprocess\.py for fine_tune\.py --data"):
        load(tmp_path / "a.pkl")


def test_R07_a_model_file_in_the_wrong_place_says_what_it_is(tmp_path):
    storage.save_model(tmp_path / "a.pt", model_content())
    with pytest.raises(TweetgenError, match=r"written by fine_tune\.py for generate\.py"):
        storage.load_tokens(tmp_path / "a.pt")


def test_R07_a_stranger_s_file_is_no_tweetgen_file(tmp_path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "a.pt")
    with pytest.raises(TweetgenError, match="is not a tweetgen file"):
        storage.load_model(tmp_path / "a.pt")


def edit(key, value):
    return lambda content: content | {key: value}


def edit_ids(place, value):
    def change(content):
        ids = content["ids"].clone()
        ids[place] = value
        return content | {"ids": ids}

    return change


TOKEN_EDITS = {
    "newer version": (edit("version", 2), "version 2"),
    "missing key": (lambda c: {k: v for k, v in c.items() if k != "counts"}, "no 'counts'"),
    "dtype": (edit("ids", torch.zeros(3)), "bad 'ids'"),
    "rank": (edit("offsets", torch.zeros(2, 2, dtype=torch.int64)), "bad 'offsets'"),
    "bool for int": (edit("validation_start", True), "bad 'validation_start'"),
    "json": (edit("tokenizer_json", "{"), "bad 'tokenizer_json'"),
    "short offsets": (edit("offsets", torch.tensor([0, 2])), "do not span"),
    "no offsets": (edit("offsets", torch.tensor([], dtype=torch.int64)), "do not span"),
    "falling offsets": (edit("offsets", torch.tensor([0, 5, 2, 9, 14])), "do not rise"),
    "split": (edit("validation_start", 9), "differ in length"),
    "negative id": (edit_ids(0, -1), "end-of-text"),
    "no end": (edit_ids(1, 65), "end-of-text"),
    "changed id": (edit_ids(0, 66), "fingerprint"),
}


@pytest.mark.parametrize("change, message", TOKEN_EDITS.values(), ids=TOKEN_EDITS)
def test_R08_a_wrong_token_file_is_named(tmp_path, change, message):
    content = {"format": "tweetgen.tokens", "version": 1} | tokens_content()
    torch.save(change(content), tmp_path / "a.pkl")
    with pytest.raises(TweetgenError, match=message):
        storage.load_tokens(tmp_path / "a.pkl")


@pytest.mark.parametrize("key", ["weights", "adapters"])
@pytest.mark.parametrize(
    "weight",
    [
        torch.tensor([1.0, float("nan"), 2.0]),
        torch.tensor([1.0, -float("inf")], dtype=torch.bfloat16),
        torch.tensor([float("nan")], dtype=torch.float16),
        torch.tensor([1.0], dtype=torch.float64),
        torch.tensor([1]),
        "text",
    ],
    ids=lambda weight: str(getattr(weight, "dtype", "text")),
)
def test_R08_weights_that_are_not_numbers_are_refused(tmp_path, key, weight):
    storage.save_model(tmp_path / "a.pt", model_content() | {key: {"w": weight}})
    with pytest.raises(TweetgenError, match=f"bad '{key}'"):
        storage.load_model(tmp_path / "a.pt")


@pytest.mark.parametrize(
    "version, advice", [(1, r"Run fine_tune\.py again\.$"), (3, "or update tweetgen")]
)
def test_R08_another_version_of_the_model_file_is_one_clear_line(tmp_path, version, advice):
    torch.save({"format": "tweetgen.model", "version": version}, tmp_path / "a.pt")
    with pytest.raises(TweetgenError, match=f"version {version}, .* version 2. .*{advice}"):
        storage.load_model(tmp_path / "a.pt")


class FailingFile:
    """A file whose n-th write finds the disk full."""

    def __init__(self, file, countdown):
        self.file, self.countdown = file, countdown

    def write(self, data):
        self.countdown -= 1
        if self.countdown == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


def test_R14_whichever_write_fails_the_old_file_stays(tmp_path, monkeypatch):
    path = tmp_path / "a.pkl"
    storage.save_tokens(path, tokens_content())
    old = path.read_bytes()
    plain_open = open
    for countdown in range(1, 1000):
        failing = lambda *a, n=countdown: FailingFile(plain_open(*a), n)  # noqa: E731
        monkeypatch.setattr(files, "open", failing, raising=False)
        try:
            storage.save_tokens(path, tokens_content(num_tweets=5))
        except TweetgenError as error:
            assert "disk full while writing" in str(error)
            assert path.read_bytes() == old
            assert len(list(tmp_path.iterdir())) == 1
        else:
            break
    assert countdown > 10
    assert len(storage.load_tokens(path)["offsets"]) == 6


@pytest.mark.parametrize(
    "version, is_safe", [("2.9.1", False), ("2.10.0", True), ("3.0+cpu", True)]
)
def test_R50_an_unsafe_torch_is_refused(monkeypatch, tmp_path, version, is_safe):
    storage.save_model(tmp_path / "a.pt", model_content())
    monkeypatch.setattr(torch, "__version__", version)
    if is_safe:
        storage.load_model(tmp_path / "a.pt")
    else:
        with pytest.raises(TweetgenError, match=r"needs torch >= 2\.10"):
            storage.load_model(tmp_path / "a.pt")


def test_a_missing_file_names_its_maker(tmp_path):
    with pytest.raises(TweetgenError, match=r"no such file: .*a\.pkl\. Run preprocess\.py"):
        storage.load_tokens(tmp_path / "a.pkl")
