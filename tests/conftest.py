"""What all tests share."""

import sys

import pytest


def pytest_runtest_setup():
    """Take SpeechBrain's lazy modules out of the module table.

    Each imports an optional package when anything looks at it; hypothesis looks at every module, and the missing
    package's ImportError would then fail a test that has nothing to do with it.
    """
    for name, module in list(sys.modules.items()):
        if any(kind.__name__ == "LazyModule" for kind in type(module).__mro__):
            del sys.modules[name]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests of one file, and all that use the smoke run, stay in one process of `pytest -n`: they share what is slow to
    make."""
    for item in items:
        group = "smoke" if "made" in item.fixturenames else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
