"""The three guidance strategies of Appendix B.1: the speech model's composition algebra over exact scores.

Noise is variance exploding here, z = x + sigma eps, so that logSNR = -2 ln sigma.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from speechop.guidance import ClosedForm, Expression, Leaf, tc_avg, tc_cfg
from toy_gmm.mixture import Mixture, Table7

_EXACT = ClosedForm()


@dataclass(frozen=True)
class Given:
    """The condition of a leaf: a mixture's score given its class y, or unconditionally where y is None."""

    mixture: Mixture
    y: int | None = None

    def null(self) -> Given:
        """The same mixture without the class."""
        return Given(self.mixture)

    def __call__(self, z: Tensor, logsnr: float) -> Tensor:
        """The score at z [n] of the mixture, or of its component y, with noise of this logSNR."""
        mixture = self.mixture if self.y is None else self.mixture.component(self.y)
        return mixture.score(z, math.exp(-logsnr / 2))


def enhancement(setup: Table7) -> Leaf:
    """The imperfect enhancement model's score."""
    return _EXACT.term(Given(setup.imperfect))


def text(setup: Table7) -> Leaf:
    """The TTS score given the target word; its null is the score of the bimodal prior."""
    return _EXACT.term(Given(setup.tts, setup.y))


def strategy(setup: Table7, method: str, strength: float) -> Expression:
    """The composed score of a method: `none`, `tc_cfg` (Eq. 4, strength rho) or `tc_avg` (Eq. 1, strength alpha)."""
    if method == "none":
        return enhancement(setup)
    return {"tc_cfg": tc_cfg, "tc_avg": tc_avg}[method](enhancement(setup), text(setup), strength)
