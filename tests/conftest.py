"""What all tests share."""

import sys


def pytest_runtest_setup():
    """Take SpeechBrain's lazy modules out of the module table.

    Each imports an optional package when anything looks at it; hypothesis looks at every module, and the missing package's
    ImportError would then fail a test that has nothing to do with it.
    """
    for name in [name for name, module in sys.modules.items() if type(module).__name__ == "LazyModule"]:
        del sys.modules[name]
