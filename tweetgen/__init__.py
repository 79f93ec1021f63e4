"""Turn a dump of tweets into a generator of new tweets in the same voice."""

import sys

# Read by any Python 3, so that an old one says one clear line instead of a syntax error.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("tweetgen needs Python 3.11 or newer; this is %d.%d." % sys.version_info[:2])  # noqa: UP031
