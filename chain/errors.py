"""The error registry: every refusal the chain can give has a codespace and a code, never reused.

An error's text is its detail (rule, numbers, remedy) followed by the fixed summary of its class, in
the form the Cosmos SDK logs use: `detail: summary`. Only codespace and code enter consensus; texts
do not. Code 1 of every codespace is reserved for "internal", code 0 is success.
"""

from typing import ClassVar, Final

_REGISTRY: dict[tuple[str, int], type["ChainError"]] = {}

INTERNAL_CODESPACE: Final = "sdk"
INTERNAL_CODE: Final = 1
INTERNAL_TEXT: Final = "internal error"
"""What a transaction that met an unexpected exception answers: the same on every node."""


class ChainError(Exception):
    """An expected refusal; subclasses set codespace, code and summary, and are registered.

    Keyword fields keep the numbers of the rule for programs: `error.fields["required"]`.
    """

    codespace: ClassVar[str] = ""
    code: ClassVar[int] = 0
    summary: ClassVar[str] = ""

    def __init__(self, detail: str = "", **fields: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields = fields

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "code" not in cls.__dict__:
            return  # An abstract branch of the tree.
        key = (cls.codespace, cls.code)
        is_complete = bool(cls.codespace and cls.code > 1 and cls.summary)
        assert is_complete, f"{cls.__name__} needs a codespace, a code above 1 and a summary"
        other = _REGISTRY.get(key)
        assert other is None or other.__qualname__ == cls.__qualname__, (
            f"{cls.__name__} reuses {key} of {other}"
        )
        _REGISTRY[key] = cls

    def __str__(self) -> str:
        return f"{self.detail}: {self.summary}" if self.detail else self.summary


def get_registered_errors() -> list[type[ChainError]]:
    """All registered errors, ordered by codespace and code."""
    return [_REGISTRY[key] for key in sorted(_REGISTRY)]
