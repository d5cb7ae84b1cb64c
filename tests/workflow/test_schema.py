"""The schema's sections have the keys that the code reads: an added setting is not forgotten in one of them."""

from dataclasses import fields

import pytest

from speechbase.codec.trainee import CodecLossConfig
from speechbase.training.loop import TrainingConfig
from speechop.compose import Settings
from speechop.model.network import NetworkConfig
from speechop.model.transformer import TransformerConfig
from speechop.stages.batches import BatchConfig
from workflow.plan import planning

DEFINITIONS = planning.read_yaml(planning.ROOT / "workflow" / "schemas" / "config.schema.yaml")["$defs"]


@pytest.mark.parametrize(
    "section, kind, more, less",
    [
        ("sampling", Settings, {"chunk_seconds"}, {"composition"}),
        ("training", TrainingConfig, {"runs"}, set()),
        ("batches", BatchConfig, set(), set()),
        ("codec_losses", CodecLossConfig, set(), set()),
        ("network", NetworkConfig, set(), {"tasks"}),
        ("transformer", TransformerConfig, set(), {"cross_dim", "cross_rotary"}),
    ],
)
def test_a_section_has_the_settings_of_its_dataclass(section, kind, more, less):
    assert set(DEFINITIONS[section]["properties"]) == {field.name for field in fields(kind)} - less | more
