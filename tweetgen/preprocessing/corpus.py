"""Files to clean texts: on disk while a run lasts, with a few bytes about each in memory.

Several processes read and clean a part each. Everything is in the order of the files, whichever
process it comes from, so that the result is the same for any number of them.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tweetgen.cleaning import clean
from tweetgen.text.keys import canonical_key
from tweetgen.errors import TweetgenError
from tweetgen.preprocessing.duplicates import Bools, hash_keys
from tweetgen.reading import Source, read_batches
from tweetgen.reading.mojibake import repair
from tweetgen.settings import CleaningSettings, ReadingSettings

ROW = np.dtype([("key", "<u8"), ("characters", "<i4")])  # of a clean text


@dataclass(frozen=True)
class CleaningJob:
    """What the processes that read and clean have to know."""

    sources: Sequence[Source]
    reading: ReadingSettings
    cleaning: CleaningSettings
    excluded: re.Pattern[str] | None
    folder: Path  # for temporary files


class CleanBatch(NamedTuple):
    """What a process reports about neighbouring tweets that it has cleaned and stored."""

    source: int  # place in the job's sources
    number: int  # in its source
    share: int  # whose files hold it
    num_read: int
    num_clean: int
    num_joined: int  # rows whose unquoted separators were taken as part of the text
    num_bytes: int  # of the texts on disk
    changed: dict[str, int]  # clean tweets by rule
    dropped: dict[str, int]  # other tweets by rule


class Corpus(NamedTuple):
    """The clean texts of a run; rows and masks have a place for each, in the order of the files."""

    folder: Path
    batches: list[CleanBatch]
    rows: npt.NDArray[Any]  # ROW (texts,)


def clean_share(share: int, num_shares: int, job: CleaningJob) -> Iterator[CleanBatch]:
    """A task for `parallel.run_shares`: read, clean and store this share of all batches."""
    with ExitStack() as files:
        texts_file, rows_file = (
            files.enter_context(open(job.folder / f"{kind}-{share}", "wb"))
            for kind in ("texts", "rows")
        )
        for place, source in enumerate(job.sources):
            turn = (share + place) % num_shares  # so that many small files are shared as well
            for batch in read_batches(source, job.reading, turn, num_shares):
                texts, changed, dropped = _clean_texts(batch.texts, source.mojibake, job)
                if batch.outside:
                    dropped["outside dates"] = batch.outside
                content = "\0".join(texts).encode()  # no clean text has a control character
                store(texts_file, content)
                store(rows_file, _rows(texts).tobytes())
                yield CleanBatch(
                    place,
                    batch.index,
                    share,
                    len(batch.texts) + batch.outside,
                    len(texts),
                    batch.joined,
                    len(content),
                    dict(changed),
                    dict(dropped),
                )


def _clean_texts(
    raw: list[str], mojibake: str, job: CleaningJob
) -> tuple[list[str], Counter[str], Counter[str]]:
    """The clean texts that stay, and how many tweets each rule changed or dropped."""
    repaired = [repair(text, mojibake) for text in raw] if mojibake else raw
    results = [clean(text, job.cleaning) for text in repaired]
    dropped = Counter(result.dropped for result in results if result.dropped)
    changed: Counter[str] = Counter()
    if mojibake:
        triples = zip(raw, repaired, results, strict=True)
        changed["mojibake"] = sum(old != new and not r.dropped for old, new, r in triples)
    for rules, num_tweets in Counter(r.changed for r in results if not r.dropped).items():
        changed.update(dict.fromkeys(rules, num_tweets))
    texts = [result.text for result in results if not result.dropped]
    if job.excluded:
        stays = [job.excluded.search(text) is None for text in texts]
        dropped["excluded"] = stays.count(False)
        texts = list(compress(texts, stays))
    return texts, +changed, +dropped


def _rows(texts: list[str]) -> npt.NDArray[Any]:
    rows = np.empty(len(texts), dtype=ROW)
    rows["key"] = hash_keys([canonical_key(text) for text in texts])
    rows["characters"] = np.fromiter(map(len, texts), np.int32, len(texts))
    return rows


def store(file: IO[bytes], content: bytes) -> None:
    """Write to a temporary file.

    Raises:
        TweetgenError: the disk is full.
    """
    try:
        file.write(content)
        file.flush()
    except OSError as error:
        raise TweetgenError(
            f"cannot write temporary files in {Path(file.name).parent.parent} "
            f"({error.strerror or error}). Free some space, or name a folder in TMPDIR."
        ) from error


def collect(folder: Path, reports: Sequence[CleanBatch]) -> Corpus:
    """The corpus that `clean_share` has stored, from all its reports."""
    batches = sorted(reports)
    rows = np.empty(sum(batch.num_clean for batch in batches), dtype=ROW)
    with ExitStack() as stack:
        files = open_shares(folder, "rows", batches, stack)
        for batch, place in zip(batches, places(batches), strict=True):
            rows[place] = np.fromfile(files[batch.share], ROW, batch.num_clean)
    return Corpus(folder, batches, rows)


def places(batches: Sequence[CleanBatch]) -> list[slice]:
    """Where the rows of each batch are among all; `batches` are all there are."""
    ends = np.cumsum([batch.num_clean for batch in batches], dtype=np.int64).tolist()
    return [slice(end - batch.num_clean, end) for batch, end in zip(batches, ends, strict=True)]


def read_texts(corpus: Corpus, wanted: Bools, share: int | None = None) -> Iterator[list[str]]:
    """For each batch in turn (of one share, if given) those of its texts that are wanted."""
    with ExitStack() as stack:
        files = open_shares(corpus.folder, "texts", corpus.batches, stack)
        for batch, place in zip(corpus.batches, places(corpus.batches), strict=True):
            if share is not None and batch.share != share:
                continue
            texts = files[batch.share].read(batch.num_bytes).decode().split("\0")
            if batch.num_clean:
                yield list(compress(texts, wanted[place].tolist()))


def open_shares(
    folder: Path, kind: str, batches: Sequence[CleanBatch], stack: ExitStack
) -> dict[int, IO[bytes]]:
    """The files of one kind that the shares wrote, by share."""
    shares = sorted({batch.share for batch in batches})
    return {share: stack.enter_context(open(folder / f"{kind}-{share}", "rb")) for share in shares}
