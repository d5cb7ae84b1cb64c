"""Settings of the compared systems that are trained on SpeechOp's data (the matched ones)."""

from __future__ import annotations

from speechbase.settings import Count, Pair, Positive, Settings, key
from speechbase.training.settings import Model


class MatchedBatches(Settings):
    """Pairs of a compared system."""

    size: Count = key(..., "items of a micro-batch")
    seconds: Positive = key(..., "of an item")
    speed: Pair | None = key(None, "range of speed perturbation of training items, as of SpeechOp's")


class MatchedModel(Model):
    """A compared system that is trained here."""

    batches: MatchedBatches
