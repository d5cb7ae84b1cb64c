"""The runner's promises: a row an item, resumption, no lost runs, honest skips."""

import numpy as np
import pandas as pd
import pytest

from baselines import registry
from baselines.__main__ import main
from speechbase import audio
from speechbase.files import UserError, sha256
from speechbase.items import TASKS, Task, read_items
from speechbase.systems.card import Card
from speechbase.systems.contract import Answer, Baseline, System
from speechbase.systems.runner import COLUMNS, run_manifest


def make_card(**changes) -> Card:
    values = {"name": "noisy", "title": "t", "tasks": ("enhancement",), "provenance": "ours", "stands_for": "-"}
    return Card(**(values | {"source": "-", "licence": "-"} | changes))


class Flaky(Baseline):
    """Halves the source; fails on the items named in `bad`."""

    bad: tuple[str, ...] = ()

    def __init__(self, card, settings=None):
        super().__init__(card, settings)
        self.loads, self.ran = 0, []

    def load(self, device):
        self.loads += 1

    def run(self, item):
        self.ran.append(item.id)
        if item.id in self.bad:
            raise ValueError("cannot hear")
        return 0.5 * item.wave("source"), item.rate_hz


def test_floor_and_ceiling_are_the_source_and_the_reference(manifest, tmp_path):
    path = manifest()
    for name, column in (("noisy", "source"), ("clean", "reference")):
        assert main(["run", name, "--manifest", str(path), "--out", str(tmp_path / name)]) == 0
        index = pd.read_csv(tmp_path / name / "index.csv", keep_default_na=False)
        assert list(index.columns) == COLUMNS and list(index["id"]) == ["u0", "u1", "u2"]
        for row in index.to_dict("records"):
            wave, rate_hz = audio.read(tmp_path / name / row["path"])
            expected, _ = audio.read(tmp_path / f"{row['id']}-{column}.wav")
            np.testing.assert_array_equal(wave, expected)
            assert rate_hz == row["rate_hz"] and row["seconds"] == pytest.approx(len(wave) / rate_hz, abs=1e-5)
            assert row["status"] == "ok" and row["sha256"] == sha256(tmp_path / name / row["path"])


def test_one_failing_item_is_a_row_and_is_tried_again(manifest, tmp_path):
    flaky = Flaky(make_card())
    flaky.bad = ("u1",)
    index = run_manifest(flaky, manifest(), tmp_path / "out")
    assert list(index["status"]) == ["ok", "failed", "ok"] and "cannot hear" in index["detail"][1]
    flaky.bad, flaky.ran = (), []
    index = run_manifest(flaky, tmp_path / "set.csv", tmp_path / "out")
    assert flaky.ran == ["u1"] and list(index["status"]) == ["ok"] * 3


def test_finished_run_is_kept_and_a_changed_file_is_not(manifest, tmp_path):
    flaky = Flaky(make_card())
    first = run_manifest(flaky, manifest(), tmp_path / "out")
    again = run_manifest(flaky, tmp_path / "set.csv", tmp_path / "out")
    assert len(flaky.ran) == 3 and flaky.loads == 1
    pd.testing.assert_frame_equal(first, again)
    (tmp_path / "out" / "u2.wav").write_bytes(b"torn")
    flaky.ran = []
    run_manifest(flaky, tmp_path / "set.csv", tmp_path / "out")
    assert flaky.ran == ["u2"]
    table = pd.read_csv(tmp_path / "set.csv")
    table.loc[0, "text"] = "another"
    table.to_csv(tmp_path / "set.csv", index=False)
    flaky.ran = []
    run_manifest(flaky, tmp_path / "set.csv", tmp_path / "out")
    assert flaky.ran == ["u0"]


def test_full_disk_stops_the_run(manifest, tmp_path):
    class Full(Flaky):
        def run(self, item):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        run_manifest(Full(make_card()), manifest(), tmp_path / "out")
    assert not (tmp_path / "out" / "index.csv").exists()


@pytest.mark.parametrize(
    ("wave", "status"),
    [
        (np.zeros(5, np.float32), "length"),
        (np.full(12800, np.nan), "invalid"),
        (np.zeros((2, 12800)), "invalid"),
        (np.full(12800, 3000.0, np.float32), "invalid"),
    ],
)
def test_bad_output_is_not_written(manifest, tmp_path, wave, status):
    class Bad(Flaky):
        def run(self, item):
            return wave, item.rate_hz

    index = run_manifest(Bad(make_card()), manifest(count=1), tmp_path / "out")
    assert list(index["status"]) == [status] and not list((tmp_path / "out").glob("*.wav"))


def test_wrong_task_and_missing_weights_are_rows(manifest, tmp_path):
    index = run_manifest(registry.create("noisy"), manifest("separation"), tmp_path / "a")
    assert set(index["status"]) == {"not_applicable"}
    weights = ({"file": "w.pt", "url": "https://example.org/w.pt"},)
    index = run_manifest(Flaky(make_card(weights=weights)), manifest(), tmp_path / "b")
    assert set(index["status"]) == {"skipped"} and "https://example.org/w.pt" in index["detail"][0]


def test_weights_that_cannot_be_loaded_are_rows_and_not_a_lost_table(manifest, tmp_path):
    class Torn(Flaky):
        def load(self, device):
            raise UserError("weights of another shape")

    index = run_manifest(Torn(make_card()), manifest(), tmp_path / "out")
    assert set(index["status"]) == {"skipped"} and set(index["detail"]) == {"weights of another shape"}


def test_another_seed_is_another_run(manifest, tmp_path):
    flaky = Flaky(make_card())
    run_manifest(flaky, manifest(), tmp_path / "out")
    flaky.seed, flaky.ran = 1, []
    run_manifest(flaky, tmp_path / "set.csv", tmp_path / "out")
    assert flaky.ran == ["u0", "u1", "u2"]
    items = read_items(tmp_path / "set.csv")
    assert len({Flaky(make_card()).seed_of(item) for item in items} | {flaky.seed_of(items[0])}) == 4


def test_skip_names_package_weights_and_checksum(tmp_path):
    assert "no_such_module" in Baseline(make_card(packages={"no_such_module": "nothing==1"})).skip()
    weight = {"file": "w.pt", "url": "https://example.org/w.pt", "checksum": "sha256:" + "0" * 64}
    baseline = Baseline(make_card(weights=(weight,)), {"weights_dir": str(tmp_path)})
    assert "missing" in baseline.skip()
    (tmp_path / "noisy").mkdir()
    (tmp_path / "noisy" / "w.pt").write_bytes(b"x")
    assert "not the expected file" in baseline.skip()
    weight["checksum"] = "sha256:" + sha256(tmp_path / "noisy" / "w.pt")
    assert Baseline(make_card(weights=(weight,)), {"weights_dir": str(tmp_path)}).skip() is None


def test_weights_without_a_published_checksum_are_held_to_those_of_the_first_run(manifest, tmp_path):
    folder = tmp_path / "flaky"
    folder.mkdir()
    (folder / "w.pt").write_bytes(b"first")
    card = make_card(name="flaky", weights=({"file": "w.pt", "url": "https://example.org/w.pt"},))
    settings = {"weights_dir": str(tmp_path)}
    run_manifest(Flaky(card, settings), manifest(), tmp_path / "out")
    assert (folder / "SHA256SUMS").read_text() == f"{sha256(folder / 'w.pt')}  w.pt\n"
    (folder / "w.pt").write_bytes(b"second")
    index = run_manifest(Flaky(card, settings), tmp_path / "set.csv", tmp_path / "out")
    assert (
        set(index["status"]) == {"skipped"}
        and index["detail"].str.contains("not the file that earlier runs used").all()
    )
    (folder / "SHA256SUMS").unlink()
    index = run_manifest(Flaky(card, settings), tmp_path / "set.csv", tmp_path / "out")
    assert "ok" in set(index["status"])


def test_bad_use_is_a_sentence(manifest, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["run", "noisy", "--manifest", str(tmp_path / "none.csv"), "--out", str(tmp_path / "o")])
    assert stopped.value.code == 2 and "does not exist" in capsys.readouterr().err


class Batched(System):
    """Answers in batches of two; a batch with the item `bad` fails as a whole, as a network's would."""

    name, tasks, batch = "batched", ("enhancement", "hear"), 2

    def __init__(self, bad=""):
        self.bad, self.asked = bad, []

    def identity(self):
        return ["batched", 1]

    def likeness(self, item):
        if item.row.get("text") == "lacking":
            raise UserError("lacks a voice")
        return (item.task,), len(item.wave("source"))

    def answer(self, items):
        self.asked.append([item.id for item in items])
        if self.bad in self.asked[-1]:
            raise ValueError("cannot hear")
        if items[0].task == "hear":
            return [Answer(text="a b" if item.id != "u2" else None) for item in items]
        return [Answer(item.wave("source"), item.rate_hz, detail="source") for item in items]


def test_a_bad_item_of_a_batch_costs_its_own_row(manifest, tmp_path):
    path = manifest()
    table = pd.read_csv(path)
    table.loc[2, "text"] = "lacking"
    table.to_csv(path, index=False)
    system = Batched(bad="u1")
    index = run_manifest(system, path, tmp_path / "out")
    assert list(index["status"]) == ["ok", "failed", "failed"]
    assert "cannot hear" in index["detail"][1] and "lacks a voice" in index["detail"][2]
    assert system.asked == [["u0", "u1"], ["u0"], ["u1"]] and index["detail"][0] == "source"


def test_text_goes_the_road_of_audio(manifest, tmp_path, monkeypatch):
    monkeypatch.setitem(TASKS, "hear", Task("hear", gives="text", length="free"))
    index = run_manifest(Batched(), manifest("hear"), tmp_path / "out")
    assert list(index["status"]) == ["ok", "ok", "invalid"] and list(index["text"]) == ["a b", "a b", ""]
    assert not list((tmp_path / "out").glob("*.wav"))


def test_a_folder_of_an_earlier_version_is_refused(manifest, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "done.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match="earlier version"):
        run_manifest(Batched(), manifest(), tmp_path / "out")


def test_an_id_that_leaves_the_folder_is_refused(manifest, tmp_path):
    path = manifest()
    for bad in ("../u0", "..", "a/b"):
        table = pd.read_csv(path)
        table.loc[0, "id"] = bad
        table.to_csv(path, index=False)
        with pytest.raises(UserError, match="cannot be a file name"):
            run_manifest(Batched(), path, tmp_path / "out")
