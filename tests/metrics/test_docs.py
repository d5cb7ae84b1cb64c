"""The documentation is what the code says."""

from pathlib import Path

import pytest

from metrics import registry, reports

DOCS = Path(__file__).resolve().parents[2] / "docs/metrics.md"


def test_documentation_is_up_to_date():
    if DOCS.read_text(encoding="utf-8") != reports.markdown(registry.families()):
        pytest.fail("docs/metrics.md is stale: python -m metrics docs > docs/metrics.md")


def test_every_metric_is_documented_and_named_once():
    names = [metric.name for metric in registry.families()]
    assert len(set(names)) == len(names)
    for metric in registry.families():
        assert all(
            (metric.definition, metric.unit, metric.range, metric.rate, metric.source, metric.pitfalls, metric.version)
        )
        assert set(metric.needs) <= {
            *("reference", "mixture", "prompt", "text", "transcript", "others", "label", "answer")
        }
