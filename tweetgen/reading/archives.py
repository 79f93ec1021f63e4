"""Files as they lie on disk, compressed or inside zips and tars, as bounded streams of bytes."""

import bz2
import gzip
import io
import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

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
TAR = re.compile(rb"(?s:.{257})ustar")
ARCHIVE = re.compile(r"\.(?:zip|tar|tgz|tar\.gz)\Z", re.I)
OFFICE_MEMBERS = frozenset(("[Content_Types].xml", "mimetype", "Index/Document.iwa"))
DAMAGE = (
    *(OSError, EOFError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile),
    *(tarfile.TarError, ValueError, struct.error, IndexError),  # the last three: crafted headers
)

# "data/tweets.js", "data/tweets-part1.js", "tweet.js"; classic: "data/js/tweets/2015_06.js"
ARCHIVE_PART = re.compile(
    r"(?:^|[/!])(?:tweets?(?:-part\d+)?|community-tweet(?:-part\d+)?|\d{4}_\d\d)\.js$"
)
NOTE_PART = re.compile(r"(?:^|[/!])note-tweet(?:-part\d+)?\.js$")
# What a hidden file or a Mac's zip adds, "__MACOSX/._tweets.csv", and what is about the tweets:
# "README.txt", "license"
JUNK = re.compile(
    r"(?:^|[/!])(?:\.|__MACOSX(?:/|$)|(?:read[-_ ]?me|licen[cs]e)(?:\.[^/]*)?$)", re.I
)
DATA = re.compile(
    r"\.(?:csv|tsv|tab|txt|json|jsonl|ndjson|js|parquet|feather|xlsx?|ods)(?:\.(?:gz|bz2|xz))?$",
    re.I,
)
FOLDERS = ("", "data/", "data/js/tweets/", "*/data/", "*/data/js/tweets/")


class Member(NamedTuple):
    """A file by itself, or one inside a folder, zip or tar."""

    name: str  # as shown to the user: "tweets.zip!data/tweets.js"
    inside: str  # its name in what holds it, "" for a file by itself
    size: int  # bytes it takes on disk
    open: Callable[[], Any]


class Stream:
    """The bytes of a file, decompressed as they are read; damage and bombs are a TweetgenError."""

    def __init__(self, raw: Any, member: Member) -> None:
        self._raw, self._member, self._num_bytes = raw, member, 0

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end of the file, none after it."""
        with damage_told(self._member.name):
            data: bytes = self._raw.read(size)
        self._num_bytes += len(data)
        _refuse_bomb(self._member.name, self._num_bytes, self._member.size)
        return data

    def read_all(self) -> bytes:
        """Every byte that is left."""
        return b"".join(iter(lambda: self.read(2**20), b""))


def _refuse_bomb(name: str, num_bytes: int, size: int) -> None:
    """Raise TweetgenError if `size` bytes on disk unpack to more than tweets do."""
    limit = max(size, min(MAX_BYTES, max(ANY_RATIO_BYTES, MAX_RATIO * size)))
    if num_bytes > limit:
        raise TweetgenError(
            f"{name} unpacks to more than {limit / 2**20:,.0f} MiB, which tweets never do at its "
            "size. Unpack it yourself if you trust it."
        )


@contextmanager
def open_stream(member: Member) -> Iterator[Stream]:
    """The bytes of a member, decompressed by their content."""
    with ExitStack() as stack:
        with damage_told(member.name):
            raw = _decompressed(stack.enter_context(member.open()), stack)
        yield Stream(raw, member)


def _decompressed(raw: Any, stack: ExitStack) -> Any:
    """The file below all layers of compression."""
    for _ in range(MAX_LAYERS):
        for magic, opener in COMPRESSED:
            if magic.match(raw.peek(16)[:16]):
                raw = stack.enter_context(opener(raw))
                break
    return raw


@contextmanager
def damage_told(name: str) -> Iterator[None]:
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


def shown(path: str) -> str:
    """How a file is named to the user."""
    return os.path.basename(os.path.normpath(path))


@contextmanager
def opened(path: str) -> Iterator[list[Member]]:
    """The members of a zip, tar or folder; a file that is none of them is its only member."""
    _check_path(path)
    with ExitStack() as stack:
        if os.path.isdir(path):
            yield list(_files_of(Path(path)))
            return
        name = shown(path)
        with damage_told(name):
            file = stack.enter_context(open(path, "rb"))
            whole = Member(name, "", os.fstat(file.fileno()).st_size, lambda: file)
            members = _inside(file, whole, stack)
            if members is None:
                file.seek(0)
        yield [whole] if members is None else members


def _check_path(path: str) -> None:
    """Raise TweetgenError unless `path` is a file or folder on this machine."""
    if re.match(r"[a-z][a-z0-9+.-]*://", path, re.I):
        raise TweetgenError(
            f"{path} is a web address; tweetgen reads files only. Download it and give the file."
        )
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:  # ValueError: a null character
        if isinstance(error, PermissionError):
            with damage_told(path):
                raise
        raise TweetgenError(f"there is no file {path!r}. Check --data_path.") from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise TweetgenError(f"{path} is not a regular file. Save its content to a file first.")


def _files_of(folder: Path) -> Iterator[Member]:
    """The files of an unpacked archive of X."""
    found = [file for inner in FOLDERS for file in folder.glob(inner + "*.js")]
    for file in [*found, *folder.glob("tweets.csv")]:
        inside = file.relative_to(folder).as_posix()
        name = f"{shown(str(folder))}!{inside}"
        yield Member(name, inside, file.stat().st_size, partial(open, file, "rb"))


def _inside(file: Any, whole: Member, stack: ExitStack, depth: int = 0) -> list[Member] | None:
    """The members of an open zip or tar, also of those inside it; None if it is neither."""
    found: list[tuple[str, int, Any]]
    if ZIP.match(file.peek(4)[:4]):
        zipped = stack.enter_context(zipfile.ZipFile(file))
        if not OFFICE_MEMBERS.isdisjoint(zipped.namelist()):
            return None  # an office document is one file
        infos = [info for info in zipped.infolist() if not info.is_dir()]
        found = [(info.filename, info.compress_size, partial(zipped.open, info)) for info in infos]
    else:
        raw = _decompressed(file, stack)
        if not TAR.match(raw.peek(512)[:512]):
            return None
        tar = stack.enter_context(tarfile.TarFile(fileobj=raw))
        members = [member for member in tar.getmembers() if member.isfile()]
        _refuse_bomb(whole.name, sum(member.size for member in members), whole.size)
        found = [(m.name, m.size, partial(tar.extractfile, m)) for m in members]
    result = []
    prefix = f"{whole.inside}!" if depth else ""
    for inside, size, opener in found:
        member = Member(f"{whole.name}!{inside}", prefix + inside, size, opener)
        nested = None
        if ARCHIVE.search(inside) and not JUNK.search(inside):
            nested = _nested(member, stack, depth + 1)
        result += [member] if nested is None else nested
    return result


def _nested(member: Member, stack: ExitStack, depth: int) -> list[Member] | None:
    """The members of a zip or tar inside another."""
    if depth > MAX_LAYERS:
        raise TweetgenError(f"{member.name} is a zip too deep inside others. Unpack it yourself.")
    with open_stream(member) as stream:
        file = io.BufferedReader(io.BytesIO(stream.read_all()))
    return _inside(file, member, stack, depth)


def tweets_of(members: list[Member]) -> tuple[list[Member], list[Member], list[Member]]:
    """The parts of an X archive, its long posts, and the files to read where there are no parts."""
    members = [member for member in members if not JUNK.search(member.inside)]
    parts = [member for member in members if ARCHIVE_PART.search(member.inside)]
    notes = [member for member in members if NOTE_PART.search(member.inside)]
    others = [member for member in members if DATA.search(member.inside)] or members
    return sorted(parts, key=_part_order), notes, sorted(others, key=lambda member: member.name)


def _part_order(member: Member) -> tuple[bool, str]:
    """Sorts tweets.js, tweets-part1.js, ..., tweets-part10.js, community-tweet.js."""
    name = re.sub(r"\d+", lambda digits: digits[0].zfill(9), member.inside.removesuffix(".js"))
    return "community-tweet" in name, name
