"""SpeechX on a file: `python -m baselines.speechx enhance noisy.wav --out clean.wav`; each task is a command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from baselines.speechx.pipeline import MARK, SpeechX
from speechbase import audio, editing
from speechbase.files import plain_errors
from speechbase.shipped import TOKEN_MODELS
from speechbase.texts import check_text

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
Source = Annotated[Path, typer.Argument(help="a recording")]
Channel = Annotated[int | None, typer.Option(min=0, metavar="N", help="of recordings with several, from 0")]
Out = Annotated[Path, typer.Option(help="where the audio goes: .wav, .flac, .mp3, ... by its suffix")]
Models = Annotated[
    str, typer.Option(help="`nano`, which ships, or the folder that holds codec_tokens/, speechx_ar/ and speechx_nar/")
]
Words = Annotated[str | None, typer.Option(help="what the wanted output says, where it is known")]
Voice = Annotated[Path, typer.Option(help="a clean recording of the voice, two or three seconds")]
Seed = Annotated[int, typer.Option(min=0, help="another seed, another draw")]


def _loaded(models: str, out: Path, channel: int | None, *inputs: Path) -> tuple:
    """The models, and each input at their rate; what can be refused without the models is refused first."""
    audio.check_output(out, read=inputs)
    heard = [audio.read_mono(path, channel) for path in inputs]
    speechx = SpeechX(models)
    return speechx, *(audio.resample(wave, rate_hz, speechx.rate_hz) for wave, rate_hz in heard)


def _said(text: str | None) -> str | None:
    """A text in the form that the models know."""
    return None if text is None else check_text(text, "--text")


@app.command()
def enhance(
    source: Source, out: Out, text: Words = None, models: Models = TOKEN_MODELS, channel: Channel = None, seed: Seed = 0
) -> None:
    """Take the noise out."""
    said = _said(text)
    speechx, heard = _loaded(models, out, channel, source)
    speechx.enhance(heard, said, seed).write(out, MARK)


@app.command()
def background(
    source: Source, out: Out, text: Words = None, models: Models = TOKEN_MODELS, channel: Channel = None, seed: Seed = 0
) -> None:
    """Take the speech out."""
    said = _said(text)
    speechx, heard = _loaded(models, out, channel, source)
    speechx.remove_speech(heard, said, seed).write(out, MARK)


@app.command()
def extract(
    source: Source,
    prompt: Voice,
    out: Out,
    text: Words = None,
    models: Models = TOKEN_MODELS,
    channel: Channel = None,
    seed: Seed = 0,
) -> None:
    """Take one speaker out of a mixture."""
    said = _said(text)
    speechx, heard, voice = _loaded(models, out, channel, source, prompt)
    speechx.extract(heard, voice, said, seed).write(out, MARK)


@app.command()
def speak(
    text: Annotated[str, typer.Argument(help="what to say")],
    prompt: Voice,
    out: Out,
    models: Models = TOKEN_MODELS,
    channel: Channel = None,
    seed: Seed = 0,
) -> None:
    """Say a text in the prompt's voice."""
    said = check_text(text, "The text")
    speechx, voice = _loaded(models, out, channel, prompt)
    speechx.speak(said, voice, seed).write(out, MARK)


@app.command()
def edit(
    source: Source,
    text: Annotated[str, typer.Option(help="of the whole recording, after the edit")],
    start: Annotated[float, typer.Option(help="second at which the new part begins")],
    stop: Annotated[float, typer.Option(help="second at which the old part ended")],
    out: Out,
    seconds: Annotated[
        float | None, typer.Option(help="length of the new part; as long as the old one by default")
    ] = None,
    noisy: Annotated[bool, typer.Option(help="the background goes on through the new part")] = False,
    models: Models = TOKEN_MODELS,
    channel: Channel = None,
    seed: Seed = 0,
) -> None:
    """Say other words in a stretch of a recording."""
    said = check_text(text, "--text")
    speechx, heard = _loaded(models, out, channel, source)
    plan = editing.Edit(start, stop, stop - start if seconds is None else seconds)
    speechx.edit(heard, plan, said, noisy=noisy, seed=seed).write(out, MARK)


@plain_errors
def main() -> None:
    """The command line; exit status 2 for a user's error."""
    app()


if __name__ == "__main__":
    main()
