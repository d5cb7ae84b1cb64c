"""Settings of the predictive enhancer."""

from __future__ import annotations

from baselines.settings import MatchedModel
from speechbase.settings import Count, Settings


class Size(Settings):
    """Sizes of the predictive enhancer; the defaults can be trained by two CPU cores."""

    rate_hz: Count = 16000
    window: Count = 512
    hop: Count = 128
    hidden: Count = 256
    layers: Count = 2


class PredictiveModel(MatchedModel):
    """The predictive enhancer, trained here."""

    network: Size
