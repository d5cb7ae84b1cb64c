"""The ceiling: the clean reference."""

from __future__ import annotations

import numpy as np

from speechbase.files import UserError
from speechbase.items import Item
from speechbase.systems.contract import Baseline


class Adapter(Baseline):
    """Returns the reference untouched."""

    def run(self, item: Item) -> tuple[np.ndarray, int]:
        """The reference and its rate."""
        wave = item.wave("reference")
        if wave is None:
            raise UserError(f"{item.id} has no reference recording.")
        return wave, item.rate_hz
