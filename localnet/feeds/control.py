"""What the feed player is told: a small JSON file, replaced as a whole and read before each tick.

{"script": "constant" | "black-thursday", "started_at_ns": 0, "bar_ms": 5000,
 "faults": {"hub-1-v3": "dead" | "lagging" | "absurd"}}
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

SCRIPTS: Final = ("constant", "black-thursday")
FAULTS: Final = ("dead", "lagging", "absurd")
BAR_MS: Final = 5_000
"""An hour of market time at the demo's scale of 720."""


@dataclass(frozen=True, slots=True)
class FeedControl:
    """The state of the play; `started_at_ns` is the moment of the first bar, wall-clock ns.

    `faults` names validators whose feed misbehaves: dead (not written any more), lagging (an hour
    old) or absurd (a billion times the price).
    """

    script: str = "constant"
    started_at_ns: int = 0
    bar_ms: int = BAR_MS
    faults: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The control that a file states; raises ValueError saying what is wrong."""
        data: Any = json.loads(text)
        try:
            control = cls(**data)
        except TypeError as error:
            raise ValueError(f"feed control: {error}") from error
        if control.script not in SCRIPTS:
            raise ValueError(f"feed control: script {control.script!r} must be one of {SCRIPTS}")
        if type(control.bar_ms) is not int or control.bar_ms <= 0:
            raise ValueError(f"feed control: bar_ms {control.bar_ms!r} must be above zero")
        if type(control.started_at_ns) is not int:
            raise ValueError("feed control: started_at_ns must be an integer")
        if not set(control.faults.values()) <= set(FAULTS):
            raise ValueError(f"feed control: faults must be among {FAULTS}")
        return control

    @classmethod
    def read(cls, path: Path) -> Self:
        """The control in the file; the default one without a file. Raises ValueError."""
        try:
            return cls.parse(path.read_text())
        except FileNotFoundError:
            return cls()

    def write(self, path: Path) -> None:
        """Replace the file as a whole."""
        write_atomically(path, json.dumps(asdict(self), indent=1))


def write_atomically(path: Path, text: str) -> None:
    """Put a text into a file so that a reader sees the old or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.write_text(text)
    draft.replace(path)
