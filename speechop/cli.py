"""The command line: `speechop enhance noisy.wav` and its sisters; `speechop --help` lists them."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from speechbase import editing
from speechbase.files import UserError, package_version, plain_errors
from speechop import DEFAULT_WEIGHTS, checks, places, recognisers, transcripts
from speechop.jobs import Job, check_given
from speechop.options import Files, Guide, Run, grouped
from speechop.places import Place
from speechop.recordings import Recording, parse_channel
from speechop.results import Results

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Process and make speech with SpeechOp: one model whose tasks compose at inference time.\n\n"
    "Any audio that libsndfile reads, at any rate, length and number of channels; results keep all three. "
    "The mini weights know English and recorded voices, the nano weights the fifty words of a matrix test: "
    "read the model cards before you expect more.",
)
In = Annotated[list[str], typer.Argument(help="audio files, folders, or patterns such as 'takes/*.wav'")]
PromptChannel = Annotated[str, typer.Option(help="channel of the prompt: mean, or its number from 0")]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"speechop {package_version()}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_version, help="say which one")] = False,
) -> None:
    pass


def _prompt(model, path: Path | None, channel: str, name: str):
    """Speech that goes with every input, at the model's rate and level."""
    if path is None:
        return None
    source = Recording.read(path, channel)
    return model.prompt(source.tracks[0].read(), source.rate_hz, f"{name} {path}")


def _check_prompt(path: Path | None, channel: str, name: str) -> None:
    """What can be refused of a prompt before the model is loaded."""
    if path is not None:
        if parse_channel(channel) == "each":
            raise UserError(f"{name}-channel each: a prompt is one channel: say mean, or a number from 0.")
        checks.check_prompt(Recording.read(path, channel, checks.PROMPT_SECONDS), f"{name} {path}")


def _process(
    task: str, done: str, sources: list[str], files: Files, run: Run, guide: Guide | None = None, *,
    prompt: tuple[Path | None, str, str] = (None, "mean", ""), voice: tuple[Path | None, str] = (None, "mean"),
    voice_text: str | None = None, loudness: str = "model", observation: float | None = None, any_sound: bool = False,
) -> None:  # fmt: skip
    """Check everything, then process all inputs."""
    suffix = f".{done}" if files.suffix is None else files.suffix
    plan = places.plan(sources, files.out, files.out_dir, suffix, files.format, files.recursive)
    left = places.check(plan, files, files.channel != "each")
    found, saved = _transcript_files(left, guide, files.force)
    read = [*(place.source for place in plan), *found.values(), prompt[0], voice[0]]
    places.check_apart([*places.written(left, files), *saved.values()], read)
    given = _given(left, guide, found)
    _check_prompt(*prompt)
    _check_prompt(*voice, "--voice")
    if voice_text is not None:
        voice_text = transcripts.check_text(voice_text, "--voice-text")
    recogniser = recognisers.load(guide.asr, guide.asr_option) if guide and guide.itc else None
    settings = run.settings | (guide.settings if guide else {})
    settings |= {} if observation is None else {"observation": observation}
    results = Results(task, plan, left, files, run, guide, saved)
    if not left:
        return results.close()
    model = run.load()
    prompted, voiced = _prompt(model, *prompt), _prompt(model, *voice, "--voice")
    jobs = (
        Job(
            str(place.source), task, partial(Recording.read, place.source, files.channel), given.get(place.source),
            recogniser.transcribe if recogniser else None, prompted, voiced, voice_text, files.target(loudness),
            guide.min_confidence if guide else transcripts.MIN_CONFIDENCE, any_sound,
        )
        for place in left
    )  # fmt: skip
    with results.progress() as bar:
        for place, answer in zip(left, model.answer(jobs, bar.update, results.steps, **settings)):
            results.keep(place, answer, model, settings)
    return results.close()


def _transcript_files(left: list[Place], guide: Guide | None, force: bool) -> tuple[dict, dict]:
    """Where what is said in each input is read, and where what guided it is saved."""
    if guide is None:
        return {}, {}
    found = places.companions(left, guide.transcript_in, "--transcript-in", transcripts.SUFFIXES) or {}
    return found, places.beside(left, guide.transcript_out, "--transcript-out", ".srt", force)


def _given(left: list[Place], guide: Guide | None, found: dict[Path, Path]) -> dict:
    """What is said in each input: one text, or the lines of its file."""
    given: dict = {source: transcripts.read(path) for source, path in found.items()}
    if guide is not None and guide.transcript is not None:
        given = {place.source: guide.transcript for place in left}
    for place in left:
        if place.exact and place.source in given:
            check_given(str(place.source), given[place.source], place.seconds)
    return given


@app.command()
@grouped
def enhance(
    sources: In, files: Files, guide: Guide, run: Run,
    voice: Annotated[Path | None, typer.Option(help="clean speech of the same speaker "
                                                    "(personalisation), to 10 s")] = None,
    voice_text: Annotated[str | None, typer.Option(help="the words of --voice, so that the text term "
                                                        "can use it too")] = None,
    voice_channel: PromptChannel = "mean",
    observation: Annotated[float | None, typer.Option(min=0, max=1, help="the recording's share of the result: "
                                                      "0 (all generated) to 1 [default: the weights' own]")] = None,
    any_sound: Annotated[bool, typer.Option("--any-sound", help="enhance files without speech too, though it may be "
                                                                "made up; else they stay as they were")] = False,
) -> None:  # fmt: skip
    """Clean up noisy, reverberant or band-limited speech, optionally guided by what is said.

    - `speechop enhance noisy.wav` writes noisy.enhanced.wav
    - `speechop enhance takes/ --out-dir clean --format flac --itc --json` does a folder, guided by a recogniser
    - `speechop enhance talk.mp3 --itc --transcript-out talk.srt`, mend talk.srt, then
      `speechop enhance talk.mp3 --transcript-in talk.srt --force`
    - `speechop enhance noisy.wav --observation 0` generates all sound anew, as the paper does: less noise, and more
      words that nobody said
    - `speechop enhance murmur.wav --any-sound` enhances what no speech was found in: it would stay as it was
    """
    _process(
        "enhancement", "enhanced", sources, files, run, guide, voice=(voice, voice_channel), voice_text=voice_text,
        loudness="keep", observation=observation, any_sound=any_sound,
    )  # fmt: skip


@app.command()
@grouped
def separate(
    sources: In, prompt: Annotated[Path, typer.Option(help="other speech of the wanted speaker, to 10 s")],
    files: Files, guide: Guide, run: Run, prompt_channel: PromptChannel = "mean",
) -> None:  # fmt: skip
    """Take one speaker, heard in --prompt, out of a mixture.

    - `speechop separate both.wav --prompt anna.wav` writes both.separated.wav
    - `speechop separate both.wav --prompt anna.wav --transcript "what anna says"`
    - `speechop separate meetings/ -r --prompt anna.wav --out-dir anna`
    """
    _process("separation", "separated", sources, files, run, guide, prompt=(prompt, prompt_channel, "--prompt"))


@app.command()
@grouped
def isolate(
    sources: In, files: Files, run: Run,
    what: Annotated[str, typer.Option(help="speech (with its room) or noise")] = "speech",
) -> None:  # fmt: skip
    """Split a recording: the speech as it sounded there, or everything else.

    - `speechop isolate street.wav` writes street.speech.wav
    - `speechop isolate street.wav --what noise` writes street.noise.wav
    - `speechop isolate takes/*.wav --what noise --out-dir room-tone --format flac`
    """
    if what not in ("speech", "noise"):
        raise UserError(f"--what {what}: speech or noise.")
    _process(f"{what}_isolation", what, sources, files, run)


@app.command("match")
@grouped
def match_acoustics(
    sources: In, prompt: Annotated[Path, typer.Option(help="speech in the wanted acoustics, to 10 s")],
    files: Files, run: Run, prompt_channel: PromptChannel = "mean",
) -> None:  # fmt: skip
    """Make speech sound as if recorded where --prompt was.

    - `speechop match studio.wav --prompt hall.wav` writes studio.matched.wav
    - `speechop match lines/ --prompt scene.wav --out-dir matched`
    - `speechop match studio.wav --prompt hall.wav --seed 1 -o second-try.wav`
    """
    _process(
        "acoustic_matching",
        "matched",
        sources,
        files,
        run,
        prompt=(prompt, prompt_channel, "--prompt"),
        loudness="keep",
    )


@app.command()
@grouped
def tts(
    prompt: Annotated[Path, typer.Option(help="the voice to speak in, 2 or 3 s are best; only with its "
                                              "owner's consent")],
    prompt_text: Annotated[str, typer.Option(help="what the prompt says")],
    files: Files, run: Run,
    text: Annotated[str | None, typer.Argument(help="what to say")] = None,
    lines: Annotated[Path | None, typer.Option(help="a text file, each line of which is said in a "
                                                    "file of its own")] = None,
    seconds: Annotated[float | None, typer.Option(help="duration, 0.2 to 30; from the prompt's rate "
                                                       "if left out")] = None,
    prompt_channel: PromptChannel = "mean",
) -> None:  # fmt: skip
    """Speak a text in the voice of a prompt (zero-shot TTS).

    - `speechop tts "ten large boxes" --prompt me.wav --prompt-text "what I say there"` writes speech.wav
    - `speechop tts "ten large boxes" --prompt me.wav --prompt-text "..." --seconds 1.5 -o slow.wav`
    - `speechop tts --lines lines.txt --prompt me.wav --prompt-text "..." --out-dir spoken` writes 001.wav, 002.wav, ...
    """
    from speechbase.texts import read_text

    if (text is None) == (lines is None):
        raise UserError("Give either a text to say or --lines with a file of them.")
    said = [text or ""] if lines is None else [line for line in read_text(lines).split("\n") if line.strip()]
    if not said:
        raise UserError(f"{lines} has no lines.")
    for one in said:
        checks.check_spoken(one, prompt_text)
    _check_prompt(prompt, prompt_channel, "--prompt")
    source = Recording.read(prompt, prompt_channel)
    for one in said:
        checks.new_seconds(one, prompt_text, source.seconds, seconds)
    plan = _speech_places(prompt, source, files, text is not None, len(said))
    left = places.check(plan, files, True)
    places.check_apart(places.written(left, files), [prompt, lines])
    results = Results("tts", plan, left, files, run)
    model = run.load()
    wave = source.tracks[0].read()
    with results.progress() as bar:
        for place, one in zip(plan, said):
            if place in left:
                make = partial(model.tts, one, wave, prompt_text, source.rate_hz, seconds=seconds, **run.settings)
                results.made(place, model, run.settings, source, make, [transcripts.Line(0.0, 0.0, one)])
            bar.update(1)
    results.close()


def _speech_places(prompt: Path, source: Recording, files: Files, one: bool, count: int) -> list[Place]:
    """Where new speech goes: speech.wav, or 001.wav and so on."""
    if not one and files.out is not None:
        raise UserError("--lines makes several files: name their folder with --out-dir.")
    ending = f".{files.format.lower().lstrip('.')}"
    folder = files.out_dir or Path(".")
    if files.out is not None and files.out.is_dir():
        folder = files.out
    elif files.out is not None:
        return [Place(prompt, files.out, 0.0, source.rate_hz, 1)]
    names = ["speech"] if one else [f"{number:03d}" for number in range(1, count + 1)]
    return [Place(prompt, folder / f"{name}{ending}", 0.0, source.rate_hz, 1) for name in names]


@app.command()
@grouped
def edit(
    source: Annotated[str, typer.Argument(help="audio file of at most 28 s")],
    old: Annotated[str, typer.Option(help="the whole text as it is said")],
    new: Annotated[str, typer.Option(help="the whole text as it should be said")],
    files: Files, run: Run,
    asr: Annotated[str, typer.Option(help="installed recogniser that can align")] = "whisper_base",
    trust_old: Annotated[bool, typer.Option("--trust-old", help="do not ask the recogniser whether "
                                                                "--old is said")] = False,
) -> None:  # fmt: skip
    """Change words of a recording; everything outside of the change stays as it was.

    - `speechop edit take.wav --old "nine small boxes" --new "ten small boxes"` writes take.edited.wav
    - `speechop edit take.wav --old "..." --new "..." --seed 1 -o another.wav` tries again
    - `speechop edit stereo.wav --channel 0 --old "..." --new "..."`
    """
    old, new = transcripts.check_text(old, "--old"), transcripts.check_text(new, "--new")
    editing.spans_of(old, new)
    plan = places.plan(
        [source], files.out, files.out_dir, ".edited" if files.suffix is None else files.suffix, files.format
    )
    if len(plan) > 1:
        raise UserError(f"{source} is {len(plan)} files; one is edited at a time.")
    left = places.check(plan, files, True)
    places.check_apart(places.written(left, files), [plan[0].source])
    results = Results("edit", plan, left, files, run)
    if not left:
        return results.close()
    recording = checks.check_editable(Recording.read(plan[0].source, files.channel, checks.EDIT_SECONDS))
    if len(recording.tracks) > 1:
        raise UserError(
            f"{source} has {recording.channels} channels: edit one (--channel 0) or their mean (--channel mean)."
        )
    wave, rate_hz = recording.tracks[0].read(), recording.rate_hz
    recogniser = recognisers.load(asr)
    if not hasattr(recogniser, "align"):
        raise UserError(f"The recogniser {asr!r} hears but cannot align, which editing needs: use whisper_base.")
    if not trust_old:
        recognisers.check_said(recogniser, wave, rate_hz, old)
    words = recogniser.align(wave, rate_hz, old)
    model = run.load()
    make = partial(model.edit, wave, rate_hz, old, new, words, **run.settings)
    results.made(plan[0], model, run.settings, recording, make, [transcripts.Line(0.0, recording.seconds, new)])
    return results.close()


@app.command()
@plain_errors
def info(
    models: Annotated[str, typer.Option(help="weights: a scale, a folder, or a hub id")] = DEFAULT_WEIGHTS,
) -> None:
    """Print what the weights are: sizes, training record, sampling defaults; and which recognisers are installed.

    - `speechop info`
    - `speechop info --models nano` prints what the fifty-word model is
    - `speechop info --models my-weights/` or `--models owner/name`
    """
    from importlib.metadata import entry_points

    model = Run(models=models).load()
    installed = sorted(entry.name for entry in entry_points(group=recognisers.GROUP))
    typer.echo(json.dumps(model.config | {"rate_hz": model.rate_hz, "recognisers": installed}, indent=2))


@app.command()
@grouped
def demo(run: Run, port: Annotated[int, typer.Option(min=1, max=65535, help="on this machine alone")] = 7860) -> None:
    """Serve a local page: enhance with and without words, separate, speak; listen side by side.

    - `speechop demo` and open http://127.0.0.1:7860
    - `speechop demo --port 8000 --threads 2`
    - `speechop demo --models my-weights/`
    """
    from importlib.metadata import entry_points

    from speechop.demo import check_port, require, serve

    require()
    check_port(port)
    installed = sorted(entry.name for entry in entry_points(group=recognisers.GROUP))
    model = run.load()
    typer.echo(f"open http://127.0.0.1:{port} (Ctrl-C ends it)")
    serve(model, sorted(installed, key=lambda name: name != "whisper_base"), port)


def main() -> None:
    """Entry point of the `speechop` command."""
    # Threads that spin while they wait (the default) take three times the time where others need the cores as well.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch is loaded: nothing above does
    app()


if __name__ == "__main__":
    main()
