"""What a metric is: a record that documents and versions it, and a function from an utterance to a number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal

from speechbase.settings import Settings

if TYPE_CHECKING:
    from metrics.utterance import Utterance


class Unscorable(Exception):
    """An utterance that has no value of a metric: a status code (snake case) and the reason in one sentence."""

    def __init__(self, status: str, reason: str = ""):
        super().__init__(status, reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class Value:
    """A metric's number for one utterance, with what it was computed from (edit counts, frames, ...)."""

    value: float
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ratio:
    """Corpus-level aggregation: scale * sum(numerators) / sum(denominators), both sums over keys of `detail`."""

    numerators: tuple[str, ...]
    denominator: str
    scale: float = 1.0


@dataclass(frozen=True)
class Metric:
    """One metric. Everything but `compute` is documentation, or decides what `compute` is given.

    Attributes:
        name: column name; in a family that depends on a recogniser it ends in `{asr}`.
        compute: (utterance, settings) -> Value; raises Unscorable for an utterance that has no value. The settings are
            those of the metric, and `asr`.
        needs: what the value depends on besides the estimate: reference, mixture, prompt, text, transcript, others; and
            of answers in words label and answer.
        judges: what an answer must be to be judged: audio (a recogniser's transcript is made of it), text or label.
        audio: whether the estimate's audio is read at all.
        aligned: reference and estimate are compared sample by sample: lengths may differ by 50 ms at most.
        model: it runs a network, so it stays in the main process, where each model is loaded once.
        higher: True if higher is better, False if lower is, None if neither.
        min_seconds: a shorter file has no value ("too_short").
        max_seconds: a longer file has no value ("too_long").
        settings: its settings with their defaults.
        version: raised whenever the same input would give another value.
        libraries: distributions whose versions are recorded with every value.
        ratio: how the corpus value is formed; None is the mean over utterances.
        asr: the recogniser whose transcripts it reads; the registry sets it from the name.
    """

    name: str
    compute: Callable[[Utterance, Mapping[str, Any]], Value]
    definition: str
    unit: str
    range: str
    higher: bool | None
    rate: str
    source: str
    pitfalls: str
    version: str
    needs: tuple[str, ...] = ("reference",)
    judges: Literal["audio", "text", "label"] = "audio"
    audio: bool = True
    aligned: bool = False
    model: bool = False
    min_seconds: float = 0.0
    max_seconds: float = 600.0
    settings: type[Settings] = Settings
    libraries: tuple[str, ...] = ()
    ratio: Ratio | None = None
    asr: str | None = None

    @property
    def full_version(self) -> str:
        """The metric's version and those of its libraries, as stored with every row."""
        return "; ".join([self.version, *(f"{name} {library_version(name)}" for name in self.libraries)])


def library_version(distribution: str) -> str:
    """Installed version of a distribution, or "missing"."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "missing"
