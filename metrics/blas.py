"""One thread for BLAS: the order of its sums, and with it a beam search's choice between "10" and "ten", depends on the cores."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

import numpy  # noqa: F401  the libraries that are to be limited must be loaded when they are looked for
import scipy.linalg  # noqa: F401
from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def one_thread() -> AbstractContextManager:
    """A context in which numpy's and scipy's BLAS use one thread, so that a value is the same on any number of cores."""
    return _controller().limit(limits=1, user_api="blas")
