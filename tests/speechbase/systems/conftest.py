"""The small test set on which systems are run."""

from tests.baselines.conftest import manifest  # noqa: F401
