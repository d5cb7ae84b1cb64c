"""The compared systems by name. Adding one: a folder with `card.yaml` (`adapter.py` if it runs) and a line here."""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path

from speechbase.files import UserError
from speechbase.systems.card import Card
from speechbase.systems.contract import Baseline

ROOM = Path(__file__).parent
NAMES = (
    # floors and ceiling
    "noisy",
    "mixture",
    "clean",
    # matched: trained here on SpeechOp's own data
    "sepformer",
    "predictive",
    # public checkpoints of systems in the paper's tables, and of others
    "deepfilternet3",
    "sgmse",
    "sgmse_ears",
    "storm",
    "xtts_v2",
    "voicecraft",
    # stand-ins for systems that are not public
    "resemble_enhance",
    "miipher_open",
    "sepformer_whamr16k",
    "sepformer_whamr",
    "sepformer_wham",
    "sepformer_wsj02mix",
    "resepformer_wsj02mix",
    "voicefilter_lite",
    # only the paper's printed figures
    "hifigan2",
    "miipher",
    "sepformer_chen",
    "sepformer_chen_dm",
    "sepformer_chen_acsim",
    "sepformer_chen_acsim_ml",
    "clam_tts",
    "ditto_tts",
)


def card(name: str) -> Card:
    """The card of a system. Raises: UserError: an unknown name, with the nearest right one."""
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UserError(f"There is no baseline {name!r}.{hint} Known are {', '.join(NAMES)}.")
    return Card.read(ROOM / name / "card.yaml")


def create(name: str, settings: dict | None = None) -> Baseline:
    """The adapter of a system, not loaded yet; a system without an adapter only knows why it is skipped."""
    own = card(name)
    if not (ROOM / name / "adapter.py").is_file():
        return Baseline(own, settings)
    return importlib.import_module(f"baselines.{name}.adapter").Adapter(own, settings)
