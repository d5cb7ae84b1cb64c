"""Damaged files of every kind that is read: a result, or a sentence of ours, never a traceback from a library."""

import contextlib
import hashlib
import io
import json
import shutil
import struct

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrics import inputs
from speechbase import audio
from speechbase.codec.loading import load_codec, load_token_codec
from speechbase.files import UserError, read_json, read_jsonl, read_yaml
from speechbase.items import read_items
from speechbase.training import checkpoint
from speechop.model.loading import load_network
from workflow.plan import configuration, places, preset_files
from workflow.plan.schema import check_config
from workflow.record.provenance import read_record
from workflow.regression import compare as regression
from workflow.tables import build as tables

MANIFEST = (
    b"id,set,task,speaker,text,rate_hz,source,reference,prompt,snr_db\n"
    b"a-1,se,enhancement,x,bin blue,16000,se/a.wav,se/r.wav,se/p.wav,3.5\n"
    b"a-2,se,enhancement,y,lay red,16000,se/b.wav,se/r.wav,,-2\n"
)
INDEX = b"id,path,rate_hz,seconds,wall_s,status,detail,sha256\na-1,a.wav,16000,1.0,0.1,ok,,aa\na-2,,,,0,failed,why,\n"
SPOKEN = "".join(
    json.dumps(
        {"id": name, "text": "bin blue", "words": [], "status": "ok", "asr": "whisper_base int8", "version": "1"}
    )
    + "\n"
    for name in ("a-1", "a-2")
).encode()
SCORES = "".join(
    json.dumps({"id": name, "metric": "pesq", "value": 1.5, "status": "ok", "detail": {}, "version": "1"}) + "\n"
    for name in ("a-1", "a-2")
).encode()
PRESET = (places.ROOT / "workflow" / "presets" / "speechop" / "table3.yaml").read_bytes()
CONFIG = (places.ROOT / "config" / "smoke.yaml").read_bytes()
RECORD = json.dumps({"command": "x", "inputs": {}, "outputs": {}, "code": {}, "versions": {}}).encode()
REFERENCE = json.dumps({"cells": {}, "facts": {}, "history": []}).encode()
EXAMPLES = 60


def wav():
    stream = io.BytesIO()
    soundfile.write(stream, np.sin(np.arange(800) / 7).astype(np.float32) * 0.3, 16_000, format="WAV", subtype="PCM_16")
    return stream.getvalue()


@st.composite
def damaged(draw, whole):
    """The bytes with a few cuts, changes, doublings and foreign bytes; sometimes just anything."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        where = draw(st.integers(0, max(0, len(data) - 1)))
        what = draw(st.sampled_from(["cut", "change", "drop", "double", "insert", "number"]))
        if what == "cut":
            del data[where:]
        elif what == "change" and data:
            data[where] = draw(st.integers(0, 255))
        elif what == "drop":
            del data[where : where + draw(st.integers(1, 40))]
        elif what == "double":
            data[where:where] = data[where : where + draw(st.integers(1, 40))]
        elif what == "insert":
            odd = [
                b"\x00",
                b"\xff\xfe",
                b"\n",
                b'"',
                b",,,",
                b"NaN",
                b"null",
                b"{",
                b"[]",
                b"../../x",
                "é".encode("latin-1"),
            ]
            data[where:where] = draw(st.sampled_from(odd))
        else:
            data[where : where + 1] = draw(st.sampled_from([b"1e999", b"-1", b"0", b"99999999999999999999"]))
    return bytes(data)


def read_preset(path):
    preset_files.read_preset(path.rename(path.with_name("table.yaml")))


def read_config(path):
    value = configuration.of_file(path)
    check_config(value, str(path))


def read_scores(path):
    items = tables.read_manifest(_beside(path, "m.csv", MANIFEST))
    options = {"bootstrap_draws": 100, "min_scored": 0.99, "seed": 0}
    cell = tables.cell(items, read_jsonl(path), "pesq", options)
    # Never a silent number: a value is there only where every utterance has a score.
    assert "value" not in cell or cell["n_scored"] == 2


def read_test_set(path):
    for item in read_items(path):
        assert item.rate_hz >= 0
    tables.read_manifest(path)


def read_audio(path):
    wave, rate_hz = audio.read(path)
    assert wave.ndim == 1 and np.isfinite(wave).all() and rate_hz > 0


def read_heard(path):
    inputs.from_manifest(_beside(path, "m.csv", MANIFEST), _beside(path, "i.csv", INDEX), [path])


def read_index(path):
    inputs.from_manifest(_beside(path, "m.csv", MANIFEST), path)


def _beside(path, name, content):
    place = path.with_name(name)
    place.write_bytes(content)
    return place


KINDS = {
    "test set": (MANIFEST, read_test_set),
    "audio index": (INDEX, read_index),
    "transcripts": (SPOKEN, read_heard),
    "scores": (SCORES, read_scores),
    "preset": (PRESET, read_preset),
    "configuration": (CONFIG, read_config),
    "record": (RECORD, read_record),
    "reference": (REFERENCE, regression.read_reference),
    "audio": (wav(), read_audio),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_read_or_refused_with_a_sentence(kind, tmp_path):
    whole, read = KINDS[kind]
    path = tmp_path / "file"
    path.write_bytes(whole)
    read(path)

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(damaged(whole))
    def check(data):
        path.write_bytes(data)
        with contextlib.suppress(UserError):
            read(path)

    check()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    checkpoint.save_model(folder, {"a": torch.ones(3, 4), "b": torch.zeros(2)}, {"network": {}, "stage": "codec"})
    return folder


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_damaged_checkpoint_is_refused_with_a_sentence(model, name, tmp_path):
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(damaged((model / name).read_bytes()))
    def check(data):
        for file in model.iterdir():
            shutil.copy(file, tmp_path / file.name)
        (tmp_path / name).write_bytes(data)
        with contextlib.suppress(UserError):
            tensors, _ = checkpoint.read_model(tmp_path)
            assert set(tensors) == {"a", "b"}

    check()


HEADERS = {
    "1 GB that are not there": (10**9, b"{}"),
    "2^63 bytes": (2**63, b"{}"),
    "deep": (200_000, b"[" * 200_000),
    "a tensor beyond the file": (None, b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'),
    "2^62 numbers": (None, b'{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,4]}}'),
    "nothing": (0, b""),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_hostile_header_of_safetensors_is_refused_with_a_sentence(name, tmp_path):
    size, header = HEADERS[name]
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header) if size is None else size) + header)
    digest = {"sha256": hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()}
    (tmp_path / "config.json").write_text(json.dumps(digest))
    with pytest.raises(UserError, match="not a safetensors file"):
        checkpoint.read_model(tmp_path)


FOREIGN = {
    "no object": [1],
    "no sizes": {},
    "sizes of something else": {"network": {"hidden_size": 8}, "kind": "multitask", "sampling": {}},
    "a list of sizes": {"network": [1], "kind": "multitask", "sampling": {}},
    "a size as text": {"network": {"kind": "mel", "latent_dim": "16", "tasks": []}, "kind": "codec", "sampling": {}},
    "sizes beyond memory": {"network": {"kind": "mel", "latent_dim": 2**50, "tasks": []}, "kind": "c", "sampling": {}},
}


@pytest.mark.parametrize("load", [load_network, load_codec, load_token_codec])
@pytest.mark.parametrize("name", FOREIGN)
def test_a_configuration_of_another_model_is_refused_with_a_sentence(name, load, model, tmp_path):
    shutil.copy(model / "model.safetensors", tmp_path)
    config = FOREIGN[name]
    if isinstance(config, dict):
        config = config | {"sha256": json.loads((model / "config.json").read_text())["sha256"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"config\.json"):
        load(tmp_path)


def test_a_pickle_is_never_loaded(tmp_path):
    """A checkpoint that would run code when unpickled is refused."""
    torch.save({"a": torch.ones(1)}, tmp_path / "model.safetensors")
    digest = {"sha256": hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()}
    (tmp_path / "config.json").write_text(json.dumps(digest))
    with pytest.raises(UserError, match="not a safetensors file"):
        checkpoint.read_model(tmp_path)


NASTY = {
    "empty": b"", "null byte": b"\x00", "byte order mark": b"\xef\xbb\xbf{}", "utf-16": '{"a": 1}'.encode("utf-16"),
    "deep": b"[" * 100_000, "yaml tag": b"!!python/object/apply:os.system ['false']", "aliases": b"a: &a [*a]\n",
    "huge number": b'{"a": 1e999}', "list": b"[1, 2]", "text": b"hello",
}  # fmt: skip


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize("read", [read_json, read_yaml, read_record, regression.read_reference, read_jsonl, read_audio])
def test_a_nasty_file_is_read_or_refused_with_a_sentence(name, read, tmp_path):
    path = tmp_path / "nasty"
    path.write_bytes(NASTY[name])
    with contextlib.suppress(UserError):
        read(path)


def test_yaml_runs_no_code(tmp_path):
    (tmp_path / "x.yaml").write_text("a: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(UserError, match="not valid YAML"):
        read_yaml(tmp_path / "x.yaml")
