"""Every key of a scale's resolved configuration and of SpeechOp's entries in workflow/systems.yaml.

Types, ranges, defaults and meanings stand in the rooms that read them; here they are put together and checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from baselines.polyspeech.settings import HubertModel, PolySpeechDecoderModel, PolySpeechModel, SsetModel
from baselines.predictive.settings import PredictiveModel
from baselines.sepformer.settings import SepFormerModel
from baselines.speechx.settings import SpeechXModel
from metrics.judges import recognisers
from metrics.scorer import check_settings
from speechbase.codec.settings import CodecModel, QuantiserModel
from speechbase.corpus.settings import PackagedCorpus
from speechbase.files import UserError
from speechbase.recorded.settings import RecordedCorpus
from speechbase.settings import Name, Natural, Settings, Share, Text, checked, key, needed
from speechbase.training import kinds
from speechbase.training.settings import Model, runs_of
from speechop.settings import Answering, DiffusionModel, System

MODELS: dict[str, type[Model]] = {  # by kind (speechbase/training/kinds.py)
    "codec": CodecModel,
    "quantiser": QuantiserModel,
    "tts": DiffusionModel,
    "multitask": DiffusionModel,
    "s2s": DiffusionModel,
    "predictive": PredictiveModel,
    "sepformer": SepFormerModel,
    "speechx_ar": SpeechXModel,
    "speechx_nar": SpeechXModel,
    "hubert": HubertModel,
    "sset": SsetModel,
    "polyspeech_decoder": PolySpeechDecoderModel,
    "polyspeech": PolySpeechModel,
}


class Overrides(Settings):
    """Changed settings of compared systems."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, dict[str, Any]]

    weights_dir: str | None = key(None, "where downloaded weights lie")


class Evaluation(Settings):
    """How answers are judged."""

    metrics: dict[Name, Name | None] = needed("which metric fills a column (a role) of the tables; null: none does")
    asr: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)] = needed(
        "recognisers by name; a metric's name ends in that of its recogniser: below"
    )
    guide: Name = needed("the recogniser whose transcript of the noisy input guides ITC")
    settings: dict[str, Any] = needed("of scoring and of single metrics (docs/metrics.md)")
    baselines: Overrides = needed("changed settings of baselines/*/card.yaml, by system")
    bootstrap_draws: Annotated[int, Field(ge=100)] = needed("resamples behind every interval")
    min_scored: Share = needed("a cell with a smaller share of scored utterances has no value")


class Resources(Settings):
    """What a job asks the machine for."""

    gpu: Natural = needed("GPUs that a model's job asks for")


class Config(Settings):
    """A resolved configuration."""

    scale: Name = needed("names data/<scale>, models/<scale> and results/<scale>")
    about: Text = needed("what was measured on what, in a sentence that stands under every table")
    seed: Natural = needed("of training, sampling and the bootstrap; every utterance draws from (seed, its id)")
    retrain: bool = needed("True trains models even where shipped weights exist")
    respeak: bool = needed("True speaks the test speech here; False copies what ships, where the corpus is the same")
    portable: bool = key(False, "True: sampling and recognition in float32, which other processors move little")
    resources: Resources
    evaluation: Evaluation
    models: dict[Name, dict[str, Any]] = needed("every model by its folder's name: below")
    corpus: dict[str, Any] = needed("seed and rate of the speech, sentences, voices, noises, rooms, test sets: below")
    sampling: Answering


class SystemEntry(System):
    """A composition of SpeechOp, in workflow/systems.yaml or among a preset's own systems."""

    base: str | None = key(None, "the entry that this one starts from")
    model: Name | None = key(None, "the model's folder")  # type: ignore[assignment]  # it may come from the base


class Changed(Settings):
    """What runs change, as far as it is read before a run is put together."""

    model_config = ConfigDict(extra="allow")

    batches: dict[str, Any] | None = None
    losses: dict[str, Any] | None = None


class Runs(Settings):
    """A model's training, in one run or in several."""

    model_config = ConfigDict(extra="allow")

    runs: list[Changed] | None = None


class Kind(Changed):
    """What is read of a model before the rest of it."""

    kind: str
    training: Runs


def check_config(config: dict, where: str) -> None:
    """A resolved configuration has known keys and fitting values. Raises: UserError: names file, key and the nearest
    one."""
    checked(Config, config, where)
    corpus = RecordedCorpus if "recorded" in config["corpus"] else PackagedCorpus
    checked(corpus, config["corpus"], f"{where}: corpus")
    for name, entry in config["models"].items():
        _check_model(entry, f"{where}: models.{name}")
    with _said_of(f"{where}: evaluation.settings"):
        check_settings(config["evaluation"]["settings"])
    for name, entry in config["evaluation"]["asr"].items():
        with _said_of(f"{where}: evaluation.asr"):
            recognisers.check_settings({"name": name, "model": name} | entry)


@contextmanager
def _said_of(where: str) -> Iterator[None]:
    """Errors say where the value stands."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _check_model(entry: dict, where: str) -> None:
    """Each run of a model, with what `training.runs` changes in it, is whole."""
    checked(Kind, entry, where)
    with _said_of(where):
        kinds.module_of(entry["kind"])
    model, runs = MODELS[entry["kind"]], entry.get("training", {}).get("runs")
    if not runs:
        checked(model, entry, where)
        return
    for number, run in enumerate(runs_of(entry | {"seed": 0}), 1):
        checked(model, {key: value for key, value in run.items() if key != "seed"}, f"{where}, run {number}")


def check_systems(entries: dict[str, dict], where: str) -> None:
    """SpeechOp's entries of workflow/systems.yaml. Raises: UserError: as `check_config`."""
    for name, entry in entries.items():
        checked(SystemEntry, entry, f"{where}: {name}")
