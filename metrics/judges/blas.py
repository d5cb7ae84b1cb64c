"""One thread for BLAS: the order of its sums, and with it a beam search's choice between "10" and "ten", depends on the
cores."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

import numpy  # noqa: F401  a library that is to be limited must be loaded when it is looked for
from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def one_thread() -> AbstractContextManager:
    """A context in which numpy's BLAS uses one thread, so that a value is the same on any number of cores.

    No metric calls SciPy's own BLAS; looking for it would cost every scoring process half a second of imports.
    """
    return _controller().limit(limits=1, user_api="blas")
