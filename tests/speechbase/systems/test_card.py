"""Cards: a method's checkpoints over what they share, and one sentence for whatever does not fit."""

import copy

import pytest
import yaml

from speechbase.files import UserError
from speechbase.systems.card import Card

METHOD = {
    "title": "T",
    "tasks": ["enhancement"],
    "provenance": "stand-in",
    "stands_for": "-",
    "source": "-",
    "licence": "MIT",
    "settings": {"steps": 30, "snr": 0.5},
    "weights": [{"file": "w.pt"}],
    "checkpoints": {
        "one": {"rate_hz": 16000, "weights_from": "https://example.org/one/"},
        "two": {"rate_hz": 48000, "weights_from": "https://example.org/two/", "settings": {"steps": 50}, "title": "T2"},
    },
}


@pytest.fixture
def read(tmp_path):
    """Read the card of a method called `mine`, changed by a function."""

    def make(change=lambda card: None):
        (tmp_path / "mine").mkdir(exist_ok=True)
        card = copy.deepcopy(METHOD)
        change(card)
        (tmp_path / "mine" / "card.yaml").write_text(yaml.safe_dump(card, sort_keys=False))
        return Card.read(tmp_path / "mine" / "card.yaml")

    return make


def test_a_checkpoint_lies_over_its_method(read):
    one, two = read()
    assert (one.name, one.checkpoint, two.name, two.checkpoint) == ("mine", "one", "mine_two", "two")
    assert (one.title, one.rate_hz, two.title, two.rate_hz) == ("T", 16000, "T2", 48000)
    assert one.settings == {"steps": 30, "snr": 0.5} and two.settings == {"steps": 50, "snr": 0.5}
    assert two.weights == ({"file": "w.pt", "url": "https://example.org/two/w.pt"},)


def test_a_card_without_checkpoints_is_one(read):
    def change(card):
        del card["checkpoints"], card["weights"]

    (only,) = read(change)
    assert (only.name, only.checkpoint, only.weights) == ("mine", "", ())


def test_the_environment_is_the_file_beside_the_card(read, tmp_path):
    assert read()[0].environment == ""
    (tmp_path / "mine" / "environment.yml").touch()
    assert read()[0].environment.endswith("mine/environment.yml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(provenence="ours"), "unknown key 'provenence' (did you mean 'provenance'?)"),
        (lambda c: c.update(name="mine"), "unknown key 'name'"),
        (lambda c: c.pop("licence"), "'licence'"),
        (lambda c: c.update(tasks=["enhancment"]), "unknown task 'enhancment' (did you mean 'enhancement'?)"),
        (lambda c: c.update(provenance="own"), "provenance is 'own'"),
        (lambda c: c.update(scale="any"), "scale is 'any'"),
        (lambda c: c.update(settings=3), "settings is 3"),
        (lambda c: c.update(checkpoints=[]), "`checkpoints` must hold an entry a checkpoint"),
        (lambda c: c["checkpoints"].update(three=None), "`checkpoints` must hold an entry a checkpoint"),
        (lambda c: c["checkpoints"]["two"].update(rate=8), "checkpoint 'two': unknown key 'rate' (did you mean "
                                                           "'rate_hz'?)"),
        (lambda c: c["checkpoints"]["two"].update(rate_hz="48k"), "checkpoint 'two': rate_hz is '48k'"),
        (lambda c: c["checkpoints"]["two"].update(rate_hz=48), "checkpoint 'two': rate_hz is 48"),
        (lambda c: c["checkpoints"]["two"].pop("weights_from"), "'weights.0.url'"),
        (lambda c: c["weights"][0].update(chekcsum="md5:0"), "'weights.0.chekcsum' (did you mean 'checksum'?)"),
        (lambda c: c["weights"][0].update(checksum="md5:0"), "weights.0.checksum is 'md5:0'"),
        (lambda c: c.update(weights=["w.pt"]), "weights.0 is 'w.pt'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_a_sentence_with_file_and_word(read, change, message):
    with pytest.raises(UserError) as refused:
        read(change)
    assert "mine/card.yaml" in str(refused.value) and message in str(refused.value)
    assert "\n" not in str(refused.value) and str(refused.value).endswith(".")
