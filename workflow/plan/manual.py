"""config/README.md and workflow/schemas: `python -m workflow.plan.manual` writes them from the pydantic models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path

from baselines.speechx.pairs import BatchConfig as SpeechXBatchConfig
from speechbase.codec.quantiser_trainee import FitConfig
from speechbase.codec.trainee import CodecLossConfig
from speechbase.files import write_json, write_text
from speechbase.settings import Settings
from speechbase.tokens.lm import LMConfig
from speechbase.training.loop import TrainingConfig
from speechop import compose
from speechop.model.network import NetworkConfig
from speechop.model.transformer import TransformerConfig
from speechop.stages.batches import BatchConfig
from speechop.stages.diffusion import DiffusionLossConfig
from workflow.claims.stated import StatedClaims
from workflow.plan import schema
from workflow.plan.planning import ROOT
from workflow.plan.preset import Preset

# What reads a section, and so knows what a key that is left out means.
READERS: dict[type[Settings], type] = {
    schema.Training: TrainingConfig,
    schema.Batches: BatchConfig,
    schema.CodecLosses: CodecLossConfig,
    schema.DiffusionLosses: DiffusionLossConfig,
    schema.Network: NetworkConfig,
    schema.Transformer: TransformerConfig,
    schema.Sampling: compose.Settings,
    schema.QuantiserFit: FitConfig,
    schema.TokenNetwork: LMConfig,
    schema.SpeechXBatches: SpeechXBatchConfig,
}
SECTIONS = (
    ("", schema.Config),
    ("models.<name>", schema.CodecModel),
    ("models.<name>", schema.DiffusionModel),
    ("models.<name>", schema.MatchedModel),
    ("models.<name>", schema.QuantiserModel),
    ("models.<name>", schema.SpeechXModel),
    ("corpus", schema.PackagedCorpus),
    ("corpus", schema.RecordedCorpus),
    ("systems.<name>", schema.System),
)
PAGE = "config/README.md"
SCHEMAS: dict[str, type[Settings]] = {
    "preset": Preset,
    "claims": StatedClaims,
    "system": schema.System,
    "config": schema.Config,
    "packaged_corpus": schema.PackagedCorpus,
    "recorded_corpus": schema.RecordedCorpus,
}
HEAD = """\
# Configuration

`config/base.yaml` holds what all scales share, `config/<scale>.yaml` a scale's differences, and
`--configfile mine.yaml` and `--config key=value` lie over both (`scale` in your file says which one; `nano` is the
default, `--config scale=smoke` takes `config/smoke.yaml`). A mapping is merged key by key, anything else replaced, and
`null` takes away what lies beneath it (under `evaluation.metrics` it stays: nothing measures that role). A scale of
your own is one file; it reads and writes `data/<scale>`, `models/<scale>` and `results/<scale>`. An unknown key is an
error that names it.

- A scale has the models that it names. `base: other` in a model's entry lays it over that model's.
- `training: {..., runs: [{...}, {...}]}` trains one model in several runs, each from the averaged weights of the one
  before, with its own optimiser and schedule; a run may change any key of `training`, and `batches` and `losses` key by
  key.
- `init: other` starts from another model's weights, `init: other@1` from those after its first run.
- `corpus.voices` names a cast of `config/voices.tsv` (or lists voices). A scale with `corpus.recorded` takes nothing of
  the packaged speech but seed, level and degradation.
"""
TAIL = """
Systems (which model, transcript and composition) are not configuration but data: `workflow/systems.yaml`. Tables are
too: `workflow/presets/*/*.yaml`.
"""


def render() -> str:
    """config/README.md: how layers are laid over each other, then every key."""
    seen: dict[str, str] = {}
    return HEAD + "".join(_section(place, model, seen) for place, model in SECTIONS) + TAIL


def _section(place: str, model: type[Settings], seen: dict[str, str]) -> str:
    """A heading and the table of a model's keys."""
    own = model.model_json_schema()
    lines = [f"| {' | '.join(row)} |" for row in _rows(own, own.get("$defs", {}), place, "", seen)]
    said = (model.__doc__ or "").strip().rstrip(".")
    title = f"`{place}`: {said}" if place else "The configuration"
    return "\n".join(
        [f"\n## {title}\n", "| key | takes | left out | meaning |", "| --- | --- | --- | --- |", *lines, ""]
    )


def _rows(section: dict, parts: dict, place: str, at: str, seen: dict[str, str]) -> Iterator[tuple[str, str, str, str]]:
    """(key, what it takes, what leaving it out means, meaning) of each key; keys that stand elsewhere are told so once.

    Args:
        place: the section of the document.
        at: where in that section the keys stand: "" or ending in a dot.
        seen: model -> where its keys stand; those met here are added.
    """
    model = getattr(schema, section["title"])
    bases = [base for base in model.__mro__[1:] if base.__name__ in seen]
    told = {name for base in bases for name in base.model_fields}
    if told:
        yield f"`{at}*`", f"the keys of `{seen[bases[0].__name__]}`", "", ""
    if at:
        above = (base for base in model.__mro__ if base not in (Settings, *Settings.__mro__))
        seen |= {base.__name__: f"{place}.{at}".strip(".") for base in above if base.__name__ not in seen}
    defaults = _defaults(model)
    for name, whole in section["properties"].items():
        if name in told:
            continue
        value = _without_null(whole)
        inner, path = _inner(value), f"{at}{name}{_entry(value)}"
        left_out = "needed" if name in section.get("required", ()) else defaults.get(name, "")
        meaning = whole.get("description", "") or parts.get(inner, {}).get("description", "").rstrip(".")
        if not inner:
            yield f"`{path}`", _takes(value), left_out, meaning
        elif inner in seen:
            yield f"`{path}`", f"as `{seen[inner]}`", left_out, meaning
        else:
            if meaning or left_out:
                yield f"`{path}`", "keys", left_out, meaning
            yield from _rows(parts[inner], parts, place, f"{path}.", seen)


def _defaults(model: type[Settings]) -> dict[str, str]:
    """What the code takes for the keys of a section that are left out."""
    found = [one for section, reader in READERS.items() if issubclass(model, section) for one in fields(reader)]
    return {one.name: _plain(one.default) for one in found if one.default not in (MISSING, None)}


def _plain(value: object) -> str:
    return f"{list(value)}".replace("'", "") if isinstance(value, tuple) else f"{value}"


def _without_null(value: dict) -> dict:
    kinds = [kind for kind in value.get("anyOf", ()) if kind != {"type": "null"}]
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else value


def _element(value: dict) -> dict:
    """The schema of a list's elements or of a mapping's values; {} for other values."""
    entries = (
        value.get("items") or value.get("additionalProperties") or [*value.get("patternProperties", {}).values(), {}][0]
    )
    return entries if isinstance(entries, dict) else {}


def _inner(value: dict) -> str:
    """The section that a key, the elements of its list, or the values of its mapping are."""
    return (value.get("$ref") or _element(value).get("$ref", "")).rpartition("/")[2]


def _entry(value: dict) -> str:
    if "$ref" in value or not _inner(value):
        return ""
    return "[]" if "items" in value else ".<name>"


def _takes(value: dict) -> str:
    """What a key takes, in words."""
    if kinds := value.get("anyOf"):
        return " or ".join(_takes(kind) for kind in kinds)
    if "enum" in value or "const" in value:
        return ", ".join(f"`{choice}`" for choice in value.get("enum", [value.get("const")]))
    kind = value.get("type")
    if kind == "array":
        element = _takes(value["items"])
        return f"[{element}, {element}]" if value.get("maxItems") == 2 else f"list of {element}"
    words = {"integer": "whole", "number": "number", "boolean": "True, False", "string": "text", "object": "mapping"}
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤"}
    return " ".join([words[str(kind)], *(f"{sign} {value[key]:g}" for key, sign in limits.items() if key in value)])


def write(root: Path = ROOT) -> None:
    """Write the page and the JSON schemas that editors read, from the models."""
    write_text(root / PAGE, render())
    for name, model in SCHEMAS.items():
        write_json(root / "workflow" / "schemas" / f"{name}.schema.json", model.model_json_schema())


if __name__ == "__main__":
    write()
