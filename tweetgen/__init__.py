"""Turn a dump of tweets into a generator of new tweets in the same voice."""

import os
import sys

# Read by any Python 3, so that an old one says one clear line instead of a syntax error.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("tweetgen needs Python 3.11 or newer; this is %d.%d." % sys.version_info[:2])  # noqa: UP031

# Intel's MKL then gives each row of a product the same bits whatever the number of rows and threads
# ("strict conditional numerical reproducibility", read at its first use): a draft must not depend
# on how many others are drawn with it. Not slower for products of 1 to 1,024 rows (AVX-512).
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
