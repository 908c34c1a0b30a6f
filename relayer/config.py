"""The relayer's configuration: one TOML file, checked strictly, every default stated.

Written in the vocabulary operators know from Hermes; unknown keys are refused with file and line.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError

DEFAULT_HOME = Path("~/.mrelay")


class ConfigError(Exception):
    """A configuration that cannot be used; its text names file, line, rule and remedy."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TelemetrySection(_Section):
    """Where Prometheus reads the metrics."""

    enabled: Annotated[bool, Field(description="Serve metrics.")] = True
    host: Annotated[str, Field(description="Address of the metrics server.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535, description="Port of the metrics server.")] = 3001


class GlobalSection(_Section):
    """What concerns the whole process."""

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="Least severe line logged.")
    ] = "info"


class ChainSection(_Section):
    """One chain and how the relayer reaches and pays it."""

    id: Annotated[str, Field(description="Chain id.")]
    rpc_addrs: Annotated[
        tuple[str, ...], Field(min_length=1, description="CometBFT RPC URLs, best first.")
    ]
    account_prefix: Annotated[str, Field(description="bech32 prefix.")] = "margin"
    key_name: Annotated[str, Field(description="Key that pays the fees.")] = "relayer"
    store_prefix: Annotated[str, Field(description="Store that holds IBC state.")] = "ibc"
    gas_price_micro: Annotated[
        int, Field(ge=0, description="Price of a unit of gas, in millionths of a fee unit.")
    ] = 1_000
    fee_denom: Annotated[str, Field(description="Denom of the fees.")] = "umargin"
    fee_budget_per_hour: Annotated[
        int, Field(ge=0, description="Most fees spent in an hour, atomic units; 0: no limit.")
    ] = 0
    gas_multiplier_percent: Annotated[
        int, Field(ge=100, le=500, description="Gas limit over the simulated gas, in percent.")
    ] = 140
    max_gas: Annotated[int, Field(gt=0, description="Highest gas limit of a transaction.")] = (
        20_000_000
    )
    max_msg_num: Annotated[int, Field(ge=2, le=100, description="Messages in one transaction.")] = (
        30
    )
    rpc_timeout_s: Annotated[int, Field(gt=0, description="Longest wait for one call.")] = 10
    poll_interval_ms: Annotated[
        int, Field(ge=50, description="Longest pause between two looks at the chain.")
    ] = 500
    use_websocket: Annotated[bool, Field(description="Let new-block events shorten the pause.")] = (
        True
    )
    clock_drift_s: Annotated[
        int, Field(ge=0, description="Clock drift put into clients of this chain.")
    ] = 10
    trusting_period_s: Annotated[
        int, Field(gt=0, description="Trusting period put into clients of this chain.")
    ] = 14 * 86_400
    unbonding_period_s: Annotated[
        int, Field(gt=0, description="Unbonding period put into clients of this chain.")
    ] = 21 * 86_400
    trust_threshold_numerator: Annotated[int, Field(gt=0, description="Trust level, above.")] = 1
    trust_threshold_denominator: Annotated[int, Field(gt=0, description="Trust level, below.")] = 3


class PathSection(_Section):
    """One channel between two chains; ids are filled in by `mrelay link`."""

    name: Annotated[str, Field(description="Name of the path.")]
    a_chain: Annotated[str, Field(description="Chain id of side a.")]
    b_chain: Annotated[str, Field(description="Chain id of side b.")]
    a_port: Annotated[str, Field(description="Port on side a.")] = "margin"
    b_port: Annotated[str, Field(description="Port on side b.")] = "margin"
    version: Annotated[str, Field(description="Channel version.")] = "margin-1"
    ordering: Annotated[Literal["unordered", "ordered"], Field(description="Channel order.")] = (
        "unordered"
    )
    a_client: Annotated[str, Field(description="Client of b on a.")] = ""
    b_client: Annotated[str, Field(description="Client of a on b.")] = ""
    a_connection: Annotated[str, Field(description="Connection end on a.")] = ""
    b_connection: Annotated[str, Field(description="Connection end on b.")] = ""
    a_channel: Annotated[str, Field(description="Channel end on a.")] = ""
    b_channel: Annotated[str, Field(description="Channel end on b.")] = ""
    heartbeat_s: Annotated[
        int,
        Field(ge=0, description="Update both clients at least this often; 0: only to keep alive."),
    ] = 10
    clear_interval_blocks: Annotated[
        int,
        Field(
            ge=0, description="Read commitments from state every so many blocks; 0: at start only."
        ),
    ] = 20
    data_bytes_max: Annotated[
        int, Field(gt=0, description="Larger packets are skipped and counted.")
    ] = 65_536

    @property
    def is_linked(self) -> bool:
        """Whether all six ids are known."""
        return all(
            (
                self.a_client,
                self.b_client,
                self.a_connection,
                self.b_connection,
                self.a_channel,
                self.b_channel,
            )
        )


class Config(_Section):
    """The whole file."""

    general: GlobalSection = Field(default_factory=GlobalSection, alias="global")
    telemetry: TelemetrySection = Field(default_factory=TelemetrySection)
    chains: tuple[ChainSection, ...] = ()
    paths: tuple[PathSection, ...] = ()

    def get_chain(self, chain_id: str) -> ChainSection:
        """The section of a chain; raises ConfigError when there is none."""
        for chain in self.chains:
            if chain.id == chain_id:
                return chain
        known = ", ".join(chain.id for chain in self.chains) or "none"
        raise ConfigError(f"no [[chains]] entry has id {chain_id!r}; known: {known}")

    def get_path(self, name: str) -> PathSection:
        """The section of a path; raises ConfigError when there is none."""
        for path in self.paths:
            if path.name == name:
                return path
        known = ", ".join(path.name for path in self.paths) or "none"
        raise ConfigError(f"no [[paths]] entry has name {name!r}; known: {known}")


def find_line(text: str, location: tuple[int | str, ...]) -> int:
    """The line (from 1) of a TOML text that a validation location points at."""
    lines = text.splitlines()
    start = 0
    if len(location) > 1 and isinstance(location[1], int):
        headers = [n for n, line in enumerate(lines) if line.strip() == f"[[{location[0]}]]"]
        if location[1] < len(headers):
            start = headers[location[1]]
    elif len(location) > 1:
        start = next((n for n, line in enumerate(lines) if line.strip() == f"[{location[0]}]"), 0)
    key = str(location[-1])
    for number in range(start, len(lines)):
        if lines[number].split("=")[0].strip() in (key, f"[{key}]", f"[[{key}]]"):
            return number + 1
    return start + 1


def load_config(path: Path) -> Config:
    """The checked configuration; raises ConfigError with `file:line: rule` for the first fault."""
    try:
        text = path.read_text()
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; write one with `mrelay config init`"
        ) from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    try:
        config = Config.model_validate(document)
    except ValidationError as error:
        fault = error.errors()[0]
        line = find_line(text, fault["loc"])
        where = ".".join(str(part) for part in fault["loc"])
        raise ConfigError(f"{path}:{line}: {where}: {fault['msg']}") from error
    for section in config.paths:
        for chain_id in (section.a_chain, section.b_chain):
            config.get_chain(chain_id)
    return config


def record_link(path: Path, name: str, ids: dict[str, str]) -> None:
    """Write the ids of a linked path into the file, keeping its comments."""
    document = tomlkit.parse(path.read_text())
    for section in document["paths"]:
        if section["name"] == name:
            for key, value in ids.items():
                section[key] = value
    staged = path.with_suffix(".new")
    staged.write_text(tomlkit.dumps(document))
    staged.replace(path)


def write_sample(path: Path) -> None:
    """Write a sample file that states every default; raises ConfigError when a file is there."""
    if path.exists():
        raise ConfigError(f"{path} exists; remove it first")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_sample())


def render_sample() -> str:
    """The sample configuration: every key with its meaning and default."""
    sections: tuple[tuple[str, type[_Section], dict[str, str]], ...] = (
        ("[global]", GlobalSection, {}),
        ("[telemetry]", TelemetrySection, {}),
        (
            "[[chains]]",
            ChainSection,
            {
                "id": '"hub-1"',
                "rpc_addrs": '["http://127.0.0.1:26657"]',
            },
        ),
        (
            "[[chains]]",
            ChainSection,
            {
                "id": '"alpha-1"',
                "rpc_addrs": '["http://127.0.0.1:26757"]',
            },
        ),
        (
            "[[paths]]",
            PathSection,
            {"name": '"hub-alpha"', "a_chain": '"hub-1"', "b_chain": '"alpha-1"'},
        ),
    )
    lines = []
    for header, section, values in sections:
        lines.append(header)
        for name, field in section.model_fields.items():
            default = values.get(name) or tomlkit.item(field.default).as_string()
            required = " (required)" if field.is_required() else f" [Default: {default}]"
            lines.append(f"# {field.description}{required}")
            lines.append(f"{name} = {default}")
        lines.append("")
    return "\n".join(lines)
