"""Small files of tweets as they come, and what is read from them."""

import io
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from tweetgen.errors import TweetgenError
from tweetgen.reading import read
from tweetgen.settings import ReadingSettings


def write(folder: Path, name: str, content: str | bytes) -> str:
    """The path of a new file with that content; text is written as UTF-8, line ends as they are."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return str(path)


def frame(*paths: str, **settings: str) -> pd.DataFrame:
    """All tweets, in order."""
    return read(paths, ReadingSettings(**settings), lambda line: None)


def texts(*paths: str, **settings: str) -> list[str]:
    """All raw texts, in order."""
    return frame(*paths, **settings)["text"].tolist()


def told(*paths: str, **settings: str) -> list[str]:
    """What is said of the files, line by line."""
    lines: list[str] = []
    read(paths, ReadingSettings(**settings), lines.append)
    return lines


def refused(*paths: str, **settings: str) -> str:
    """The one line with which reading ends."""
    with pytest.raises(TweetgenError) as error:
        frame(*paths, **settings)
    assert "\n" not in str(error.value)
    return str(error.value)


def zipped(**members: str | bytes) -> bytes:
    """A zip; the underscores of a member's name stand for dots."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_", "."), data)
    return content.getvalue()
