"""The three guidance strategies of Appendix B.1 as scores (x, sigma) -> d log p / dx."""

from __future__ import annotations

from toy_gmm.mixture import Table7
from toy_gmm.sampling import Score


def none(setup: Table7) -> Score:
    """No guidance: the imperfect enhancement model alone."""
    return setup.imperfect.score


def tc_cfg(setup: Table7, rho: float) -> Score:
    """Eq. 4 with exact scores: the guide grad log p_TTS(y | x) is the conditional minus the unconditional TTS score."""
    text = setup.tts.component(setup.y)
    return lambda x, sigma: setup.imperfect.score(x, sigma) + rho * (text.score(x, sigma) - setup.tts.score(x, sigma))


def tc_avg(setup: Table7, alpha: float) -> Score:
    """Eq. 1: the average of the enhancement score and the conditional TTS score."""
    text = setup.tts.component(setup.y)
    return lambda x, sigma: (1 - alpha) * setup.imperfect.score(x, sigma) + alpha * text.score(x, sigma)
