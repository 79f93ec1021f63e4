from tweetgen.reading.read import read

__all__ = ["read"]
