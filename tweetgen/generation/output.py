"""Where finished tweets go: one line each to stdout, or a file, whole even when stopped early."""

import csv
import dataclasses
import io
import json
import sys
from types import TracebackType
from typing import Any

from tweetgen import console
from tweetgen.files import write_text

FORMATS = ("text", "jsonl", "csv")
FEWEST_FOR_A_BAR = 50  # tweets


class Output:
    """Shows tweets on stdout as they come; with a path, writes them to that file at the end.

    The file is also written, with the tweets so far, when the block ends by an exception.
    """

    def __init__(self, path: str, file_format: str, num_tweets: int) -> None:
        self._path, self._format = path, file_format
        self._records: list[str] = []
        self._bar: Any = None
        if num_tweets >= FEWEST_FOR_A_BAR and (path or not sys.stdout.isatty()):
            from tqdm import tqdm

            self._bar = tqdm(total=num_tweets, unit="tweet", disable=None, dynamic_ncols=True)

    def show(self, tweet: Any) -> None:
        """Take the next tweet, a dataclass whose fields are the columns."""
        fields = dataclasses.asdict(tweet)
        if self._format == "csv" and not self._records:
            self._write(csv_row(fields))
        self._write(record(fields, self._format))
        if self._bar is not None:
            self._bar.update()

    def _write(self, text: str) -> None:
        self._records.append(text)
        if not self._path:
            console.write_line(text, sys.stdout)

    def __enter__(self) -> "Output":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._path and self._records:
            write_text(self._path, "\n".join([*self._records, ""]))


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
