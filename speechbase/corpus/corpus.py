"""Command line of the corpus: speech tables, noise, rooms and test sets, rule by rule."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechbase.files import UserError, parse_json, plain_errors, read_yaml

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)

Config = Annotated[
    str,
    typer.Option(
        "--config", help="The corpus sub-tree as JSON, or a YAML/JSON file (its `corpus` section, where it has one)."
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Folder of the scale, such as data/nano.")]
Part = Annotated[str | None, typer.Option("--split", help="one split alone; all by default")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes of one thread each.")]


@app.callback()
def _commands() -> None:
    """Keep the command's name needed even where there is one command only."""


def read_config(given: str) -> dict:
    """The corpus configuration from a JSON text or from a file.

    Raises:
        UserError: neither, or without the keys that a corpus needs.
    """
    config = parse_json(given, "--config") if given.lstrip().startswith("{") else read_yaml(given)
    config = config.get("corpus", config)
    missing = [key for key in ("seed", "rate_hz", "level_dbfs", "text", "speech", "voices") if key not in config]
    if missing:
        raise UserError(f"--config lacks the corpus settings {', '.join(missing)}.")
    return config


@app.command()
@plain_errors
def speech(
    config: Config,
    out: Out,
    split: Annotated[
        list[str] | None,
        typer.Option(
            "--split", help="train, valid, test, test_more, languages_train, ... or real; several; all by default."
        ),
    ] = None,
    workers: Workers = 2,
    respeak: Annotated[
        bool, typer.Option("--respeak", help="speak what ships with the sources as well, instead of copying it")
    ] = False,
) -> None:
    """Speak the sentences of one split or of all: OUT/speech/<split>.csv and audio. An interrupted run continues."""
    from speechbase.corpus import build_speech, real

    settings = read_config(config)
    named = [*settings["speech"]["utterances"], *build_speech.language_splits(settings)]
    for name in split or [*named, *(["real"] if settings.get("real") else [])]:
        made = real.build(settings, out / "speech") if name == "real" else None
        spoken = None if respeak else build_speech.SPOKEN
        typer.echo(made or build_speech.build(settings, name, out / "speech", workers, spoken))


@app.command()
@plain_errors
def recorded(
    config: Config,
    out: Out,
    split: Annotated[
        list[str] | None, typer.Option("--split", help="train, valid or test; train and valid by default.")
    ] = None,
    workers: Workers = 2,
) -> None:
    """Cut and multiply the real voices of corpus.real_voices: OUT/speech/<split>_recorded.csv and audio, where they are
    there.

    Of `test`: the recordings of corpus.real_tests with their noises and rooms, OUT/speech/recorded.csv.
    """
    from speechbase.corpus import recorded as voices
    from speechbase.corpus import recorded_test

    settings = read_config(config)
    for name in split or ["train", "valid"]:
        if name == "test":
            made, source = recorded_test.build(settings, out), "real_tests"
        else:
            made, source = voices.build(settings, name, out / "speech", workers), "real_voices"
        _tell(made, settings, source)


@app.command()
@plain_errors
def debian(
    config: Config,
    out: Out,
    table: Annotated[list[str] | None, typer.Argument(help="prompts, words, games; all")] = None,
) -> None:
    """Read the recorded speech of Debian packages: OUT/speech/debian_<table>.csv and audio, where it is there."""
    from speechbase.corpus import debian as packages

    settings = read_config(config)
    for name in table or packages.SOURCES:
        _tell(packages.build(settings, name, out), settings, "debian")


def _tell(made: Path | None, settings: dict, source: str) -> None:
    where = settings[source]["variable"]
    typer.echo(made or f"No recordings: neither corpus.{source}.have nor {where} names a folder; nothing is made.")


@app.command()
@plain_errors
def noise(config: Config, out: Out, workers: Workers = 2, split: Part = None) -> None:
    """Make the noises of every split: OUT/noise.csv and audio; of one: OUT/noise_<split>.csv."""
    from speechbase.corpus import noise as noises

    typer.echo(noises.build(read_config(config), out, workers, split))


@app.command()
@plain_errors
def rir(config: Config, out: Out, workers: Workers = 2, split: Part = None) -> None:
    """Simulate the rooms of every split: OUT/rir.csv and impulse responses; of one: OUT/rir_<split>.csv."""
    from speechbase.corpus import rooms

    typer.echo(rooms.build(read_config(config), out, workers, split))


@app.command()
@plain_errors
def testset(
    config: Config,
    out: Out,
    name: Annotated[list[str] | None, typer.Argument(help="Sets of corpus.testsets; all by default.")] = None,
) -> None:
    """Make test sets from the speech, noise and rooms under OUT: OUT/testsets/<name>.csv and audio."""
    from speechbase.corpus import testset as testsets

    settings = read_config(config)
    for one in name or settings["testsets"]:
        if not name and testsets.lacks_recordings(settings["testsets"][one], out):
            typer.echo(f"{one}: its recordings are not here; not made.")
        else:
            typer.echo(testsets.build(settings, one, out))


@app.command()
@plain_errors
def pack(
    config: Config,
    data: Annotated[Path, typer.Option("--data", help="Folder of the scale, such as data/mini.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the packed copy.")],
    mib: Annotated[float, typer.Option(min=0.1, help="Size of the training speech, in MiB.")] = 36.0,
    recorded: Annotated[float, typer.Option(min=0, max=1, help="Share of real voices, where there are any.")] = 0.3,
) -> None:
    """Pack training data for a machine that is lent for minutes (docs/gpu.md)."""
    from speechbase.corpus import packed

    settings = read_config(config)
    made = packed.pack(data, out, mib, recorded, settings["seed"], settings["rate_hz"])
    typer.echo(
        f"{out}: {made['train']:.2f} h of training speech, {made['valid']:.2f} h of validation, {made['mib']:.1f} MiB "
        "in all"
    )


@app.command("all")
@plain_errors
def everything(config: Config, out: Out, workers: Workers = 2) -> None:
    """Make everything that the configuration asks for."""
    speech(config, out, None, workers)
    settings = read_config(config)
    if "real_voices" in settings:
        recorded(config, out, None, workers)
    if "real_tests" in settings:
        recorded(config, out, ["test"], workers)
    if "debian" in settings:
        debian(config, out, None)
    noise(config, out, workers)
    rir(config, out, workers)
    testset(config, out, None)


if __name__ == "__main__":
    app()
