"""Options that commands share: groups of them, each of which reaches its command as one object."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from speechbase.files import UserError, plain_errors
from speechop import DEFAULT_WEIGHTS, transcripts
from speechop.recordings import parse_channel

if TYPE_CHECKING:
    from speechop.pipeline import SpeechOp


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter("it must be a finite number")
    return value


@dataclass
class Files:
    """Where results go."""

    out: Annotated[Path | None, typer.Option("--out", "-o", help="result of one input, or a folder for it")] = None
    out_dir: Annotated[Path | None, typer.Option(help="folder for the results; folders inside the inputs are kept")] = (
        None
    )
    suffix: Annotated[str | None, typer.Option(help="after the input's name [default: . and what was done]")] = None
    format: Annotated[str, typer.Option(help="wav (float), flac, mp3, ogg, opus, aiff, ...")] = "wav"
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="look into the folders of folders")] = False
    force: Annotated[bool, typer.Option("--force", "-f", help="replace results that are there")] = False
    skip_existing: Annotated[bool, typer.Option("--skip-existing", help="leave results that are there: go on")] = False
    json: Annotated[bool, typer.Option("--json", help="write a record beside each result (same name, .json)")] = False
    channel: Annotated[str, typer.Option(help="each channel on its own, their mean, or one by its number, from 0")] = (
        "each"
    )
    loudness: Annotated[
        str, typer.Option(help="keep (the input's), model (as it comes), or LUFS such as -23 [default: by the task]")
    ] = ""

    def __post_init__(self):
        parse_channel(self.channel)
        if self.loudness not in ("", "keep", "model"):
            try:
                value = float(self.loudness)
            except ValueError:
                value = math.nan
            if not -70 <= value <= 0:
                raise UserError(f"--loudness {self.loudness} is not keep, model, or a number from -70 to 0 (LUFS).")

    def target(self, default: str) -> str | float:
        """The loudness as `speechop.jobs.Job` takes it."""
        wanted = self.loudness or default
        return wanted if wanted in ("keep", "model") else float(wanted)


@dataclass
class Run:
    """Which model answers, and how."""

    models: Annotated[
        str, typer.Option(help="weights: mini, nano, a folder that holds codec/ and the model, or a hub id")
    ] = DEFAULT_WEIGHTS
    model: Annotated[str, typer.Option(help="which network of those weights")] = "multitask"
    download: Annotated[bool, typer.Option("--download", help="let a hub id be downloaded (else only the cache)")] = (
        False
    )
    steps: Annotated[
        int | None, typer.Option(min=1, max=1000, help="sampling steps: fewer is faster [default: the weights' own]")
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="another seed, another sample")] = 0
    batch: Annotated[int | None, typer.Option(min=1, max=256, help="windows at once [default: the weights' own]")] = (
        None
    )
    device: Annotated[str | None, typer.Option(help="cpu or cuda [default: cuda where there is one]")] = None
    threads: Annotated[int | None, typer.Option(min=1, max=1024, help="CPU threads [default: all]")] = None

    def load(self) -> SpeechOp:
        """The model."""
        import torch

        from speechop.pipeline import SpeechOp

        if self.device not in (None, "cpu") and not (self.device.split(":")[0] == "cuda" and torch.cuda.is_available()):
            raise UserError(
                f"--device {self.device} is not there: use cpu{' or cuda' if torch.cuda.is_available() else ''}."
            )
        if self.threads:
            torch.set_num_threads(self.threads)
        return SpeechOp.from_pretrained(self.models, self.model, self.device, local_files_only=not self.download)

    @property
    def settings(self) -> dict:
        """What was chosen of `speechop.settings.Composed`."""
        chosen = {"steps": self.steps, "seed": self.seed, "batch": self.batch}
        return {key: value for key, value in chosen.items() if value is not None}


@dataclass
class Guide:
    """What is said, to guide by."""

    transcript: Annotated[
        str | None, typer.Option(help="what is said, to guide by (TC-CFG); for ten seconds at most")
    ] = None
    transcript_in: Annotated[
        Path | None,
        typer.Option(help="what is said and when: SRT, VTT or JSON; for several inputs the folder of theirs"),
    ] = None
    itc: Annotated[
        bool, typer.Option("--itc", help="let a recogniser transcribe the input and guide by that (ITC)")
    ] = False
    transcript_out: Annotated[
        Path | None, typer.Option(help="save what was heard, to edit: SRT, VTT or JSON; for several inputs a folder")
    ] = None
    asr: Annotated[str, typer.Option(help="installed recogniser: whisper_base, moonshine, or a plug-in")] = (
        "whisper_base"
    )
    asr_option: Annotated[list[str], typer.Option(help="a setting of the recogniser, key=value (may be repeated)")] = (
        field(default_factory=list)
    )
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="a window whose words have less on average is not guided")
    ] = transcripts.MIN_CONFIDENCE
    gamma: Annotated[
        float | None,
        typer.Option(min=0, callback=_finite, help="strength of the guidance (Eq. 3) [default: the weights' own]"),
    ] = None

    def __post_init__(self):
        chosen = [
            name
            for name, value in (
                ("--transcript", self.transcript),
                ("--transcript-in", self.transcript_in),
                ("--itc", self.itc),
            )
            if value not in (None, False)
        ]
        if len(chosen) > 1:
            raise UserError(
                f"{' and '.join(chosen)} exclude each other: either you say the words or the recogniser does."
            )
        if self.transcript is not None:
            self.transcript = transcripts.check_text(self.transcript, "--transcript")
        if self.transcript_out is not None and not chosen:
            raise UserError("--transcript-out saves what guided: it needs --itc, --transcript or --transcript-in.")
        if self.transcript_out is not None and self.transcript_out.suffix and not self.transcript_out.is_dir():
            transcripts.check_suffix(self.transcript_out)

    @property
    def settings(self) -> dict:
        """What was chosen of `speechop.settings.Composed`."""
        return {} if self.gamma is None else {"gamma": self.gamma}


def grouped(function: Callable) -> Callable:
    """A command whose parameters that are groups (`Files`, `Run`, `Guide`) become the options in them.

    Errors that a user can mend are printed as one sentence; see `speechbase.files.plain_errors`.
    """
    hints = get_type_hints(function, include_extras=True)
    own = inspect.signature(function).parameters
    parameters, groups = [], {}
    for name, parameter in own.items():
        if hints[name] not in (Files, Run, Guide):
            parameters.append(parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=hints[name]))
            continue
        group = groups[name] = hints[name]
        kinds = get_type_hints(group, include_extras=True)
        for one in fields(group):
            default = one.default if one.default_factory is MISSING else one.default_factory()
            parameters.append(
                inspect.Parameter(one.name, parameter.KEYWORD_ONLY, default=default, annotation=kinds[one.name])
            )

    @plain_errors
    @functools.wraps(function)
    def command(**values):
        objects = {
            name: group(**{one.name: values.pop(one.name) for one in fields(group)}) for name, group in groups.items()
        }
        return function(**values, **objects)

    shown: Any = command
    shown.__signature__ = inspect.Signature(parameters)
    shown.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del shown.__wrapped__
    return shown
