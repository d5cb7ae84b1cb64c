"""One utterance with everything a metric may ask for: checked audio at any rate, text, transcripts, shared features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from metrics import features
from metrics.contract import Metric, Unscorable
from speechbase import audio
from speechbase.files import UserError

MAX_MISMATCH_S = 0.050
SILENT_PEAK = 2.0**-15  # one step of 16-bit audio


@dataclass(frozen=True)
class Files:
    """What is known of one utterance before any audio is read. Paths may be missing; `status` is the estimate's."""

    id: str
    estimate: Path | None = None
    reference: Path | None = None
    mixture: Path | None = None
    prompt: Path | None = None
    text: str | None = None
    label: str | None = None
    answer: str | None = None  # of systems that answer with text or a label
    speaker: str = ""
    status: str = "ok"
    transcripts: Mapping[str, dict] = field(default_factory=dict)  # recogniser -> transcript row
    others: tuple[tuple[Path, Path], ...] = ()  # (estimate, reference) of the mixture's other talkers


@dataclass(frozen=True)
class Rules:
    """What is allowed of audio files: `resample` different rates within one utterance, `channel` of a multi-channel
    file."""

    resample: bool = False
    channel: int | None = None


class Utterance:
    """Loads audio once per file and rate, and keeps features that several metrics share (`remember`)."""

    def __init__(self, files: Files, rules: Rules | None = None, features: Path | None = None):
        self.files = files
        self.rules = rules or Rules()
        self.features = features
        self.version = ""  # of the metric at work
        self._kept: dict[Any, Any] = {}

    def remember(self, key: Any, make: Callable[[], Any]) -> Any:
        """The value of `make()`, computed on the first call with this key."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def feature(self, key: tuple, role: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """An array made of a role's file, remembered; in the folder `features`, if there is one, unless it is the
        estimate's.

        Args:
            key: what the array depends on, beside the file, the metric's version and the rules.
        """
        key = (*key, self.path(role))
        folder = self.features
        if folder is None or role == "estimate":
            return self.remember(key, make)
        file = features.content(self.path(role))
        kept = (*key[:-1], file, self.version, self.rules)
        return self.remember(key, lambda: features.keep(folder, kept, make))

    def path(self, role: str) -> Path:
        """Path of `estimate`, `reference`, `mixture` or `prompt`. Raises: Unscorable: there is none."""
        path = getattr(self.files, role)
        if path is None:
            raise Unscorable(f"no_{role}", f"{self.files.id} has no {role}.")
        return path

    def native(self, role: str) -> tuple[np.ndarray, int]:
        """(float32 [n], rate in Hz) of a role as it is on the disk. Raises: Unscorable: missing or unusable file."""
        return self.open(self.path(role), role)

    def open(self, path: Path, role: str) -> tuple[np.ndarray, int]:
        """Like `native`, of any file; `role` only names it in errors."""
        return self.remember(("native", path), lambda: self._read(path, role))

    def _read(self, path: Path, role: str) -> tuple[np.ndarray, int]:
        try:
            wave, rate_hz = audio.read_mono(path, self.rules.channel)
        except UserError as error:
            raise Unscorable(f"unusable_{role}", str(error)) from None
        if np.abs(wave).max() < SILENT_PEAK:
            raise Unscorable(f"silent_{role}", f"{path.name} is digital silence.")
        return wave, rate_hz

    def wave(self, role: str, rate_hz: int) -> np.ndarray:
        """A role's audio at `rate_hz` (soxr HQ), float32 [n]. Raises: Unscorable: recorded below that rate, and not
        allowed."""
        return self.remember(("wave", role, rate_hz), lambda: self._at_rate(*self.native(role), rate_hz, role))

    def pair(self, rate_hz: int | None = None, role: str = "reference") -> tuple[np.ndarray, np.ndarray, int]:
        """(role's audio, estimate, rate), both cut to the shorter one's duration before any resampling.

        `rate_hz` None is the rate of `role`.
        """
        return self.remember(("pair", role, rate_hz), lambda: self._pair(rate_hz, role))

    def _pair(self, rate_hz: int | None, role: str) -> tuple[np.ndarray, np.ndarray, int]:
        (first, first_hz), (estimate, estimate_hz) = self.native(role), self.native("estimate")
        seconds = min(len(first) / first_hz, len(estimate) / estimate_hz)
        rate_hz = rate_hz or first_hz
        first = self._at_rate(first[: round(seconds * first_hz)], first_hz, rate_hz, role)
        estimate = self._at_rate(estimate[: round(seconds * estimate_hz)], estimate_hz, rate_hz, "estimate")
        length = min(len(first), len(estimate))
        return first[:length], estimate[:length], rate_hz

    def _at_rate(self, wave: np.ndarray, from_hz: int, to_hz: int, role: str) -> np.ndarray:
        if from_hz < to_hz and not self.rules.resample:
            raise Unscorable(
                "rate_too_low",
                f"The {role} has {from_hz} Hz where the metric needs {to_hz} Hz; allow it with --resample.",
            )
        return audio.resample(wave, from_hz, to_hz)

    def check(self, metric: Metric) -> None:
        """Raise Unscorable if this utterance cannot have a value of `metric`, from the files' headers where
        possible."""
        if self.files.status != "ok":
            raise Unscorable("no_estimate", self.files.status)
        for need in metric.needs:
            if need in ("reference", "mixture", "prompt"):
                self.path(need)
        if not metric.audio:
            return
        lengths = {
            role: self._header(role)
            for role in ("estimate", "reference", "mixture", "prompt")
            if role in ("estimate", *metric.needs)
        }
        rates = {role: rate_hz for role, (_, rate_hz) in lengths.items()}
        if len(set(rates.values())) > 1 and not self.rules.resample:
            raise Unscorable(
                "rate_mismatch", f"Rates differ: {rates} Hz; convert the files or allow it with --resample."
            )
        for role, (seconds, _) in lengths.items():
            if seconds < metric.min_seconds:
                raise Unscorable(
                    "too_short", f"The {role} lasts {seconds:.3f} s; at least {metric.min_seconds} s are needed."
                )
            if seconds > metric.max_seconds:
                raise Unscorable(
                    "too_long", f"The {role} lasts {seconds:.0f} s; at most {metric.max_seconds:g} s are scored."
                )
        if metric.aligned:
            spread = max(s for s, _ in lengths.values()) - min(s for s, _ in lengths.values())
            if spread > MAX_MISMATCH_S + 1e-9:
                raise Unscorable(
                    "length_mismatch", f"Lengths differ by {1000 * spread:.0f} ms; at most 50 ms are allowed."
                )

    def _header(self, role: str) -> tuple[float, int]:
        path = self.path(role)
        if not path.is_file():
            raise Unscorable(f"unusable_{role}", f"{path} {'is a folder' if path.is_dir() else 'does not exist'}.")
        try:
            info = self.remember(("header", path), lambda: soundfile.info(path))
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise Unscorable(f"unusable_{role}", f"{path} cannot be read as audio ({error}).") from None
        return info.frames / info.samplerate, info.samplerate

    def seconds(self, role: str) -> float:
        """Duration of a role's file: of what is there, since headers of cut-off files promise more.

        Raises: Unscorable: missing or unusable file.
        """
        path = self.path(role)
        return self.remember(("seconds", path), lambda: self._counted(path, role))

    def _counted(self, path: Path, role: str) -> float:
        try:
            rate_hz, _, blocks = audio.stream(path)
            return sum(map(len, blocks)) / rate_hz
        except UserError as error:
            raise Unscorable(f"unusable_{role}", str(error)) from None

    def text(self) -> str:
        """The reference text. Raises: Unscorable: there is none."""
        if self.files.text is None or not self.files.text.strip():
            raise Unscorable("no_text", f"{self.files.id} has no reference text.")
        return self.files.text

    def label(self) -> str:
        """The label that is right. Raises: Unscorable: there is none."""
        if not self.files.label:
            raise Unscorable("no_label", f"{self.files.id} has no label.")
        return self.files.label

    def answer(self) -> str:
        """What the system answered in words ("" where it heard nothing). Raises: Unscorable: it gave no text or
        label."""
        if self.files.answer is None:
            raise Unscorable("no_answer", f"{self.files.id} has no answer in words.")
        return self.files.answer

    def transcript(self, asr: str) -> str:
        """What recogniser `asr` heard in the estimate ("" if nothing). Raises: Unscorable: it failed or never ran."""
        row = self.files.transcripts.get(asr)
        if row is None:
            raise Unscorable("no_transcript", f"{self.files.id} has no transcript by {asr}.")
        if row["status"] != "ok":
            raise Unscorable("no_transcript", f"{asr}: {row['status']}")
        return row["text"]
