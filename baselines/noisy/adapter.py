"""The floor: the source as it is."""

from __future__ import annotations

import numpy as np

from speechbase.items import Item
from speechbase.systems.contract import Baseline


class Adapter(Baseline):
    """Returns the source untouched."""

    def run(self, item: Item) -> tuple[np.ndarray, int]:
        """The source and its rate."""
        return item.wave("source"), item.rate_hz
