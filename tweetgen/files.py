"""Files that are there whole or not at all."""

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from tweetgen.errors import TweetgenError

TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<process>\d+)\.tweetgen-part$")
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
    path, target = Path(path), Path(os.path.realpath(path))
    temporary = _temporary(target)
    try:
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
    except OSError as error:
        raise _explained(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def check_writable(path: str | Path) -> None:
    """Raise before any work starts if `path` could not be written at its end.

    Raises:
        TweetgenError: it is a folder or a device, its parent is a file, or writing is not
            permitted.
    """
    path = Path(path)
    if os.path.isdir(path):  # Path.is_dir raises where it may not look
        raise TweetgenError(f"{path} is a folder. Name a file to write.")
    if os.path.exists(path) and not os.path.isfile(path):  # it would be replaced: /dev/null
        raise TweetgenError(f"{path} is a device or pipe. Name a file to write.")
    probe = _temporary(Path(os.path.realpath(path)))
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _explained(error, path) from error


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
    temporary = _temporary(previous)
    try:
        _remove_stale(previous)
        try:
            os.link(os.path.realpath(path), temporary)
        except OSError:  # a file system without hard links
            shutil.copy2(path, temporary)
        os.replace(temporary, previous)
    except OSError as error:
        raise _explained(error, previous) from error
    finally:
        temporary.unlink(missing_ok=True)  # still there where both were names of one file
    return True


def _temporary(path: Path) -> Path:
    return path.parent / f".{path.name}.{os.getpid()}.tweetgen-part"


def _remove_stale(path: Path) -> None:
    """Remove the temporary files that killed processes left for this output."""
    for sibling in path.parent.iterdir():
        match = TEMPORARY.fullmatch(sibling.name)
        if match and match["name"] == path.name and not _is_running(int(match["process"])):
            sibling.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # Windows cannot open folders; the replace itself is still atomic
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _explained(error: OSError, path: Path) -> TweetgenError:
    if error.errno in DISK_FULL:
        return TweetgenError(
            f"disk full while writing {path}; previous file kept. Free some space and run it again."
        )
    reason: Any = error.strerror or error
    return TweetgenError(f"cannot write {path} ({reason}). Choose another output path.")
