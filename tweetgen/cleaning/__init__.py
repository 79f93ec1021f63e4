from tweetgen.cleaning.rules import Cleaned, clean

__all__ = ["Cleaned", "clean"]
