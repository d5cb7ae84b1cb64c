"""What trains a model: the one table from a model's kind to what builds its trainee."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from speechbase.files import UserError, did_you_mean

if TYPE_CHECKING:  # planning asks for a kind's module at every call of Snakemake, which torch would cost seconds
    from accelerate import Accelerator

    from speechbase.training.loop import Trainee

# Kind -> module:function. Names alone: nothing is imported before it is asked for, so that the ground knows no system.
KINDS = {
    "codec": "speechbase.codec.trainee:build",
    "quantiser": "speechbase.codec.quantiser_trainee:build",  # residual codes over a codec's latents
    "tts": "speechop.stages.build:build",  # stage 1
    "multitask": "speechop.stages.build:build",  # stage 2
    "s2s": "speechop.stages.build:build",  # single speech-to-speech tasks
    "predictive": "baselines.predictive.trainee:build",
    "sepformer": "baselines.sepformer.trainee:build",
    "speechx_ar": "baselines.speechx.trainee:build",  # level 1 of the output's codes
    "speechx_nar": "baselines.speechx.trainee:build",  # its further levels
    "hubert": "baselines.polyspeech.hubert_trainee:build",  # semantic embeddings, by masked prediction
    "sset": "baselines.polyspeech.sset_trainee:build",  # tokens of them, learned or by k-means
    "polyspeech_decoder": "baselines.polyspeech.decoder_trainee:build",  # tokens and a voice to the codec's latents
    "polyspeech": "baselines.polyspeech.trainee:build",  # the language model, of all tasks or of one
}


@dataclass(frozen=True)
class Context:
    """Where a trainee is built: `data/<scale>`, the models' folder, the weights to begin from (None: fresh) and the
    devices."""

    kind: str
    data: Path
    models: Path
    init: Path | None
    accelerator: Accelerator

    def share(self, split: str = "train") -> tuple[int, int]:
        """Rank and ranks of the processes that share a global batch: item i belongs to rank i mod ranks.

        What is held out is the same for all of them.
        """
        if split != "train":
            return 0, 1
        return self.accelerator.process_index, self.accelerator.num_processes


def module_of(kind: str) -> str:
    """The module that builds a kind's trainee. Raises: UserError: an unknown kind, with the nearest right one."""
    if kind not in KINDS:
        raise UserError(f"There is no kind of model {kind!r}{did_you_mean(kind, KINDS)}.")
    return KINDS[kind].partition(":")[0]


def builder(kind: str) -> Callable[[dict, Context], Trainee]:
    """What builds a kind's trainee from its configuration; errors as `module_of`."""
    return getattr(import_module(module_of(kind)), KINDS[kind].partition(":")[2])
