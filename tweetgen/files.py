"""Output files that appear whole or not at all."""

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from tweetgen.errors import TweetgenError

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """A binary file that becomes `path` when the block ends well, and is removed when it does not.

    Sibling temporary file, flush, fsync, replace, fsync of the folder: whoever reads `path`, also
    after a power cut, finds the old file or the new one. The mode of an old file is kept, and a
    symbolic link goes on pointing at the file.

    Raises:
        TweetgenError: the disk is full, or the place cannot be written.
    """
    target = Path(os.path.realpath(path))
    with _named_errors(path), _temporary(target) as temporary:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(target)
        with open(temporary, "wb") as file:
            if target.exists():
                os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, atomically. Raises TweetgenError as atomic_write."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def check_writable(path: str | Path) -> None:
    """Raise before any work starts if `path` could not be written at its end.

    Raises:
        TweetgenError: it is a folder or a device, its parent is a file, or writing is not
            permitted.
    """
    if os.path.isdir(path):  # Path.is_dir raises where it may not look
        raise TweetgenError(f"{path} is a folder. Name a file to write.")
    if os.path.exists(path) and not os.path.isfile(path):  # it would be replaced: /dev/null
        raise TweetgenError(f"{path} is a device or pipe. Name a file to write.")
    with _named_errors(path), _temporary(Path(os.path.realpath(path))) as temporary:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()


def check_outputs(outputs: Iterable[str], inputs: Iterable[str]) -> None:
    """Raise before any work if an output cannot be written or would do harm; "" is no file.

    Raises:
        TweetgenError: it cannot be written, is an input, or is another output.
    """
    taken = {os.path.realpath(path) for path in inputs if path}
    for path in filter(None, outputs):
        if os.path.realpath(path) in taken:
            raise TweetgenError(f"{path} is another file of this command. Name a new one to write.")
        taken.add(os.path.realpath(path))
        check_writable(path)


def with_suffix(path: str | Path, suffix: str) -> Path:
    """The sibling that belongs to a file: ("models/a.pt", ".resume.pt") -> models/a.resume.pt."""
    return Path(path).with_name(Path(path).stem + suffix)


def keep_previous(path: Path, previous: Path) -> bool:
    """Make `previous` another name of the file at `path`, if there is one; say whether there was.

    `path` itself stays, so that there is no moment without it.

    Raises:
        TweetgenError: the disk is full, or the place cannot be written.
    """
    if not path.exists():
        return False
    with _named_errors(previous), _temporary(previous) as temporary:
        _remove_stale(previous)
        try:
            os.link(os.path.realpath(path), temporary)
        except OSError:  # a file system without hard links
            shutil.copy2(path, temporary)
        os.replace(temporary, previous)  # does nothing where both are names of one file
    return True


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """The name of a sibling file of this process, which is gone after the block."""
    temporary = path.parent / f".{path.name}.{os.getpid()}.tweetgen-part"
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _remove_stale(path: Path) -> None:
    """Remove the temporary files that killed processes left for this output."""
    temporary = re.compile(rf"\.{re.escape(path.name)}\.(\d+)\.tweetgen-part")
    for sibling in path.parent.iterdir():
        match = temporary.fullmatch(sibling.name)
        if match and not _is_running(int(match[1])):
            sibling.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError as error:
        return error.errno == errno.EPERM  # of another user
    return True


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # Windows cannot open folders; the replace itself is still atomic
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _named_errors(path: str | Path) -> Iterator[None]:
    """An operating system's error in the block becomes a TweetgenError that names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            what = f"disk full while writing {path}; previous file kept. Free some space"
            raise TweetgenError(f"{what} and run it again.") from error
        why = error.strerror or str(error)
        raise TweetgenError(f"cannot write {path} ({why}). Choose another output path.") from error
