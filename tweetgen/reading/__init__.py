from tweetgen.reading.frame import read
from tweetgen.reading.read import Batch, describe, find_sources, read_batches
from tweetgen.reading.source import Source

__all__ = ["Batch", "Source", "describe", "find_sources", "read", "read_batches"]
