"""`mlocalnet demo`: a fresh network, the story, its report, and everything stopped again."""

import asyncio
import threading
from pathlib import Path
from typing import Any

from rich.console import Console

from localnet.clients import open_chains
from localnet.demo.narration import Narrator
from localnet.demo.story import Story, StorySettings
from localnet.deployment import Localnet, LocalnetOptions, ensure_localnet
from localnet.report import write_report


def play_demo(
    root: Path,
    report_path: Path,
    console: Console,
    *,
    is_kept: bool = False,
    settings: StorySettings | None = None,
    options: LocalnetOptions | None = None,
) -> dict[str, Any]:
    """Bring a fresh network up, play, write the report and return it.

    Raises ProcessFailed, TimeoutError and what the story raises; the network is stopped then, too.
    """
    narrator = Narrator(console)
    localnet = ensure_localnet(root, options, is_fresh=True, progress=narrator.say)
    try:
        localnet.up(narrator.say)
        document = play_story(localnet, narrator, settings)
        write_report(report_path, document)
        console.rule()
        console.print(
            f"{'every check holds' if document['holds'] else 'a check FAILS'} after "
            f"{narrator.elapsed_s:.0f} s; report: {report_path}"
        )
    finally:
        if not is_kept:
            localnet.down()
    return document


def play_story(
    localnet: Localnet, narrator: Narrator, settings: StorySettings | None = None
) -> dict[str, Any]:
    """Play on a network that is up, while a supervisor brings back what dies; the report."""
    stop = threading.Event()
    supervisor = threading.Thread(
        target=localnet.supervise, args=(stop, narrator.warn), name="supervisor"
    )
    supervisor.start()
    try:
        return asyncio.run(_play(localnet, narrator, settings))
    finally:
        stop.set()
        supervisor.join()


async def _play(
    localnet: Localnet, narrator: Narrator, settings: StorySettings | None
) -> dict[str, Any]:
    async with open_chains(localnet.network.topology) as chains:
        return await Story(localnet, chains, narrator, settings).play()
