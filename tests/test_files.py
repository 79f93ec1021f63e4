"""Every output is there whole or not at all."""

import errno
import os
import resource
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tweetgen import files
from tweetgen.errors import TweetgenError

WRITER = """
import sys, signal
sys.path.insert(0, {project!r})
from tweetgen.files import atomic_write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
number = 0
while True:
    number += 1
    with atomic_write(sys.argv[1]) as file:
        for _ in range(200):
            file.write(b"%d" % (number % 10) * 5000)
    print(number, flush=True)
"""


def test_atomic_write_replaces_the_whole_file(tmp_path):
    path = tmp_path / "deep" / "out.txt"
    files.write_text(path, "one")
    files.write_text(path, "two")
    assert path.read_text() == "two"
    assert [entry.name for entry in path.parent.iterdir()] == ["out.txt"]


def test_atomic_write_keeps_the_old_file_when_the_block_fails(tmp_path):
    path = tmp_path / "out.txt"
    files.write_text(path, "old")
    with pytest.raises(ZeroDivisionError), files.atomic_write(path) as file:
        file.write(b"new")
        _ = 1 / 0
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def kill_while_writing(path, seconds):
    writer = [sys.executable, "-c", WRITER.format(project=str(PROJECT)), str(path)]
    with subprocess.Popen(writer, stdout=subprocess.PIPE) as child:
        child.stdout.readline()  # one file is complete: the next ones are being written
        time.sleep(seconds)
        child.kill()


@pytest.mark.parametrize("kill", range(5))
def test_R13_a_killed_writer_leaves_a_whole_file(tmp_path, kill):
    path = tmp_path / "out.bin"
    kill_while_writing(path, 0.011 * kill)
    content = path.read_bytes()
    assert len(content) == 1_000_000
    assert len(set(content)) == 1, "two versions are mixed"


def test_R13_the_old_file_changes_in_one_move(tmp_path, monkeypatch):
    path = tmp_path / "out.txt"
    files.write_text(path, "old")

    def killed(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        files.write_text(path, "new")
    assert path.read_text() == "old"


def test_R15_a_full_disk_keeps_the_old_file(tmp_path):
    path = tmp_path / "out.bin"
    path.write_text("old")
    small = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # noqa: E731
    writer = [sys.executable, "-c", WRITER.format(project=str(PROJECT)), str(path)]
    done = subprocess.run(writer, preexec_fn=small, capture_output=True, text=True, timeout=20)
    assert "disk full while writing" in done.stderr
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "make", [lambda p: p.mkdir(), lambda p: (p.parent.rmdir(), p.parent.touch())]
)
def test_R16_an_impossible_place_is_refused_before_any_work(tmp_path, make):
    path = tmp_path / "folder" / "out.pt"
    path.parent.mkdir()
    make(path)
    with pytest.raises(TweetgenError, match=r"out\.pt"):
        files.check_writable(path)


def test_R16_a_folder_that_may_not_be_written_is_refused_before_any_work(tmp_path, monkeypatch):
    def denied(self):  # a test that runs as root may write everywhere
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", denied)
    with pytest.raises(TweetgenError, match=r"out\.pt"):
        files.check_writable(tmp_path / "out.pt")


def test_a_missing_output_folder_is_made(tmp_path):
    path = tmp_path / "new" / "deep" / "out.pt"
    files.check_writable(path)
    assert list(path.parent.iterdir()) == []


def test_R18_modes_are_kept_and_stale_parts_removed(tmp_path):
    path = tmp_path / "out.txt"
    previous_umask = os.umask(0o027)
    try:
        files.write_text(path, "one")
    finally:
        os.umask(previous_umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o604)
    dead = subprocess.Popen(["true"])
    dead.wait()
    stale = tmp_path / f".out.txt.{dead.pid}.tweetgen-part"
    other = tmp_path / f".other.txt.{dead.pid}.tweetgen-part"
    alive = tmp_path / f".out.txt.{os.getppid()}.tweetgen-part"
    for orphan in (stale, other, alive):
        orphan.touch()
    files.write_text(path, "two")
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert not stale.exists() and other.exists() and alive.exists()


def test_R49_two_writers_of_one_output_leave_a_whole_file(tmp_path):
    path = tmp_path / "out.bin"
    writer = [sys.executable, "-c", WRITER.format(project=str(PROJECT)), str(path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(writer, **pipes) as first, subprocess.Popen(writer, **pipes) as second:
        for child in (first, second):
            child.stdout.readline()
        for _ in range(20):
            content = path.read_bytes()
            assert len(content) == 1_000_000 and len(set(content)) == 1
        for child in (first, second):
            child.kill()
            assert child.stderr.read() == b""


def test_an_unwritable_file_is_one_clear_error(tmp_path, monkeypatch):
    def refuse(*_arguments):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(TweetgenError, match=r"cannot write .*Permission denied"):
        files.write_text(tmp_path / "out.txt", "text")
    assert list(tmp_path.iterdir()) == []


def test_keep_previous_leaves_no_moment_without_the_file(tmp_path):
    path, previous = tmp_path / "a.pt", tmp_path / "a.previous.pt"
    assert not files.keep_previous(path, previous)
    path.write_text("one")
    previous.write_text("zero")
    assert files.keep_previous(path, previous)
    assert (path.read_text(), previous.read_text()) == ("one", "one")
    files.write_text(path, "two")
    assert (path.read_text(), previous.read_text()) == ("two", "one")


def test_with_suffix_names_siblings():
    assert str(files.with_suffix("models/a.b.pt", ".resume.pt")) == "models/a.b.resume.pt"
    assert str(files.with_suffix("model", ".md")) == "model.md"


def test_keep_previous_of_one_file_under_both_names_leaves_no_third(tmp_path):
    path, previous = tmp_path / "a.pt", tmp_path / "a.previous.pt"
    path.write_text("one")
    assert files.keep_previous(path, previous) and files.keep_previous(path, previous)
    assert sorted(os.listdir(tmp_path)) == ["a.previous.pt", "a.pt"]


def test_a_symbolic_link_goes_on_pointing_at_the_file(tmp_path):
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "a.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    files.check_writable(link)
    files.write_text(link, "new")
    assert link.is_symlink() and target.read_text() == "new"


def test_a_pipe_or_device_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TweetgenError, match="is a device or pipe"):
        files.check_writable(tmp_path / "pipe")
    with pytest.raises(TweetgenError, match="is a device or pipe"):
        files.check_writable("/dev/null")


@pytest.mark.parametrize(
    "outputs, inputs",
    [
        (["in.csv"], ["in.csv"]),
        (["./in.csv"], ["", "in.csv"]),
        (["a.txt", "", "a.txt"], ["in.csv"]),
    ],
)
def test_an_output_that_would_replace_an_input_or_another_output_is_refused(
    tmp_path, monkeypatch, outputs, inputs
):
    monkeypatch.chdir(tmp_path)
    files.check_outputs(["", "a.txt", "b.txt"], ["in.csv", ""])
    with pytest.raises(TweetgenError, match="another file of this command"):
        files.check_outputs(outputs, inputs)
