"""`marginchaind tx` and `marginchaind query`: one command for every Msg and every query method.

The commands are made from the protobuf descriptors when they are asked for, so every module of the
chain is there with all its fields and nothing is listed twice.
"""

import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from typer.core import TyperGroup

from chain.cli.fields import PAGE_REQUEST, build_message, describe_type, option_name
from chain.cli.sending import SendOptions, send_messages
from chain.cli.session import ENV_CHAIN_ID, get_session
from chain.client.errors import InvalidField
from chain.client.json_text import load_json
from chain.client.registry import (
    MethodInfo,
    any_from_json,
    get_query_methods,
    get_transaction_methods,
    to_json,
    unpack_any,
)
from chain.node.node import CHAINS

PAGE_ROWS: Final = 100
_FIELD = "field_"

FromOption = Annotated[
    str, typer.Option("--from", help="Key that signs: name or address in the keyring.")
]
ChainIdOption = Annotated[
    str | None, typer.Option("--chain-id", envvar=ENV_CHAIN_ID, help="Else the node is asked.")
]
FeesOption = Annotated[
    str | None, typer.Option("--fees", help="Fee, e.g. 5000umargin; else the node's least price.")
]
GasOption = Annotated[str, typer.Option("--gas", help="Gas limit, or auto: simulate first.")]
MemoOption = Annotated[
    str, typer.Option("--memo", "--note", help="Text kept with the transaction.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before sending.")]
ModeOption = Annotated[
    str, typer.Option("--broadcast-mode", "-b", help="sync; kept for habit.", hidden=True)
]
WaitOption = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the block.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", help="Seconds to wait for the block.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Simulate: show gas and what it would do, send nothing.")
]


def get_signer_fields() -> dict[str, str]:
    """Full message name → the top-level field that names its signer, over all chains."""
    return {
        route.request.DESCRIPTOR.full_name: route.signer_field
        for definition in CHAINS.values()
        for module in definition.modules
        for route in module.messages
        if "." not in route.signer_field
    }


class MethodGroup(TyperGroup):
    """A command group of the methods of one module; subclasses say what a method's command does."""

    def get_methods(self) -> Mapping[str, Mapping[str, MethodInfo]]:
        """Module → name → method."""
        raise NotImplementedError

    def build_command(self, info: MethodInfo) -> Callable[..., None]:
        """The function behind a method's command."""
        raise NotImplementedError

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the own commands, then of all modules."""
        return [*super().list_commands(ctx), *self.get_methods()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The own command of the name, or the group of the module."""
        own = super().get_command(ctx, cmd_name)
        methods = self.get_methods().get(cmd_name)
        if own is not None or methods is None:
            return own
        app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
        app.callback()(_no_op)
        for info in methods.values():
            app.command(name=info.name, help=f"{info.path}")(self.build_command(info))
        group = typer.main.get_command(app)
        group.name = cmd_name
        return group


def _no_op() -> None:
    pass


def _field_parameters(info: MethodInfo, taken: set[str]) -> list[inspect.Parameter]:
    """One keyword option a field of the request."""
    parameters = []
    for field in info.request.fields:
        if field.message_type is not None and field.message_type.full_name == PAGE_REQUEST:
            continue
        name = option_name(field)
        if name in taken:
            name = f"--msg{name[1:]}"
        if field.type == FieldDescriptor.TYPE_BOOL:
            annotation: Any = Annotated[
                bool | None, typer.Option(f"{name}/--no-{name[2:]}", help=describe_type(field))
            ]
        elif field.is_repeated:
            annotation = Annotated[list[str] | None, typer.Option(name, help=describe_type(field))]
        else:
            annotation = Annotated[str | None, typer.Option(name, help=describe_type(field))]
        parameters.append(
            inspect.Parameter(
                _FIELD + field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=annotation,
            )
        )
    return parameters


def _with_fields(function: Callable[..., None], info: MethodInfo) -> Callable[..., None]:
    """The function with the request's fields added to its options."""
    signature = inspect.signature(function)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    taken = {
        declaration.split("/")[0]
        for parameter in own
        for metadata in getattr(parameter.annotation, "__metadata__", ())
        for declaration in metadata.param_decls or ()
    } | {"--help"}
    parameters = [*own, *_field_parameters(info, taken)]
    vars(function)["__signature__"] = signature.replace(parameters=parameters)
    function.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return function


def _field_texts(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.removeprefix(_FIELD): value
        for name, value in options.items()
        if name.startswith(_FIELD)
    }


def build_transaction_command(info: MethodInfo) -> Callable[..., None]:
    """The function behind `tx <module> <message>`."""

    def run(
        ctx: typer.Context,
        *,
        from_: FromOption,
        chain_id: ChainIdOption = None,
        fees: FeesOption = None,
        gas: GasOption = "auto",
        memo: MemoOption = "",
        is_confirmed: YesOption = False,
        mode: ModeOption = "sync",
        is_waiting: WaitOption = True,
        timeout_s: TimeoutOption = 30.0,
        is_dry_run: DryRunOption = False,
        **fields: Any,
    ) -> None:
        session = get_session(ctx)
        texts = _field_texts(fields)
        signer_field = get_signer_fields().get(info.request.full_name)
        if signer_field and not texts.get(signer_field):
            texts[signer_field] = session.open_keyring().find(from_).address
        message = build_message(info.request, texts)
        options = SendOptions(
            from_, chain_id, fees, gas, memo, is_confirmed, mode, is_waiting, timeout_s, is_dry_run
        )
        send_messages(session, [message], options)

    return _with_fields(run, info)


def build_query_command(info: MethodInfo) -> Callable[..., None]:
    """The function behind `query <module> <method>`."""
    is_paged = any(
        field.message_type is not None and field.message_type.full_name == PAGE_REQUEST
        for field in info.request.fields
    )

    def run(
        ctx: typer.Context,
        *,
        height: Annotated[
            int | None,
            typer.Option("--height", min=1, help="State after this block; else the last."),
        ] = None,
        page_limit: Annotated[int, typer.Option("--page-limit", min=1, help="Rows.")] = PAGE_ROWS,
        page_key: Annotated[
            str, typer.Option("--page-key", help="next_key of the page before.")
        ] = "",
        is_reverse: Annotated[
            bool, typer.Option("--page-reverse", help="Last rows first.")
        ] = False,
        **fields: Any,
    ) -> None:
        session = get_session(ctx)
        request = build_message(info.request, _field_texts(fields))
        if is_paged:
            set_page(info, request, limit=page_limit, key=page_key, is_reverse=is_reverse)
        with session.connect() as client:
            session.show(to_json(client.query_any(info.path, request, height=height)))

    return _with_fields(run, info)


def set_page(info: MethodInfo, request: Message, *, limit: int, key: str, is_reverse: bool) -> None:
    """Fill the pagination of a list query; raises InvalidField for a key that is not base64."""
    document = {"limit": limit, "reverse": is_reverse} | ({"key": key} if key else {})
    text = json.dumps(document)
    built = build_message(info.request, {"pagination": text})
    request.MergeFrom(built)


class TransactionGroup(MethodGroup):
    """`tx <module> <message>`."""

    def get_methods(self) -> Mapping[str, Mapping[str, MethodInfo]]:
        """All messages."""
        return get_transaction_methods()

    def build_command(self, info: MethodInfo) -> Callable[..., None]:
        """Sign and send the message."""
        return build_transaction_command(info)


class QueryGroup(MethodGroup):
    """`query <module> <method>`."""

    def get_methods(self) -> Mapping[str, Mapping[str, MethodInfo]]:
        """All query methods."""
        return get_query_methods()

    def build_command(self, info: MethodInfo) -> Callable[..., None]:
        """Ask and show."""
        return build_query_command(info)


tx_app = typer.Typer(
    cls=TransactionGroup,
    help="Sign and send a message of any module: tx <module> <message> --field value …",
    no_args_is_help=True,
)
query_app = typer.Typer(
    cls=QueryGroup,
    help="Ask any query of any module: query <module> <method> --field value …",
    no_args_is_help=True,
)


@tx_app.command(name="file")
def send_file(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help='JSON list of messages, each with "@type".')],
    *,
    from_: FromOption,
    chain_id: ChainIdOption = None,
    fees: FeesOption = None,
    gas: GasOption = "auto",
    memo: MemoOption = "",
    is_confirmed: YesOption = False,
    is_waiting: WaitOption = True,
    timeout_s: TimeoutOption = 30.0,
    is_dry_run: DryRunOption = False,
) -> None:
    """Send several messages of a JSON file as one atomic transaction."""
    try:
        documents = load_json(file.read_text())
    except (OSError, ValueError) as error:
        raise InvalidField(f"{file}: {error}") from error
    if not isinstance(documents, list) or not all(isinstance(d, dict) for d in documents):
        raise InvalidField(f'{file}: must hold a JSON list of messages, each with "@type"')
    messages = [unpack_any(any_from_json(document)) for document in documents]
    options = SendOptions(
        from_, chain_id, fees, gas, memo, is_confirmed, "sync", is_waiting, timeout_s, is_dry_run
    )
    send_messages(get_session(ctx), messages, options)


@query_app.command(name="wait-tx")
def wait_tx(
    ctx: typer.Context,
    txhash: Annotated[str, typer.Argument(help="Hash of a transaction.")],
    timeout_s: TimeoutOption = 30.0,
) -> None:
    """Wait until a block holds the transaction and show its result."""
    session = get_session(ctx)
    with session.connect() as client:
        outcome = client.wait(txhash, timeout_s=timeout_s)
    session.show({"txhash": outcome.txhash, "height": str(outcome.height), "code": 0})
