"""The stages of preprocess.py, each shared between processes, with a progress bar."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tqdm import tqdm

from tweetgen import console
from tweetgen.cleaning import clean
from tweetgen.errors import TweetgenError
from tweetgen.files import atomic_write
from tweetgen.models import PretrainedTokenizer
from tweetgen.preprocessing.corpus import (
    CleanBatch,
    CleaningJob,
    Corpus,
    clean_share,
    collect,
    read_texts,
)
from tweetgen.preprocessing.counts import Counts
from tweetgen.preprocessing.duplicates import Bools, first_copies
from tweetgen.preprocessing.parallel import run_shares
from tweetgen.preprocessing.selection import Split, drop_near_copies, sign_share
from tweetgen.preprocessing.token_file import Ints, assemble, encode_share, read_lengths
from tweetgen.reading import Source, describe, read_batches
from tweetgen.reading.archives import bytes_on_disk
from tweetgen.reading.mojibake import repair
from tweetgen.settings import SelectionSettings
from tweetgen.signals import held
from tweetgen.tokenizer import END_ID, encoder, train_vocabulary

# A second process takes 0.1 s or more to start where processes are spawned, as on macOS; one
# process reads and cleans 2 MB in about as much.
BYTES_PER_WORKER = 2_000_000
BAR_DELAY_SECONDS = 1.5  # what takes less shows no bar


def choose_num_workers(sources: Sequence[Source], wanted: int) -> int:
    """How many processes to use: as many as are wanted, or (0) as are worth it."""
    if wanted:
        return wanted
    if sys.platform == "linux":  # a job may be given fewer cores than there are
        num_cores = len(os.sched_getaffinity(0))
    else:
        num_cores = os.cpu_count() or 1
    # Of an archive, what is read: its pictures and films are a hundred times the tweets.
    num_bytes = sum(bytes_on_disk(source.path, source.members) for source in sources)
    return max(1, min(num_cores, num_bytes // BYTES_PER_WORKER))


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is gone after the block.

    Raises:
        TweetgenError: there is no place for it.
    """
    try:
        folder = TemporaryDirectory(prefix="tweetgen-", ignore_cleanup_errors=True)
    except OSError as error:
        raise TweetgenError(
            f"there is no place for temporary files ({error.strerror or error}). "
            "Free some space, or name a folder in TMPDIR."
        ) from error
    with folder as path:
        yield Path(path)


def show_preview(job: CleaningJob, num_tweets: int) -> None:
    """Print the first tweets, raw and clean."""
    raw = (
        repair(text, source.mojibake) if source.mojibake else text
        for source in job.sources
        for batch in read_batches(source, job.reading)
        for text in batch.texts
    )
    for text in islice(raw, num_tweets):
        cleaned = clean(text, job.cleaning)
        console.show(f"before: {text}")
        console.show(f"after:  {f'({cleaned.dropped})' if cleaned.dropped else cleaned.text}")
        console.show()


def clean_files(job: CleaningJob, counts: Counts, num_workers: int) -> Corpus:
    """The clean texts of all files; says what was read as what."""
    reports: list[CleanBatch] = []
    with run_shares(clean_share, num_workers, job) as running:
        for report in _with_bar(running, "reading and cleaning", lambda report: report.num_read):
            reports.append(report)
            counts.read += report.num_read
            counts.changed.update(report.changed)
            counts.dropped.update(report.dropped)
    for place, source in enumerate(job.sources):
        own = [report for report in reports if report.source == place]
        console.say(describe(source, sum(report.num_read for report in own)))
        if num_joined := sum(report.num_joined for report in own):
            console.say(f"  {num_joined:,} rows had unquoted separators in the text")
    counts.check_any_kept()
    return collect(job.folder, reports)


def different_texts(
    corpus: Corpus, settings: SelectionSettings, counts: Counts, num_workers: int
) -> Bools:
    """A mask of the texts that are no copies of earlier ones."""
    different = first_copies(corpus.rows["key"])
    counts.drop("duplicate", np.ones_like(different), different)
    threshold = settings.near_duplicates
    if not threshold:
        return different
    with run_shares(sign_share, num_workers, corpus, different, threshold) as running:
        for _ in _with_bar(running, "comparing", int, counts.kept):
            pass
    no_near_copies = drop_near_copies(corpus, different, threshold)
    counts.drop("near duplicate", different, no_near_copies)
    return no_near_copies


def new_vocabulary(
    corpus: Corpus, wanted: Bools, size: int, old: PretrainedTokenizer
) -> PretrainedTokenizer:
    """A tokenizer made from the wanted texts, for a model with the context of the old one's."""
    tokenizer_json = train_vocabulary(read_texts(corpus, wanted), size)
    num_entries = encoder(tokenizer_json).get_vocab_size()
    if num_entries < size:
        console.say(f"so few tweets give {num_entries:,} vocabulary entries")
    return old._replace(tokenizer_json=tokenizer_json, eos_token_id=END_ID)


def encode_texts(
    corpus: Corpus, wanted: Bools, tokenizer: PretrainedTokenizer, num_workers: int
) -> Ints:
    """Tokens of each wanted text, EOS included; the ids wait on disk for `gather_tokens`."""
    arguments = (corpus, wanted, tokenizer.tokenizer_json, tokenizer.eos_token_id)
    with run_shares(encode_share, num_workers, *arguments) as running:
        with held():
            import torch  # noqa: F401  # 1.5 seconds, in which the workers are ahead of us
        for _ in _with_bar(running, "encoding", int, int(wanted.sum())):
            pass
    return read_lengths(corpus, wanted)


def fitting_texts(lengths: Ints, context_length: int, counts: Counts) -> Bools:
    """The encoded texts that a model can read as EOS tweet EOS."""
    encoded = lengths > 0
    fitting = encoded & (lengths < context_length)  # a length includes one EOS
    counts.drop("too long", encoded, fitting)
    counts.check_any_kept()
    return fitting


def gather_tokens(corpus: Corpus, lengths: Ints, parts: Split) -> dict[str, Any]:
    """What a token file says of its tweets; its other keys say where they come from."""
    import torch

    from tweetgen.storage import fingerprint

    ids, offsets = map(torch.from_numpy, assemble(corpus, lengths, parts))
    characters = np.concatenate([corpus.rows["characters"][part] for part in parts])
    validation_start = int(parts.training.sum())
    return {
        "ids": ids,
        "offsets": offsets,
        "validation_start": validation_start,
        "characters": torch.from_numpy(characters.astype(np.int64)),
        "fingerprint": fingerprint(ids, offsets, validation_start),
    }


def write_texts(path: str, corpus: Corpus, parts: Split) -> None:
    """Write the texts of a token file as JSON lines, in its order.

    Raises:
        TweetgenError: the file cannot be written.
    """
    with atomic_write(path) as file:
        for name, part in zip(("train", "validation"), parts, strict=True):
            for text in chain.from_iterable(read_texts(corpus, part)):
                line = json.dumps({"text": text, "split": name}, ensure_ascii=False)
                file.write(line.encode() + b"\n")


def show_summary(counts: Counts, tweets: dict[str, Any], path: str) -> None:
    """Print what became of the tweets, and what the token file holds."""
    offsets, validation_start = tweets["offsets"], tweets["validation_start"]
    rows = [
        *counts.table(),
        ("training", validation_start),
        ("validation", len(offsets) - 1 - validation_start),
        ("tokens", len(tweets["ids"])),
        ("tokens of the longest", int(offsets.diff().max())),
        ("characters", int(tweets["characters"].sum())),
        (f"bytes in {path}", Path(path).stat().st_size),
    ]
    width = max(len(label) for label, _ in rows)
    for label, number in rows:
        console.show(f"{label:<{width}}  {number:>13,}")


def _with_bar(
    reports: Iterable[Any], what: str, num_tweets: Callable[[Any], int], total: int | None = None
) -> Iterator[Any]:
    with tqdm(
        desc=what,
        total=total,
        unit=" tweets",
        unit_scale=True,
        delay=BAR_DELAY_SECONDS,
        leave=False,
    ) as bar:
        for report in reports:
            bar.update(num_tweets(report))
            yield report
