"""Vector families: each module has `run(folder) -> Iterator[CaseResult]` over a vectors folder.

`folder` is the root that holds MANIFEST.md; a family reads its own sub-folders of it alone.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case: `agree` is the judgement, `detail` says what differed.

    `stricter` marks a case where we refuse what the oracle accepts, on purpose; it still counts as
    agreement when `agree` is True, and is reported apart.
    """

    name: str
    agree: bool
    detail: str
    stricter: bool = False
