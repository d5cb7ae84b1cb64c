"""PolySpeech on a file: `python -m baselines.polyspeech listen talk.wav` and `... speak "a text" --voice v.wav`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from baselines.polyspeech.pipeline import MARK, Named, PolySpeech
from speechbase import audio
from speechbase.files import plain_errors
from speechbase.items import UNKNOWN
from speechbase.shipped import TOKEN_MODELS
from speechbase.texts import check_text

ENGLISH = "en"  # what it learned to write down
app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
Channel = Annotated[int | None, typer.Option(min=0, metavar="N", help="of recordings with several, from 0")]
Models = Annotated[str, typer.Option(help="`nano`, which ships, or the folder that holds the models' folders")]


def _loaded(models: str, path: Path, channel: int | None) -> tuple:
    """The models, and a recording at their rate; what can be refused without the models is refused first."""
    wave, rate_hz = audio.read_mono(path, channel)
    polyspeech = PolySpeech(models)
    return polyspeech, audio.resample(wave, rate_hz, polyspeech.rate_hz)


@app.command()
def listen(
    source: Annotated[Path, typer.Argument(help="a recording of one sentence")],
    models: Models = TOKEN_MODELS,
    channel: Channel = None,
    as_json: Annotated[bool, typer.Option("--json", help="with the probability of each label")] = False,
) -> None:
    """Write down what is said, in which language, and by a woman or a man."""
    polyspeech, wave = _loaded(models, source, channel)
    heard = polyspeech.listen(wave)
    named = {"language": heard.language, "sex": heard.sex}
    if as_json:
        told = {name: {"label": one.label, "probabilities": one.probabilities} for name, one in named.items()}
        typer.echo(json.dumps({"speech": heard.speech, "text": heard.text, "ended": heard.ended} | told))
        return
    foreign = heard.language.label not in (ENGLISH, UNKNOWN)
    doubts = ["" if heard.ended else " (came to no end, and is wrong)", " (it writes English alone)" if foreign else ""]
    nothing = "(no words were made out)" if heard.speech else "(nothing was heard that is speech)"
    typer.echo(f"text: {heard.text or nothing}{''.join(doubts)}")
    for name, one in named.items():
        typer.echo(f"{name}: {_shown(one)}")


def _shown(one: Named) -> str:
    return one.label + (f" ({max(one.probabilities.values()):.2f})" if one.probabilities else "")


@app.command()
def speak(
    text: Annotated[str, typer.Argument(help="what to say")],
    voice: Annotated[Path, typer.Option(help="a clean recording of the voice, two or three seconds")],
    out: Annotated[Path, typer.Option(help="where the audio goes: .wav, .flac, .mp3, ... by its suffix")],
    models: Models = TOKEN_MODELS,
    channel: Channel = None,
    seed: Annotated[int, typer.Option(min=0, help="another seed, another draw")] = 0,
) -> None:
    """Say a text in a voice; the weights that ship still say other words (docs/polyspeech.md)."""
    words = check_text(text, "The text")
    audio.check_output(out, read=[voice])
    polyspeech, wave = _loaded(models, voice, channel)
    polyspeech.speak(words, wave, seed).write(out, MARK)


@plain_errors
def main() -> None:
    """The command line; exit status 2 for a user's error."""
    app()


if __name__ == "__main__":
    main()
