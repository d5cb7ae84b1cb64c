"""The compared systems by method: what stands in the room is what there is; a checkpoint is an entry, a method a
folder."""

import json
import shutil

import pandas as pd
import pytest
import yaml

import baselines
from baselines import registry
from baselines.__main__ import main
from speechbase.files import UserError

CARDS = [card for cards in registry.methods().values() for card in cards]
# What seeds and the folders of weights and models were made with: another name is another output.
NAMES = {
    "noisy",
    "mixture",
    "clean",
    "deepfilternet3",
    "predictive",
    "sepformer",
    "sgmse",
    "sgmse_ears",
    "storm",
    "voicecraft",
    "xtts_v2",
    "resemble_enhance",
    "miipher_open",
}


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A copy of the room's cards that the registry reads, and whose new methods can be imported."""
    copy = tmp_path / "baselines"
    shutil.copytree(registry.ROOM, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(registry, "ROOM", copy)
    monkeypatch.setattr(registry, "PRINTED", copy / "printed.yaml")
    monkeypatch.setattr(baselines, "__path__", [*baselines.__path__, str(copy)])
    registry.methods.cache_clear()
    yield copy
    registry.methods.cache_clear()


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_every_card_says_what_it_must(card):
    method = next(name for name, cards in registry.methods().items() if card in cards)
    baseline = registry.create(method, checkpoint=card.checkpoint)
    assert (card.file == registry.PRINTED) == bool(card.unavailable) and bool(card.unavailable) >= (
        card.provenance == "paper"
    )
    answers = [getattr(type(baseline), name) for name in ("run", "answer")]  # item by item, or a batch at once
    own = [way for way in answers if way is not getattr(registry.Baseline, way.__name__)]
    assert card.unavailable or (own and all(way.__doc__ for way in own))


def test_names_that_outputs_were_made_with_stay():
    assert {card.name for card in CARDS} >= NAMES


def test_every_folder_of_the_room_is_a_method():
    folders = {path.parent.name for path in registry.ROOM.glob("*/__init__.py")}
    assert folders <= set(registry.methods())


def test_a_checkpoint_costs_one_entry(room, manifest, tmp_path):
    path = room / "sgmse" / "card.yaml"
    card = yaml.safe_load(path.read_text())
    weights = [{"file": "checkpoint.ckpt", "url": "https://example.org/c.ckpt"}]
    card["checkpoints"]["reverb"] = {"rate_hz": 16000, "weights": weights, "settings": {"N": 50, "snr": 0.33}}
    path.write_text(yaml.safe_dump(card, sort_keys=False))
    added = registry.create("sgmse", checkpoint="reverb")
    assert added.name == "sgmse_reverb" and added.settings == {
        "N": 50,
        "snr": 0.33,
        "corrector": "ald",
        "corrector_steps": 1,
    }
    assert [card.name for card in registry.methods()["sgmse"]] == ["sgmse", "sgmse_ears", "sgmse_reverb"]
    out = tmp_path / "out"
    assert main(["run", "sgmse", "--checkpoint", "reverb", "--manifest", str(manifest()), "--out", str(out)]) == 0
    assert set(pd.read_csv(out / "index.csv")["status"]) == {"skipped"}


def test_a_method_costs_a_folder_of_two_files(room, manifest, tmp_path):
    folder = room / "quieter"
    folder.mkdir()
    card = {"title": "Quieter", "tasks": ["enhancement"], "provenance": "ours", "stands_for": "-", "source": "-"}
    (folder / "card.yaml").write_text(yaml.safe_dump(card | {"licence": "MIT", "settings": {"gain": 0.5}}))
    with pytest.raises(UserError, match=r"quieter has a card\.yaml and no adapter\.py"):
        registry.create("quieter")
    (folder / "adapter.py").write_text(
        "from speechbase.systems.contract import Baseline\n\n\nclass Adapter(Baseline):\n    def run(self, item):\n"
        "        return self.settings['gain'] * item.wave('source'), item.rate_hz\n"
    )
    out = tmp_path / "out"
    assert main(["run", "quieter", "--manifest", str(manifest()), "--out", str(out)]) == 0
    assert set(pd.read_csv(out / "index.csv")["status"]) == {"ok"}


def test_a_name_stands_once_and_a_printed_system_says_why(room):
    card = {"title": "T", "tasks": ["tts"], "provenance": "paper", "stands_for": "-", "source": "-", "licence": "none"}
    for values, message in (
        (card | {"unavailable": "not public"}, "'sgmse_ears' stands twice"),
        (card, "sgmse_ears must be a mapping .* `unavailable`"),
        (3, "sgmse_ears must be a mapping"),
    ):
        (room / "printed.yaml").write_text(yaml.safe_dump({"sgmse_ears": values}))
        with pytest.raises(UserError, match=message):
            registry.methods()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nosy",), "has no method 'nosy' (did you mean 'noisy'?)"),
        (("sgmse", "--checkpoint", "eras"), "sgmse/card.yaml has no checkpoint 'eras' (did you mean 'ears'?)"),
        (("noisy", "--checkpoint", "ears"), "floors.py has no checkpoint 'ears' (it lists none)"),
        (("sgmse", "--config", '{"sgmse": {"snrr": 1}}'), "unknown key 'snrr' (did you mean 'snr'?)"),
        (("sgmse", "--config", '{"sgmze": {}}'), "has no method 'sgmze' (did you mean 'sgmse'?)"),
        (("storm", "--checkpoint", "wsj0_chime"), "storm/card.yaml has no checkpoint 'wsj0_chime' (did you mean "
                                                  "'wsj0_chime3'?)"),
        (("sgmse", "--config", '{"sgmse": 3}'), "sgmse is 3"),
        (("sgmse", "--config", '{"seed": "x"}'), "seed is 'x'"),
        (("sgmse", "--config", "[]"), "object"),
    ],
)  # fmt: skip
def test_an_unknown_word_is_a_sentence_with_the_nearest_known_one(arguments, message, manifest, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["run", *arguments, "--manifest", str(manifest()), "--out", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and message in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_listing_says_what_runs_and_takes_changed_settings(capsys, tmp_path):
    assert main(["list", "--config", json.dumps({"models_dir": str(tmp_path), "sgmse": {"N": 50}})]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        method for method, cards in registry.methods().items() for _ in cards
    ]
    assert lines[0].endswith("runs") and any(str(tmp_path) in line for line in lines)
    assert any(line.split()[:3] == ["sgmse", "ears", "public-checkpoint"] for line in lines)
    with pytest.raises(SystemExit):
        main(["list", "--config", '{"sgmse": {"M": 1}}'])
    listed = capsys.readouterr()
    assert "unknown key 'M'" in listed.err and not listed.out
