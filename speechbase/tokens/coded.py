"""What models of a codec's frames do alike with audio: refuse what they cannot hear, code it, decode what they say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import typer
from torch import Tensor

from speechbase import audio
from speechbase.codec.base import Codec
from speechbase.codec.quantiser import TokenCodec
from speechbase.files import UserError

SILENT = 1e-4  # peak below which a recording holds nothing
LEVEL_DBFS = -26.0  # of active speech in all corpora (`level_dbfs` of the configuration)
PROMPT_SECONDS = 10.0  # the longest prompt
CHUNK_FRAMES = 400  # of coding and decoding
SPARE = 8  # positions of a window for signs and a word of text


@dataclass(frozen=True)
class Result:
    """Audio float32 [s], and how its generation ended: `end`, `source`, `edit` or `limit` (cut)."""

    wave: np.ndarray
    rate_hz: int
    reason: str
    frames: int

    def write(self, out: Path, mark: str) -> None:
        """A command's result. Raises: UserError: speech that came to no end, which is not written."""
        if self.reason == "limit":
            raise UserError(
                "The speech came to its longest without an end, and nothing was written: try another --seed, or words "
                "that the model was trained on (docs/speechx.md, docs/polyspeech.md)."
            )
        audio.write(out, self.wave, self.rate_hz, comment=mark)
        typer.echo(f"wrote {out}")


def silent(wave: np.ndarray) -> bool:
    """Whether nothing is to be heard in audio [s]."""
    return bool(np.abs(wave).max(initial=0.0) < SILENT)


class CodedAudio:
    """Audio as a model hears and says it: frames of a codec (latents [n, c] or codes [n, q]).

    Args:
        window: the model's; half of it is for what is heard, the other half for what is said.
    """

    def __init__(self, codec: Codec | TokenCodec, window: int, device: str):
        self.codec, self.device, self.most = codec, device, (window // 2 - SPARE) * codec.hop

    @staticmethod
    def check_form(wave: np.ndarray, name: str) -> None:
        """Raises: UserError: no mono audio in floating point; `name` begins the sentence."""
        floating = isinstance(wave, np.ndarray) and wave.dtype.kind == "f"
        if not floating or wave.ndim != 1 or not np.isfinite(wave).all():
            raise UserError(f"{name} must be mono audio, finite float32 [samples] within -1 and 1.")

    def levelled(self, wave: np.ndarray, name: str) -> tuple[np.ndarray, float]:
        """Audio float32 [s] at the level of the corpora that the models learned from, and the gain that brought it
        there: 1 for silence; errors as `check_form`."""
        from speechbase.corpus.build_speech import levelled

        self.check_form(wave, name)
        if silent(wave):
            return wave, 1.0
        gain = float(np.abs(levelled(wave, self.codec.rate_hz, LEVEL_DBFS)).max() / np.abs(wave).max())
        return wave * np.float32(gain), gain

    def check(self, wave: np.ndarray, name: str) -> None:
        """Raises: UserError: as `check_form`, shorter than a frame, or too long."""
        self.check_form(wave, name)
        rate_hz = self.codec.rate_hz
        if len(wave) < self.codec.hop:
            raise UserError(f"{name} is shorter than {1000 * self.codec.hop // rate_hz} ms.")
        if len(wave) > self.most:
            seconds, longest = len(wave) / rate_hz, self.most / rate_hz
            raise UserError(f"{name} lasts {seconds:.1f} s; at most {longest:.1f} s are taken at once: cut it.")

    def frames(self, wave: np.ndarray, name: str) -> Tensor:
        """Frames [n, ...] of audio [s]. Raises: UserError: as `check`, or silent."""
        self.check(wave, name)
        if silent(wave):
            raise UserError(f"{name} is silent: there is nothing to work on.")
        heard = torch.from_numpy(np.ascontiguousarray(wave, np.float32))[None].to(self.device)
        return self.codec.encode(heard, CHUNK_FRAMES)[0]

    def prompt(self, wave: np.ndarray, name: str) -> Tensor:
        """Frames [p, ...] of a prompt [s]. Raises: UserError: as `frames`, or more than ten seconds."""
        if (seconds := len(wave) / self.codec.rate_hz) > PROMPT_SECONDS:
            raise UserError(
                f"{name} lasts {seconds:.1f} s; at most {PROMPT_SECONDS:.0f} s are used, 2 or 3 are best: cut it."
            )
        return self.frames(wave, name)

    @torch.inference_mode()
    def wave(self, frames: Tensor) -> np.ndarray:
        """Audio float32 [s] within full scale, of frames [n, ...]; of none, nothing."""
        if not len(frames):
            return np.zeros(0, np.float32)
        wave = self.codec.decode(frames[None].to(self.device), CHUNK_FRAMES)[0].float().cpu().numpy()
        return wave.clip(-1, 1)
