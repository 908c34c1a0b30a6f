"""The operators' page names every command, configuration key and metric of the relayer."""

from pathlib import Path

import pytest
import typer

from relayer.cli import app
from relayer.config import ChainSection, GlobalSection, PathSection, TelemetrySection
from relayer.telemetry import Telemetry

PAGE = (Path(__file__).parents[2] / "docs" / "operators" / "relayer.md").read_text()


def list_commands(command, words=()):
    if not hasattr(command, "commands"):
        return [" ".join(words)]
    return [
        name
        for word, child in command.commands.items()
        for name in list_commands(child, (*words, word))
    ]


@pytest.mark.parametrize("command", list_commands(typer.main.get_command(app)))
def test_every_command_is_documented(command):
    assert f"`mrelay {command}`" in PAGE


@pytest.mark.parametrize("section", [GlobalSection, TelemetrySection, ChainSection, PathSection])
def test_every_key_is_documented(section):
    assert [key for key in section.model_fields if f"| `{key}` |" not in PAGE] == []


def test_every_metric_is_documented():
    names = set()
    for family in Telemetry().registry.collect():
        suffix = "_total" if family.type == "counter" else ""
        names.add(family.name + suffix)
    assert [name for name in sorted(names) if f"| `{name}` |" not in PAGE] == []
