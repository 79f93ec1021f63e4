"""How the threads that compute wait for one another; nothing here imports torch."""

import os

# The count of GNU OpenMP is in turns of a loop, about 20 ns each: a thread that has finished early
# looks for 40 µs whether the others have, then sleeps. Its default, 300,000, makes training ten
# times slower beside another busy process, and sleeping at once makes GPT-2 draw 16 rows at half
# the speed on a quiet machine (2 cores, AVX2). Other OpenMP libraries do not read it.
SPIN_COUNT = "2000"


def limit_spinning() -> None:
    """Let waiting threads spin only briefly, unless the environment says how they wait.

    Must be called before torch is imported, which reads it.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
