from tweetgen.cleaning.placeholders import bare_placeholders
from tweetgen.cleaning.rules import Cleaned, Outcome, clean, cleaner

__all__ = ["Cleaned", "Outcome", "bare_placeholders", "clean", "cleaner"]
