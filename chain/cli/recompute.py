"""`marginchaind risk recompute`: a printed margin, computed again from its own printed inputs."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from chain._pb.margin.accounts.v1 import query_pb2
from chain.cli.risk_documents import InvalidDocument
from chain.cli.session import get_session
from chain.client.errors import InvalidField
from chain.client.json_text import load_json
from chain.client.registry import from_json
from chain.errors import ChainError
from chain.modules.accounts.recompute import recompute_explanation

SIZE_MAX: Final = 1 << 24
_QUERY: Final = "/margin.accounts.v1.Query/Margin"


def _read(path: Path) -> Any:
    """The JSON of a file, of which no more than the bound is read; raises InvalidDocument."""
    with path.open("rb") as file:
        data = file.read(SIZE_MAX + 1)
    if len(data) > SIZE_MAX:
        raise InvalidDocument(f"{path.name}: larger than {SIZE_MAX} bytes")
    try:
        return load_json(data.decode())
    except ValueError as error:
        raise InvalidDocument(f"{path.name}: no JSON: {error}") from error


def read_explanation(path: Path) -> query_pb2.MarginExplanation:
    """The explanation in a file: bare, or under `margin` as queries answer it."""
    document = _read(path)
    if isinstance(document, dict) and isinstance(document.get("margin"), dict):
        document = document["margin"]
    if not isinstance(document, dict):
        raise InvalidDocument(f"{path.name}: must be an object, as `query accounts margin` prints")
    explanation = query_pb2.MarginExplanation()
    try:
        from_json(document, explanation)
    except InvalidField as error:
        raise InvalidDocument(f"{path.name}: {error.detail}") from error
    return explanation


def find_differences(explanation: query_pb2.MarginExplanation) -> list[str]:
    """Every figure that does not follow from the inputs; raises InvalidDocument when some of these
    are missing or no figures at all.
    """
    try:
        return recompute_explanation(explanation)
    except (ArithmeticError, AssertionError, LookupError, ValueError, ChainError) as error:
        raise InvalidDocument(f"the explanation's inputs are incomplete: {error!r}") from error


def recompute(
    ctx: typer.Context,
    explanation: Annotated[
        Path | None,
        typer.Argument(exists=True, dir_okay=False, help="JSON of a margin query; else the node."),
    ] = None,
    owner: Annotated[str, typer.Option("--owner", help="Ask the node for this account.")] = "",
    number: Annotated[int, typer.Option("--number", min=0, help="Number of the account.")] = 0,
) -> None:
    """Compute a printed margin again from its printed inputs; exit code 1 on any difference."""
    session = get_session(ctx)
    if (explanation is None) == (not owner):
        raise InvalidDocument("name either a file or --owner, and not both")
    if explanation is not None:
        found = read_explanation(explanation)
    else:
        request = query_pb2.QueryMarginRequest(owner=owner, number=number)
        with session.connect() as client:
            answer = client.query_any(_QUERY, request)
        found = query_pb2.QueryMarginResponse.FromString(answer.SerializeToString()).margin
    differences = find_differences(found)
    session.show({"is_equal": not differences, "differences": differences})
    if differences:
        raise typer.Exit(1)
