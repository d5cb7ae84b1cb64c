"""What a batch of the model is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speechbase import editing


@dataclass
class Request:
    """One utterance to make: audio at the model's rate, texts, and for TTS and editing the free part's duration.

    `source` [s]; `prompt` [p] the clean prompt that the task needs (TTS, separation, acoustic matching); `voice` [p] a
    prompt for personalisation; `left`, `right` given audio around an edit; `seconds` length of the free part where no
    source sets it. `gamma`: strength of the transcript's guidance, one in a batch (None: that of the settings).
    """

    id: str
    task: str
    source: np.ndarray | None = None
    transcript: str | None = None
    prompt: np.ndarray | None = None
    voice: np.ndarray | None = None
    voice_text: str | None = None
    left: np.ndarray | None = None
    right: np.ndarray | None = None
    seconds: float | None = None
    gamma: float | None = None


def edit_request(identity: str, heard: np.ndarray, rate_hz: int, plan: editing.Edit, text: str) -> Request:
    """The inpainting request of an edit: clean context on both sides of the new part."""
    left, right = heard[: round(plan.start * rate_hz)], heard[round(plan.stop * rate_hz) :]
    shortest = 0.05 * rate_hz
    return Request(
        identity, "edit", transcript=text, seconds=plan.seconds,
        left=left if len(left) > shortest else np.zeros(int(shortest), np.float32),
        right=right if len(right) > shortest else np.zeros(int(shortest), np.float32),
    )  # fmt: skip
