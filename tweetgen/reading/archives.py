"""Files as they lie on disk, compressed or inside an archive, as bounded streams of bytes."""

import bz2
import gzip
import lzma
import math
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from tweetgen.errors import TweetgenError

MAX_BYTES = 16 * 2**30  # decompressed, of one file
MAX_RATIO = 200  # tweets compress 3 to 30 times, deflate's limit is 1,032: more is a bomb
ANY_RATIO_BYTES = 64 * 2**20  # up to here the ratio does not matter
MAX_LAYERS = 3  # such as a .csv.gz inside a .zip

COMPRESSED: tuple[tuple[re.Pattern[bytes], Any], ...] = (
    (re.compile(rb"\x1f\x8b\x08"), gzip.open),
    (re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"), bz2.open),
    (re.compile(rb"\xfd7zXZ\x00"), lzma.open),
)
ZIP = re.compile(rb"PK(?:\x03\x04|\x05\x06|\x07\x08)")
CRAFTED = (ValueError, struct.error, IndexError)  # what zipfile makes of crafted headers
DAMAGE = (OSError, EOFError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, *CRAFTED)

# "data/tweets.js", "data/tweets-part1.js", "tweet.js"; classic: "data/js/tweets/2015_06.js"
ARCHIVE_MEMBER = re.compile(r"(?:^|/)(?:tweets?(?:-part\d+)?|\d{4}_\d\d)\.js$")
# What a hidden file or a Mac's zip adds, "__MACOSX/._tweets.csv", and what is about the tweets:
# "README.txt", "license"
JUNK_MEMBER = re.compile(
    r"(?:^|/)(?:\.|__MACOSX(?:/|$)|(?:read[-_ ]?me|licen[cs]e)(?:\.[^/]*)?$)", re.I
)
TABLE_MEMBER = re.compile(r"\.(?:csv|tsv|tab|txt|json|jsonl|ndjson|js)(?:\.(?:gz|bz2|xz))?$", re.I)
FOLDERS = ("", "data/", "data/js/tweets/", "*/data/", "*/data/js/tweets/")


class Stream:
    """The bytes of a file, decompressed as they are read; damage and bombs are a TweetgenError."""

    def __init__(self, raw: IO[bytes], name: str, is_packed: bool, size: int) -> None:
        """`size` is what the file takes on disk, in bytes."""
        self.is_packed = is_packed
        self._raw = raw
        self._name = name
        packed_limit = min(MAX_BYTES, max(ANY_RATIO_BYTES, MAX_RATIO * size))
        self._limit = packed_limit if is_packed else math.inf
        self._num_bytes = 0

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end of the file, none after it."""
        with _damage_told(self._name):
            data = self._raw.read(size)
        self._num_bytes += len(data)
        if self._num_bytes > self._limit:
            raise TweetgenError(
                f"{self._name} unpacks to more than {self._limit / 2**20:,.0f} MiB, which tweets "
                "never do at its size. Unpack it yourself if you trust it."
            )
        return data


@contextmanager
def open_stream(path: str, member: str = "") -> Iterator[Stream]:
    """The bytes of a file, or of one member of a zip or folder, decompressed by their content."""
    name = shown(path, member)
    with ExitStack() as stack:
        with _damage_told(name):
            raw, size = _open(path, member, stack)
            layers = 0
            while (opener := _decompressor(raw)) and layers < MAX_LAYERS:
                raw = stack.enter_context(opener(raw))
                layers += 1
        is_packed = layers > 0 or (member != "" and not os.path.isdir(path))
        yield Stream(raw, name, is_packed, size)


def _open(path: str, member: str, stack: ExitStack) -> tuple[IO[bytes], int]:
    """An open file or member, and the bytes it takes on disk."""
    if not member or os.path.isdir(path):
        file: IO[bytes] = stack.enter_context(Path(path, member).open("rb"))  # noqa: SIM115
        return file, os.fstat(file.fileno()).st_size
    archive = stack.enter_context(zipfile.ZipFile(path))
    info = archive.getinfo(member)
    return stack.enter_context(archive.open(info)), info.compress_size


def _decompressor(raw: Any) -> Any:
    """The function that opens what `raw` holds, or None if it is not compressed."""
    start = raw.peek(16)[:16]
    return next((opener for magic, opener in COMPRESSED if magic.match(start)), None)


@contextmanager
def _damage_told(name: str) -> Iterator[None]:
    """Every way in which a compressed file can be broken, as one TweetgenError."""
    try:
        yield
    except PermissionError:
        raise TweetgenError(
            f"{name} may not be read (permission denied). Change its mode."
        ) from None
    except NotImplementedError as error:  # zipfile: a compression method it does not know
        raise TweetgenError(f"{name} cannot be unpacked ({error}). Unpack it yourself.") from None
    except DAMAGE as error:
        if "password" in str(error):
            raise TweetgenError(f"{name} is encrypted. Unpack it and give the files.") from None
        raise TweetgenError(
            f"{name} is damaged or incomplete ({error}). Copy or download it again."
        ) from None


def shown(path: str, member: str = "") -> str:
    """How a file is named to the user: "tweets.zip!data/tweets.js"."""
    name = os.path.basename(os.path.normpath(path))
    return f"{name}!{member}" if member else name


def members_of(path: str) -> tuple[list[str], list[str]]:
    """What to read of a zip or folder: its parts of an X archive in order, and its other tables.

    A classic archive holds the same tweets twice, as data/js/tweets/*.js and as tweets.csv: who
    finds parts reads nothing else. ([], [""]) is a file that is neither zip nor folder.
    """
    if os.path.isdir(path):
        names = [
            file.relative_to(path).as_posix()
            for folder in FOLDERS
            for file in Path(path).glob(folder + "*.js")
        ]
        others = ["tweets.csv"] if os.path.isfile(os.path.join(path, "tweets.csv")) else []
    elif _is_zip(path):
        with _damage_told(shown(path)), zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
        names = [name for name in names if not JUNK_MEMBER.search(name)]
        others = [name for name in names if TABLE_MEMBER.search(name)] or names
        _refuse_office(path, names)
    else:
        return [], [""]
    parts = [name for name in names if ARCHIVE_MEMBER.search(name)]
    return sorted(parts, key=_part_order), sorted(others)


def bytes_on_disk(path: str, members: Sequence[str]) -> int:
    """The bytes that these members take in their zip or folder; [""] is a file by itself."""
    with _damage_told(shown(path)):
        if members[0] and not os.path.isdir(path):
            with zipfile.ZipFile(path) as archive:
                return sum(archive.getinfo(member).compress_size for member in members)
        return sum(os.path.getsize(Path(path, member)) for member in members)


def _part_order(name: str) -> str:
    """Sorts tweets.js, tweets-part1.js, ..., tweets-part10.js."""
    return re.sub(r"\d+", lambda digits: digits[0].zfill(9), name.removesuffix(".js"))


def _is_zip(path: str) -> bool:
    with _damage_told(shown(path)), open(path, "rb") as file:
        return ZIP.match(file.read(4)) is not None


def _refuse_office(path: str, names: list[str]) -> None:
    if "[Content_Types].xml" in names or "mimetype" in names:
        raise TweetgenError(f"{shown(path)} is an office document. Save it as CSV and give that.")


def check_path(path: str) -> None:
    """Raise TweetgenError unless `path` is a file or folder on this machine."""
    if re.match(r"[a-z][a-z0-9+.-]*://", path, re.I):
        raise TweetgenError(
            f"{path} is a web address; tweetgen reads files only. Download it and give the file."
        )
    try:
        mode = os.stat(path).st_mode
    except PermissionError:
        raise TweetgenError(
            f"{path} may not be read (permission denied). Change its mode."
        ) from None
    except (OSError, ValueError):  # ValueError: a null character
        raise TweetgenError(f"there is no file {path!r}. Check --data_path.") from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise TweetgenError(f"{path} is not a regular file. Save its content to a file first.")
