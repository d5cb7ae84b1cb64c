"""Installed recognisers as systems of recognition: those of the entry point group "speechop.recognisers"."""

from __future__ import annotations

from importlib.metadata import entry_points

from speechbase.files import UserError, did_you_mean, install
from speechbase.items import Item
from speechbase.systems.contract import Answer, Baseline

GROUP = "speechop.recognisers"


class Adapter(Baseline):
    """What a recogniser hears in the source."""

    def skip(self) -> str | None:
        """Why it cannot run here."""
        known = {entry.name for entry in entry_points(group=GROUP)}
        name = self.settings["name"]
        return super().skip() or (
            None if name in known else f"no recogniser {name!r} is installed{did_you_mean(name, known)}"
        )

    def load(self, device: str) -> None:
        """The recogniser. Raises: UserError: its packages are missing."""
        found = next(entry for entry in entry_points(group=GROUP) if entry.name == self.settings["name"])
        options = {"model": self.settings["model"]} if self.settings["model"] else {}
        try:
            self._recogniser = found.load()(**options)
        except ImportError as error:
            raise UserError(f"{found.name} cannot be loaded ({error}): {install('itc')}.") from None

    def answer(self, items) -> list[Answer]:
        """Text, item by item."""
        return [Answer(text=self._text(item)) for item in items]

    def _text(self, item: Item) -> str:
        heard = self._recogniser.transcribe(item.wave("source"), item.rate_hz)
        return heard["text"] if isinstance(heard, dict) else heard
