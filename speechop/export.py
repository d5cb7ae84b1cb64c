"""Weights as a folder ready for a model hub: `python -m speechop.export --models nano --out FOLDER`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from huggingface_hub import ModelHubMixin

from speechbase.files import (
    UserError,
    atomic,
    check_output,
    package_version,
    plain_errors,
    read_json,
    write_json,
    write_text,
)
from speechbase.training.checkpoint import CONFIG, WEIGHTS
from speechop import DEFAULT_WEIGHTS

if TYPE_CHECKING:
    from speechop.pipeline import SpeechOp

CARD = """---
license: mit
library_name: speechop
pipeline_tag: audio-to-audio
tags: [speech-enhancement, speech-separation, text-to-speech, diffusion]
---

# SpeechOp ({model}, {parameters:.1f} M parameters, {rate_hz} Hz)

A replication of "SpeechOp: Inference-Time Task Composition for Generative Speech Processing" (arXiv:2509.14298): one
diffusion transformer that enhances, separates, isolates, matches acoustics, speaks and edits, and whose tasks compose
at inference.

    from speechop import SpeechOp
    model = SpeechOp.from_pretrained("owner/name", local_files_only=False)
    clean = model.enhance(noisy, rate_hz, transcript="what is said")

Training: {steps} steps{minutes}; sampling defaults: {sampling}. Weights are safetensors; nothing is pickled.

| folder | SHA-256 of model.safetensors |
|---|---|
{digests}

It can make a recording say what nobody said: use a person's voice with that person's consent only, and do not take
enhanced speech as evidence of words.
"""


def export(model: SpeechOp, folder: Path) -> None:
    """Write the model's and its codec's folders (safetensors, configuration), a root configuration and a card."""
    names = [model.codec_name, model.model]
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for file in (WEIGHTS, CONFIG):
            with atomic(folder / name / file) as temporary:
                shutil.copyfile(model.folder / name / file, temporary)
    configs = {name: read_json(folder / name / CONFIG) for name in names}
    write_json(
        folder / CONFIG,
        {
            "library_name": "speechop", "version": package_version(), "model": model.model, "codec": model.codec_name,
            "rate_hz": model.rate_hz, "sha256": {name: config["sha256"] for name, config in configs.items()},
        },
    )  # fmt: skip
    record = model.config.get("record", {})
    minutes = f", {record['wall_minutes']:.0f} minutes on {record['hardware']}" if "wall_minutes" in record else ""
    write_text(
        folder / "README.md",
        CARD.format(
            model=model.model,
            parameters=sum(p.numel() for p in model.network.parameters()) / 1e6,
            rate_hz=model.rate_hz,
            steps=record.get("steps", "unknown"),
            minutes=minutes,
            sampling=model.config["sampling"] or "the paper's",
            digests="\n".join(f"| `{name}` | `{config['sha256']}` |" for name, config in configs.items()),
        ),
    )


class Published(ModelHubMixin, library_name="speechop", license="mit", tags=["speech-enhancement", "text-to-speech"]):
    """A model as the hub's own functions write and upload it."""

    def __init__(self, model: SpeechOp):
        self.model = model

    def _save_pretrained(self, save_directory: Path) -> None:
        export(self.model, save_directory)


@plain_errors
def main(
    out: Annotated[Path, typer.Option(help="folder to write")],
    models: Annotated[str, typer.Option(help="weights: a scale, a folder, or a hub id")] = DEFAULT_WEIGHTS,
    model: Annotated[str, typer.Option(help="which network of theirs")] = "multitask",
) -> None:
    """Write weights as a folder ready for upload: safetensors, configuration and card."""
    from speechop.pipeline import SpeechOp

    check_output(out, folder=True)
    if out.is_dir() and any(out.iterdir()):
        raise UserError(f"{out} is not empty; name a new folder.")
    export(SpeechOp.from_pretrained(models, model), out)
    typer.echo(f"wrote {out}; to publish it: huggingface-cli upload OWNER/NAME {out}")


if __name__ == "__main__":
    typer.run(main)
