"""environment.yml says what the lock says."""

from workflow.plan import environment
from workflow.plan.places import ROOT


def test_environment_yml_has_the_lock_s_versions():
    text = (ROOT / "environment.yml").read_text()
    assert text == environment.render(ROOT), "run `python -m workflow.plan.environment`"


def test_the_lock_holds_every_direct_dependency_with_hashes_and_names_no_index():
    lock = (ROOT / "requirements.lock").read_text()
    assert set(environment.direct(ROOT / "pyproject.toml")) <= set(environment.locked(ROOT / "requirements.lock"))
    blocks = lock.split("\n")
    pins = [line for line in blocks if line[:1].isalnum()]
    assert pins and all(line.rstrip().endswith("\\") for line in pins), "a pin without a hash"
    assert "index-url" not in lock.replace("--no-emit-index-url", "") and "://" not in lock
