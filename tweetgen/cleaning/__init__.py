from tweetgen.cleaning.rules import Cleaned, canonical_key, clean

__all__ = ["Cleaned", "canonical_key", "clean"]
