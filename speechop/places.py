"""Which files are read and where each result goes, decided and checked before anything is computed."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile

from speechbase import audio
from speechbase.files import UserError, check_output
from speechop.options import Files


@dataclass
class Place:
    """An input, its result's path, and what its header says (0 where it cannot be read: its own row will say so).

    `exact`: whether `seconds` is more than an estimate, as it is in MP3.
    """

    source: Path
    out: Path
    seconds: float = 0.0
    rate_hz: int = 0
    channels: int = 0
    exact: bool = False

    @property
    def record(self) -> Path:
        """Where the result's record goes (`--json`)."""
        return self.out.with_suffix(".json")


def find(given: Sequence[str], recursive: bool, suffix: str) -> list[tuple[Path, Path]]:
    """Files that are meant by paths, folders and patterns: (file, the folder that its place in a new folder starts
    from).

    A folder means the audio files in it, but for hidden ones and earlier results (`x<suffix>.wav` beside `x.wav`).

    Raises:
        UserError: a path or pattern that leads to nothing, or a folder without audio.
    """
    found: list[tuple[Path, Path]] = []
    for text in given:
        path = Path(text)
        if path.is_dir():
            inside = _in_folder(path, recursive, suffix)
            if not inside:
                deeper = "" if recursive else " (--recursive looks into its folders)"
                raise UserError(f"{path} holds no audio files{deeper}.")
            found += [(file, path) for file in inside]
        elif path.exists() or not glob.has_magic(text):
            if not path.is_file():
                raise UserError(f"{path} does not exist.")
            found.append((path, path.parent))
        else:
            matches = sorted(Path(match) for match in glob.glob(text, recursive=True))
            if not (files := [match for match in matches if match.is_file()]):
                raise UserError(f"No file matches {text!r}.")
            found += [(file, file.parent) for file in files]
    return list(dict.fromkeys(found))


def _in_folder(folder: Path, recursive: bool, suffix: str) -> list[Path]:
    files = sorted(path for path in (folder.rglob("*") if recursive else folder.iterdir()) if path.is_file())
    hidden = {path for path in files if any(part.startswith(".") for part in path.relative_to(folder).parts)}
    heard = [path for path in files if path.suffix.lower() in audio.SUFFIXES and path not in hidden]
    stems = {path.with_suffix("") for path in heard}
    return [
        p
        for p in heard
        if not (suffix and p.stem.endswith(suffix) and p.with_name(p.stem.removesuffix(suffix)) in stems)
    ]


def plan(
    given: Sequence[str], out: Path | None, out_dir: Path | None, suffix: str, format: str, recursive: bool = False
) -> list[Place]:
    """Inputs with the places of their results.

    Args:
        out: the result of one input, or a folder for it; out_dir: a folder for all, with the folders of the inputs
            inside.
        suffix: put after the input's name, such as ".enhanced"; format: the result's, such as "wav".

    Raises:
        UserError: as `find`; a format that is not written; `out` for several inputs; a result in the place of an input.
    """
    ending = f".{format.lower().lstrip('.')}"
    if ending not in audio.WRITTEN:
        raise UserError(f"--format {format} is not written; choose one of {', '.join(e[1:] for e in audio.WRITTEN)}.")
    if "/" in suffix or "\\" in suffix:
        raise UserError(f"--suffix {suffix!r} is a part of a name and has no folders in it.")
    found = find(given, recursive, suffix)
    if out is not None and out_dir is not None:
        raise UserError("--out and --out-dir exclude each other.")
    if out is not None and out.is_dir():
        out, out_dir = None, out
    if out_dir is not None:  # a folder of results inside of the inputs' folder
        found = [(file, root) for file, root in found if not _inside(file, out_dir) or _same(root, out_dir)]
    if out is not None and len(found) > 1:
        raise UserError(f"--out {out} is one file, and there are {len(found)} inputs: use --out-dir.")
    places = []
    for source, root in found:
        folder = source.parent if out_dir is None else out_dir / source.parent.relative_to(root)
        places.append(Place(source, out or folder / f"{source.stem}{suffix}{ending}"))
    _apart(places, suffix, ending)
    for place in places:
        _look(place)
    return places


def _inside(file: Path, folder: Path) -> bool:
    return folder.resolve() in file.resolve().parents


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _apart(places: list[Place], suffix: str, ending: str) -> None:
    """Give inputs that differ in their endings alone (a.wav, a.mp3) results of their own (a.wav.enhanced.wav)."""
    by_result: dict[Path, list[Place]] = {}
    for place in places:
        by_result.setdefault(place.out, []).append(place)
    for same in by_result.values():
        if len(same) > 1:
            for place in same:
                place.out = place.out.with_name(f"{place.source.name}{suffix}{ending}")
    check_apart([place.out for place in places], [place.source for place in places])


def written(places: Iterable[Place], files: Files) -> list[Path]:
    """All that is written for these places: results and, if asked for, records."""
    return [path for place in places for path in ((place.out, place.record) if files.json else (place.out,))]


def check_apart(written: Iterable[Path], read: Iterable[Path | None]) -> None:
    """Refuse (UserError) to write two results to one place, or one to the place of anything that is read."""
    inputs, taken = {path.resolve() for path in read if path is not None}, set()
    for path in written:
        place = path.resolve()
        if place in inputs:
            raise UserError(f"{path} would take the place of an input: choose another name, --suffix or --out-dir.")
        if place in taken:
            raise UserError(f"Two results would be written to {path}: name another place for one of them.")
        taken.add(place)


def _look(place: Place) -> None:
    try:
        header = soundfile.info(place.source)
    except (soundfile.LibsndfileError, RuntimeError):
        return
    place.seconds, place.rate_hz, place.channels = header.duration, header.samplerate, header.channels
    place.exact = header.format != "MP3"


def check(places: Sequence[Place], files: Files, one_channel: bool) -> list[Place]:
    """The places that are to be filled, each known to be writable.

    Args:
        files: what is asked for: whether results that are there are replaced (`force`) or left with their inputs
            (`skip_existing`), and whether each has a record (`json`).
        one_channel: whether results are mono, whatever the inputs are.

    Raises:
        UserError: a result that is there, or a place, format or rate that cannot be written.
    """
    there = [place for place in places if place.out.exists()]
    if there and not (files.force or files.skip_existing):
        more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
        raise UserError(f"{there[0].out} exists{more}: --force replaces, --skip-existing leaves what is there.")
    left = [place for place in places if not (files.skip_existing and place.out.exists())]
    for place in left:
        channels = 1 if one_channel else max(1, place.channels)
        audio.check_output(place.out, place.rate_hz or None, channels)
        if files.json:
            _check_new(place.record, files.force)
    return left


def _check_new(path: Path, force: bool) -> None:
    """Refuse (UserError) what is there already, unless it is to be replaced, and what cannot be written."""
    if path.exists() and not force:
        raise UserError(f"{path} exists: --force replaces it.")
    check_output(path)


def companions(
    places: Sequence[Place], wanted: Path | None, kind: str, endings: Sequence[str]
) -> dict[Path, Path] | None:
    """Files that go with each input, such as transcripts: the file named, or the input's name with one of `endings`.

    Args:
        wanted: a file (for one input) or a folder; None: there are none.

    Raises:
        UserError: a file for several inputs, or an input without its file in the folder.
    """
    if wanted is None:
        return None
    if not wanted.is_dir():
        if len(places) > 1:
            raise UserError(f"{kind} {wanted} is no folder, and there are {len(places)} inputs: name a folder.")
        return {places[0].source: wanted}
    found = {}
    for place in places:
        names = [wanted / f"{place.source.stem}{ending}" for ending in endings]
        if not (there := [name for name in names if name.is_file()]):
            raise UserError(f"{kind}: {wanted} holds no {' or '.join(name.name for name in names)} for {place.source}.")
        found[place.source] = there[0]
    return found


def beside(places: Sequence[Place], wanted: Path | None, kind: str, ending: str, force: bool) -> dict[Path, Path]:
    """Where more results of each input go: the file named (for one input), or the folder; known to be writable."""
    if wanted is None:
        return {}
    folder = wanted.is_dir() or not wanted.suffix or len(places) > 1
    if folder and wanted.suffix and not wanted.is_dir():
        raise UserError(f"{kind} {wanted} is one file, and there are {len(places)} inputs: name a folder.")
    paths = {place.source: wanted / f"{place.source.stem}{ending}" if folder else wanted for place in places}
    for path in paths.values():
        _check_new(path, force)
    if len(set(paths.values())) < len(paths):
        raise UserError(f"{kind}: two inputs have the same name; process their folders one by one.")
    return paths
