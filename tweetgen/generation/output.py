"""Where finished tweets go: one line each to stdout, or a file, whole even when stopped early."""

import csv
import dataclasses
import io
import json
import sys
from typing import Any

from tweetgen import console
from tweetgen.files import write_text
from tweetgen.generation.page import page

FORMATS = ("text", "jsonl", "csv", "html")
BYTE_ORDER_MARK = "\ufeff"  # without it Excel takes UTF-8 for the old code page
FEWEST_FOR_A_BAR = 50  # tweets


class Output:
    """Shows tweets on stdout as they come; with a path, writes them to that file at the end.

    The file is also written, with the tweets so far, when the block ends by an exception.
    """

    def __init__(self, path: str, file_format: str, num_tweets: int, max_length: int) -> None:
        """`max_length` is what a page shows as the limit of a tweet, 0 = none."""
        self._path, self._format, self._max_length = path, file_format, max_length
        self._tweets: list[dict[str, Any]] = []
        self._bar: Any = None
        if num_tweets >= FEWEST_FOR_A_BAR and (path or not sys.stdout.isatty()):
            from tqdm import tqdm

            self._bar = tqdm(total=num_tweets, unit="tweet", disable=None, dynamic_ncols=True)

    def show(self, tweet: Any) -> None:
        """Take the next tweet, a dataclass whose fields are the columns."""
        self._tweets.append(dataclasses.asdict(tweet))
        if not self._path:
            for line in self._lines(self._tweets[-1:], with_header=len(self._tweets) == 1):
                console.write_line(line, sys.stdout)
        if self._bar is not None:
            self._bar.update()

    def _lines(self, tweets: list[dict[str, Any]], with_header: bool = True) -> list[str]:
        lines = [record(tweet, self._format) for tweet in tweets]
        if self._format != "csv" or not with_header:
            return lines
        is_unicode = self._path or "utf" in (sys.stdout.encoding or "utf-8").lower()
        return [(BYTE_ORDER_MARK if is_unicode else "") + csv_row(tweets[0]), *lines]

    def __enter__(self) -> "Output":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._path and self._tweets:
            is_page = self._format == "html"
            lines = [page(self._tweets, self._max_length)] if is_page else self._lines(self._tweets)
            write_text(self._path, "\n".join([*lines, ""]))


def record(fields: dict[str, Any], file_format: str) -> str:
    r"""One tweet as text (a line break in it as \n), as JSON in one line, or as a row of CSV."""
    if file_format == "jsonl":
        return json.dumps(fields)
    return csv_row(fields.values()) if file_format == "csv" else console.printable(fields["text"])


def csv_row(values: Any) -> str:
    """The values as a row of CSV, line breaks inside quotes; other control characters escaped."""
    file = io.StringIO()
    cells = [
        "\n".join(map(console.printable, value.split("\n"))) if isinstance(value, str) else value
        for value in values
    ]
    csv.writer(file, lineterminator="").writerow(cells)
    return file.getvalue()
