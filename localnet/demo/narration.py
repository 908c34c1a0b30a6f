"""How the story is told: numbered steps with the time since the start, one line an event."""

import time
from typing import Final

from rich.console import Console
from rich.table import Table

STEPS: Final = 7


class Narrator:
    """Tells the story on a console, and remembers it for the report."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self.lines: list[str] = []

    @property
    def elapsed_s(self) -> float:
        """Seconds since the story began."""
        return time.monotonic() - self._started

    def step(self, number: int, title: str) -> None:
        """Begin a chapter."""
        self._console.rule(f"[bold]{number}/{STEPS}  {title}")
        self.lines.append(f"{self.elapsed_s:.1f} s  {number}/{STEPS} {title}")

    def say(self, text: str) -> None:
        """One event."""
        self._console.print(f"[dim]{self.elapsed_s:7.1f} s[/dim]  {text}", markup=True)
        self.lines.append(f"{self.elapsed_s:.1f} s  {text}")

    def show(self, table: Table) -> None:
        """A table; the report holds its figures elsewhere."""
        self._console.print(table)

    def warn(self, text: str) -> None:
        """One event that the reader should not miss."""
        self._console.print(f"[dim]{self.elapsed_s:7.1f} s[/dim]  [bold yellow]{text}[/]")
        self.lines.append(f"{self.elapsed_s:.1f} s  {text}")
