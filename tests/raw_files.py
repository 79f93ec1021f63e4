"""Small files of tweets as they come, and what is read from them."""

import io
import zipfile
from pathlib import Path

import pytest

from tweetgen.errors import TweetgenError
from tweetgen.reading import Batch, Source, find_sources, read_batches
from tweetgen.settings import ReadingSettings


def write(folder: Path, name: str, content: str | bytes) -> str:
    """The path of a new file with that content; text is written as UTF-8, line ends as they are."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return str(path)


def look(*paths: str, **settings: str) -> list[Source]:
    return find_sources(paths, ReadingSettings(**settings))


def batches(*paths: str, **settings: str) -> list[Batch]:
    """All batches of all sources, in order."""
    reading = ReadingSettings(**settings)
    return [
        batch for source in find_sources(paths, reading) for batch in read_batches(source, reading)
    ]


def texts(*paths: str, **settings: str) -> list[str]:
    """All raw tweets, in order."""
    return [text for batch in batches(*paths, **settings) for text in batch.texts]


def refused(*paths: str, **settings: str) -> str:
    """The one line with which reading ends."""
    with pytest.raises(TweetgenError) as error:
        batches(*paths, **settings)
    assert "\n" not in str(error.value)
    return str(error.value)


def zipped(**members: str | bytes) -> bytes:
    """A zip; the underscores of a member's name stand for dots."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_", "."), data)
    return content.getvalue()
