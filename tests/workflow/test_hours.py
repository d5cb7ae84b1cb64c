"""How long models were trained: from their records and those of the runs that they began from, or not at all."""

import pytest

from speechbase.files import UserError, read_json, write_json
from speechbase.training.settings import runs_of
from workflow.plan import configuration, places, system_entries
from workflow.record import hours

SHIPPED = places.ROOT / "speechbase" / "pretrained" / "nano"


def write(folder, name, minutes=60.0, **config):
    record = {"steps": 1, "wall_minutes": minutes, "hardware": "x86_64 CPU", "threads": 1, "processes": 1}
    write_json(folder / name / "config.json", {"sha256": "0" * 64, "training": {}, "record": record} | config)


def test_runs_are_followed_to_random_weights(tmp_path):
    write(tmp_path, "tts", 10)
    write(tmp_path, "tts/runs/1", 20)
    write(tmp_path, "multitask", 40, init="tts@1", training={"runs": [{}, {}, {}]})
    write(tmp_path, "multitask/runs/1", 80, init="tts@1")
    write(tmp_path, "multitask/runs/2", 160, init="tts@1")
    found = hours.runs_of(tmp_path, "multitask", {})
    assert list(found) == ["tts@1", "multitask@1", "multitask@2", "multitask"]
    assert hours.total(found.values()) == (pytest.approx(300 / 60), "")


def test_what_ships_has_its_earlier_runs_and_another_training_of_that_name_has_not(tmp_path):
    ledger = {
        "m": {"sha256": "ab" * 8, "runs": {"start": {"wall_minutes": 30, "hardware": "x86_64 CPU", "threads": 2}}}
    }
    write(tmp_path, "m", sha256="ab" * 32, init="start")
    assert hours.total(hours.runs_of(tmp_path, "m", ledger).values())[0] == pytest.approx(2.0)
    write(tmp_path, "further", init="m")
    assert hours.total(hours.runs_of(tmp_path, "further", ledger).values())[0] == pytest.approx(3.0)
    write(tmp_path, "m", sha256="cd" * 32, init="start")
    with pytest.raises(hours.Unrecorded, match="no record of the training of start is here"):
        hours.runs_of(tmp_path, "further", ledger)


@pytest.mark.parametrize("config", [None, {"record": {}}, {"record": {"steps": 3}}])
def test_a_model_without_its_minutes_is_unrecorded(tmp_path, config):
    if config is not None:
        write_json(tmp_path / "m" / "config.json", config)
    with pytest.raises(hours.Unrecorded, match="of m is here"):
        hours.runs_of(tmp_path, "m", {})


def test_older_records_name_their_one_thread_in_the_hardware():
    old, gpu = {"wall_minutes": 60, "hardware": "x86_64, 1 threads"}, {"wall_minutes": 2.0, "hardware": "NVIDIA H200"}
    assert hours.total([old, gpu, gpu]) == (1.0, "4.0 min of NVIDIA H200")
    assert hours.total([gpu]) == (None, "2.0 min of NVIDIA H200")
    assert hours.total([old | {"wall_minutes": 0.0}]) == (0.0, ""), "a training of seconds is no training on a GPU"


def test_the_codec_of_speechop_is_part_of_it(tmp_path):
    systems = {"a": {"model": "m"}, "b": {"method": "speechx"}}
    assert hours.models_of(systems, "a", tmp_path) == ["codec", "m"]
    write(tmp_path, "m", codec="codec_wave")
    assert hours.models_of(systems, "a", tmp_path) == ["codec_wave", "m"]
    assert hours.models_of(systems, "b", tmp_path) == ["codec_tokens", "speechx_ar", "speechx_nar"]


def test_the_earlier_runs_of_what_ships_are_those_of_its_configuration():
    """Whoever ships other weights says what these had before, or their core-hours are not recorded."""
    models, earlier = configuration.resolve({"scale": "nano"})["models"], hours.read_earlier("nano")
    for name, stated in earlier.items():
        assert read_json(SHIPPED / name / "config.json")["sha256"].startswith(stated["sha256"]), name
        steps = [run["training"]["steps"] for run in runs_of({"seed": 0} | models[name])[:-1]]
        mine = [run["steps"] for made, run in stated["runs"].items() if made.startswith(f"{name}@")]
        assert mine == steps or (name == "speechx_nar" and mine == [sum(steps)]), name
    systems = system_entries.read_systems({})
    for system in ("speechop", "speechx", "polyspeech", "predictive", "sepformer"):
        for model in hours.models_of(systems, system, SHIPPED):
            assert model in hours.runs_of(SHIPPED, model, earlier)
    assert hours.read_earlier("smoke") == {}


def test_a_wrong_ledger_is_a_sentence(tmp_path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "earlier.yaml").write_text("m: {sha256: ab, runs: {a: {steps: 1, wall_minuts: 2}}}\n")
    with pytest.raises(UserError, match=r"earlier\.yaml, m.*wall_minuts.*did you mean 'wall_minutes'"):
        hours.read_earlier("tiny", tmp_path)
