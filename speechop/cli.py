"""The command line: `speechop enhance noisy.wav` and its sisters; `speechop --help` lists them."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from speechbase import audio
from speechbase.editing import spans_of
from speechbase.files import UserError, plain_errors
from speechop.pipeline import SpeechOp
from speechop.system import MARK

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Process and make speech with SpeechOp: one model whose tasks compose at inference time.\n\n"
    "Any audio file that libsndfile reads, at any rate and length; the result has the same rate and length. "
    "The nano weights know the words of a fifty-word matrix test: read the model card before you expect more.",
)
In = Annotated[Path, typer.Argument(help="audio file to process")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="result; <input>.<task>.wav if left out")]
Models = Annotated[str, typer.Option(help="weights: nano, or a folder that holds codec/ and the model")]
Steps = Annotated[int, typer.Option(help="sampling steps: fewer is faster, more is better")]
Seed = Annotated[int, typer.Option(help="another seed, another sample")]
Channel = Annotated[int | None, typer.Option(help="channel of a multi-channel file, from 0")]
Transcript = Annotated[str | None, typer.Option(help="what is said, to guide by (TC-CFG)")]
Itc = Annotated[bool, typer.Option("--itc", help="let a recogniser transcribe the input and guide by that (ITC)")]
Asr = Annotated[str, typer.Option(help="installed recogniser")]
Gamma = Annotated[float, typer.Option(help="strength of the transcript's guidance (Eq. 3)")]


def _result(source: Path, out: Path | None, task: str, wave: np.ndarray, rate_hz: int) -> None:
    path = out or source.with_suffix(f".{task}.wav")
    audio.write(path, wave, rate_hz, comment=MARK)
    typer.echo(f"wrote {path} ({len(wave) / rate_hz:.2f} s, {rate_hz} Hz)")


def _plugin(name: str):
    """A recogniser that some installed package offers under the entry point group "speechop.recognisers"."""
    known = {entry.name: entry for entry in entry_points(group="speechop.recognisers")}
    if name not in known:
        raise UserError(f"no recogniser {name!r} is installed; known are {', '.join(known) or 'none (pip install .)'}.")
    return known[name].load()()


def _recogniser(itc: bool, name: str) -> Callable[[np.ndarray, int], str] | None:
    """What transcribes the input for ITC; None where no transcript is asked for."""
    if not itc:
        return None
    recogniser = _plugin(name)

    def transcribe(wave: np.ndarray, rate_hz: int) -> str:
        text = recogniser.transcribe(wave, rate_hz)
        typer.echo(f"heard: {text!r}", err=True)
        return "".join(c for c in text.lower() if c.isalnum() or c in "' ").strip()

    return transcribe


def _voice(path: Path | None, rate_hz: int) -> np.ndarray | None:
    return None if path is None else audio.read(path, rate_hz, resampled=True)[0]


def _one_guide(transcript: str | None, itc: bool) -> None:
    if transcript is not None and itc:
        raise UserError("--transcript and --itc exclude each other: either you say the words or the recogniser does.")
    if transcript is not None and not any(c.isalnum() for c in transcript):
        raise UserError(f"The transcript {transcript!r} has no letters or digits: there is nothing to guide by.")


@app.command()
@plain_errors
def enhance(
    source: In, out: Out = None, transcript: Transcript = None, itc: Itc = False, asr: Asr = "whisper_base", gamma: Gamma = 1.5,
    voice: Annotated[Path | None, typer.Option(help="clean speech of the same speaker (personalisation)")] = None,
    voice_text: Annotated[str | None, typer.Option(help="the words of --voice, so that the text term can use it too")] = None,
    models: Models = "nano", steps: Steps = 32, seed: Seed = 0, channel: Channel = None,
) -> None:  # fmt: skip
    """Clean up noisy, reverberant or band-limited speech, optionally guided by what is said."""
    _one_guide(transcript, itc)
    wave, rate = audio.read(source, channel=channel)
    model = SpeechOp.from_pretrained(models)
    result = model.enhance(
        wave, rate, transcript=transcript, transcribe=_recogniser(itc, asr), voice=_voice(voice, rate), voice_text=voice_text,
        gamma=gamma, steps=steps, seed=seed,
    )  # fmt: skip
    _result(source, out, "enhanced", result, rate)


@app.command()
@plain_errors
def separate(
    source: In, prompt: Annotated[Path, typer.Option(help="other speech of the wanted speaker")], out: Out = None,
    transcript: Transcript = None, itc: Itc = False, asr: Asr = "whisper_base", gamma: Gamma = 1.5,
    models: Models = "nano", steps: Steps = 32, seed: Seed = 0, channel: Channel = None,
) -> None:  # fmt: skip
    """Take one speaker, heard in --prompt, out of a mixture."""
    _one_guide(transcript, itc)
    wave, rate = audio.read(source, channel=channel)
    model = SpeechOp.from_pretrained(models)
    result = model.separate(
        wave,
        rate,
        _voice(prompt, rate),
        transcript=transcript,
        transcribe=_recogniser(itc, asr),
        gamma=gamma,
        steps=steps,
        seed=seed,
    )
    _result(source, out, "separated", result, rate)


@app.command()
@plain_errors
def isolate(
    source: In, what: Annotated[str, typer.Option(help="speech (with its room) or noise")] = "speech", out: Out = None,
    models: Models = "nano", steps: Steps = 32, seed: Seed = 0, channel: Channel = None,
) -> None:  # fmt: skip
    """Split a recording: the speech as it sounded there, or everything else."""
    wave, rate = audio.read(source, channel=channel)
    result = SpeechOp.from_pretrained(models).isolate(wave, rate, what, steps=steps, seed=seed)
    _result(source, out, what, result, rate)


@app.command("match")
@plain_errors
def match_acoustics(
    source: In, prompt: Annotated[Path, typer.Option(help="speech in the wanted acoustics")], out: Out = None,
    models: Models = "nano", steps: Steps = 32, seed: Seed = 0, channel: Channel = None,
) -> None:  # fmt: skip
    """Make speech sound as if recorded where --prompt was."""
    wave, rate = audio.read(source, channel=channel)
    result = SpeechOp.from_pretrained(models).match_acoustics(wave, rate, _voice(prompt, rate), steps=steps, seed=seed)
    _result(source, out, "matched", result, rate)


@app.command()
@plain_errors
def tts(
    text: Annotated[str, typer.Argument(help="what to say")],
    prompt: Annotated[Path, typer.Option(help="up to 3 s of the voice to speak in; only with its owner's consent")],
    prompt_text: Annotated[str, typer.Option(help="what the prompt says")],
    out: Annotated[Path, typer.Option("--out", "-o", help="result")] = Path("speech.wav"),
    seconds: Annotated[float | None, typer.Option(help="duration; from the prompt's speaking rate if left out")] = None,
    models: Models = "nano", steps: Steps = 32, seed: Seed = 0, channel: Channel = None,
) -> None:  # fmt: skip
    """Speak a text in the voice of a prompt (zero-shot TTS)."""
    wave, rate = audio.read(prompt, channel=channel)
    model = SpeechOp.from_pretrained(models)
    _result(out, out, "tts", model.tts(text, wave, prompt_text, rate, seconds=seconds, steps=steps, seed=seed), rate)


@app.command()
@plain_errors
def edit(
    source: In,
    old: Annotated[str, typer.Option(help="the whole text as it is said")],
    new: Annotated[str, typer.Option(help="the whole text as it should be said")],
    out: Out = None, asr: Asr = "whisper_base",
    models: Models = "nano", steps: Steps = 32, seed: Seed = 0, channel: Channel = None,
) -> None:  # fmt: skip
    """Change words of a recording; everything outside of the change stays as it was."""
    wave, rate = audio.read(source, channel=channel)
    words = _plugin(asr).align(wave, rate, old)
    result = SpeechOp.from_pretrained(models).edit(wave, rate, spans_of(old, new), words, steps=steps, seed=seed)
    _result(source, out, "edited", result, rate)


@app.command()
@plain_errors
def info(models: Models = "nano") -> None:
    """Print what the weights are: sizes, training record, sampling defaults."""
    typer.echo(json.dumps(SpeechOp.from_pretrained(models).config, indent=2))


def main() -> None:
    """Entry point of the `speechop` command."""
    app()


if __name__ == "__main__":
    main()
