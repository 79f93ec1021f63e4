from tweetgen.cleaning.placeholders import bare_placeholders
from tweetgen.cleaning.rules import Cleaned, clean, cleaner

__all__ = ["Cleaned", "bare_placeholders", "clean", "cleaner"]
