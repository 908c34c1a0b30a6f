"""A node's own settings: config/app.toml, then MARGINCHAIND_… environment variables, which win.

Nothing here enters consensus. An unknown key or a bad value is refused with file and line. The
sample file `write_default_config` writes carries every key with its default and reason.
"""

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from tomlkit.exceptions import ParseError

from chain.node.abci_wire import GENESIS_BYTES_MAX, REQUEST_BYTES_MAX, AbciAddress

ENV_PREFIX = "MARGINCHAIND_"
CONFIG_PATH = Path("config") / "app.toml"


class ConfigError(ValueError):
    """A settings file that cannot be used; the text names file, line, key and remedy."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _validate_host_port(text: str) -> str:
    host, _, port = text.rpartition(":")
    if text and not (host and port.isdecimal() and int(port) < 65536):
        raise ValueError(f"{text!r} is not host:port; empty turns the service off")
    return text


class AbciSettings(_Section):
    """[abci]: the socket that CometBFT's proxy_app names."""

    address: str = "tcp://127.0.0.1:26658"
    """Where to listen: unix:///absolute/path or tcp://host:port."""
    request_bytes_max: Annotated[int, Field(ge=1 << 20, le=GENESIS_BYTES_MAX)] = REQUEST_BYTES_MAX
    """Largest request accepted, InitChain apart; above CometBFT's 100 MiB block bound."""
    call_log: str = ""
    """A file that records each call as a JSON line, for grammar tests; empty for none."""

    @field_validator("address")
    @classmethod
    def _check_address(cls, text: str) -> str:
        AbciAddress.parse(text)
        return text


class GrpcSettings(_Section):
    """[grpc]: the gRPC services."""

    address: str = "127.0.0.1:9090"
    """host:port to listen on; empty turns gRPC off."""
    workers: Annotated[int, Field(ge=1, le=64)] = 4
    """Threads that answer queries; they share the interpreter with consensus."""

    _check_address = field_validator("address")(_validate_host_port)


class RestSettings(_Section):
    """[rest]: the REST gateway explorers call."""

    address: str = "127.0.0.1:1317"
    """host:port to listen on; empty turns REST off."""
    allowed_origins: list[str] = []
    """Web pages that may call it from a browser, as https://host; "*" lets every page."""

    _check_address = field_validator("address")(_validate_host_port)


class MetricsSettings(_Section):
    """[metrics]: Prometheus figures of the application (CometBFT has its own)."""

    address: str = "127.0.0.1:26661"
    """host:port to listen on; empty turns metrics off."""

    _check_address = field_validator("address")(_validate_host_port)


class CometBFTSettings(_Section):
    """[cometbft]: the CometBFT node beside this application."""

    rpc: str = "http://127.0.0.1:26657"
    """Its RPC, for broadcasting transactions and asking for blocks."""


class FeedSettings(_Section):
    """[feed]: the price feed a hub validator extends its votes with."""

    source: str = ""
    """A file path or an http(s) URL; empty means this validator has no prices to offer."""
    timeout_ms: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Longest wait for the feed; a vote is never held back longer than this."""


class StoreSettings(_Section):
    """[store]: how much history is kept."""

    retain_versions: Annotated[int, Field(ge=1)] = 1000
    """Versions kept for queries and proofs; older ones are pruned in the background."""
    retain_blocks: Annotated[int, Field(ge=0)] = 0
    """Blocks CometBFT keeps; 0 keeps all. Relayers and new nodes need the trusting period's."""
    snapshot_interval: Annotated[int, Field(ge=0)] = 0
    """Blocks between state-sync snapshots; 0 takes none."""
    snapshot_keep: Annotated[int, Field(ge=1)] = 2
    """Snapshots kept."""
    cache_nodes: Annotated[int, Field(ge=1000)] = 200_000
    """Tree nodes held in memory."""


class MempoolSettings(_Section):
    """[mempool]: what this node asks of transactions before it forwards them."""

    minimum_gas_prices: str = "0umargin"
    """Lowest price a unit of gas, as amount and denom; consensus does not ask for it."""

    @field_validator("minimum_gas_prices")
    @classmethod
    def _check_price(cls, text: str) -> str:
        if not re.fullmatch(r"\d+(\.\d{1,18})?[a-z][a-z0-9/]{2,127}", text):
            raise ValueError(f"{text!r} is not an amount and a denom, like 0.001umargin")
        return text


class LogSettings(_Section):
    """[log]: what the process says on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity printed."""
    format: Literal["console", "json"] = "console"
    """console for people, json for collectors."""


class NodeConfig(BaseSettings):
    """All settings of one node."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )
    _toml_file: ClassVar[Path | None] = None

    chain: Literal["hub", "spoke"] = "hub"
    """Which state machine this node runs: the margin hub or a collateral chain."""
    halt_height: Annotated[int, Field(ge=0)] = 0
    """Stop after committing this height, for a migration; 0 never."""
    abci: AbciSettings = AbciSettings()
    grpc: GrpcSettings = GrpcSettings()
    rest: RestSettings = RestSettings()
    metrics: MetricsSettings = MetricsSettings()
    cometbft: CometBFTSettings = CometBFTSettings()
    feed: FeedSettings = FeedSettings()
    store: StoreSettings = StoreSettings()
    mempool: MempoolSettings = MempoolSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over file; no other source."""
        del init_settings, dotenv_settings, file_secret_settings
        return env_settings, TomlConfigSettingsSource(settings_cls, cls._toml_file)


def load_config(home: Path) -> NodeConfig:
    """The settings of a home; raises ConfigError with file:line for a missing or bad file."""
    return load_config_file(home / CONFIG_PATH)


def load_config_file(path: Path) -> NodeConfig:
    """As `load_config`, for one file."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; `marginchaind init` writes one") from error
    try:
        tomlkit.parse(text)
    except ParseError as error:
        raise ConfigError(f"{path}:{error.line}: not TOML: {error}") from error
    settings: type[NodeConfig] = type("_FileConfig", (NodeConfig,), {"_toml_file": path})
    try:
        return settings()
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(path, text, e) for e in error.errors())) from error


def _explain(path: Path, text: str, error: Any) -> str:
    """One refused key as `file:line: key: reason`, or by the variable of the environment."""
    location = tuple(str(part) for part in error["loc"])
    key = ".".join(location)
    reason = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        reason = "unknown key; remove it (the sample config lists every key)"
    line = _find_line(text, location)
    if line is None:
        return f"{ENV_PREFIX}{'__'.join(location).upper()}: {key}: {reason}"
    return f"{path}:{line}: {key}: {reason}"


def _find_line(text: str, location: tuple[str, ...]) -> int | None:
    """The line of a key or section header in the file, or None when the file has none."""
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if header := re.fullmatch(r"\[+\s*([\w.\"'-]+)\s*\]+\s*(#.*)?", stripped):
            section = header[1].strip("\"'")
            if location == (section,):
                return number
        elif pair := re.match(r"([\w.\"'-]+)\s*=", stripped):
            name = pair[1].strip("\"'")
            if ".".join(location) == (f"{section}.{name}" if section else name):
                return number
    return None


def write_default_config(path: Path, overrides: dict[str, Any] | None = None) -> None:
    """Write app.toml with every key, its meaning and default; overrides nest as the sections do.

    The result is read back, so a bad override raises ConfigError and leaves no file.
    """
    rest = dict(overrides or {})
    document = tomlkit.document()
    document.add(tomlkit.comment("Settings of this node alone; none of them enters consensus."))
    document.add(tomlkit.comment(f"Environment variables win: {ENV_PREFIX}GRPC__ADDRESS, …"))
    sections = []
    for name, info in NodeConfig.model_fields.items():
        if isinstance(info.default, _Section):
            sections.append((name, info.default))
        else:
            _add_key(document, name, info, rest.pop(name, info.default))
    for name, section in sections:
        table = tomlkit.table()
        summary = (type(section).__doc__ or "").split(": ", 1)[1]
        table.add(tomlkit.comment(summary[0].upper() + summary[1:]))
        given = dict(rest.pop(name, {}))
        for key, info in type(section).model_fields.items():
            _add_key(table, key, info, given.pop(key, info.default))
        for key, value in given.items():
            table.add(key, value)  # Unknown: refused below, by the one reader.
        document.add(tomlkit.nl())
        document.add(name, table)
    for key, value in rest.items():
        document.add(key, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.write_text(tomlkit.dumps(document), encoding="utf-8")
    try:
        load_config_file(draft)
    except ConfigError:
        draft.unlink()
        raise
    draft.replace(path)


def _add_key(table: Any, name: str, info: Any, value: object) -> None:
    default = tomlkit.item(info.default).as_string()
    table.add(tomlkit.comment(f"{info.description} [Default: {default}]"))
    table.add(name, value)
