"""EchoSkill in Python: the same interface as skills/echo, from the same WIT. Asks for no capability."""

import json
from typing import Any, Callable

from componentize_py_types import Err
from wit_world.exports import Api as ApiBase
from wit_world.exports.api import Description, Method
from wit_world.imports import progress
from wit_world.imports.errors import Error_Cancelled, Error_InvalidParams, Error_UnknownMethod


def say(text: str, times: int = 1) -> str:
    """Returns `text`, repeated."""
    return text * times


def count(to: int) -> int:
    """Counts up, reporting progress and sending each number as a partial result."""
    for number in range(1, to + 1):
        if progress.cancelled():
            raise Err(Error_Cancelled())
        progress.emit(json.dumps(number))
        progress.report(number, to, "counting")
    return to


METHODS: dict[str, Callable[..., Any]] = {"say": say, "count": count}

# JSON type and Python type of each parameter, and its default where it has one.
PARAMS: dict[str, dict[str, tuple[str, type, Any]]] = {
    "say": {"text": ("string", str, None), "times": ("integer", int, 1)},
    "count": {"to": ("integer", int, None)},
}


def schema(method: str) -> str:
    properties: dict[str, Any] = {}
    required = []
    for name, (json_type, _, default) in PARAMS[method].items():
        properties[name] = {"type": json_type}
        if default is None:
            required.append(name)
        else:
            properties[name]["default"] = default
    return json.dumps(
        {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    )


def checked(method: str, text: str) -> dict[str, Any]:
    """The parameters as keyword arguments; refuses what the method does not take."""

    def refuse(why: str) -> Err:
        return Err(Error_InvalidParams(why))

    try:
        given = json.loads(text)
    except ValueError as error:
        raise refuse(f"the parameters must be one JSON object: {error}") from None
    if not isinstance(given, dict):
        raise refuse("the parameters must be one JSON object")
    known = PARAMS[method]
    for name, value in given.items():
        if name not in known:
            raise refuse(f"unknown parameter `{name}`; known: {', '.join(known)}")
        json_type, python_type, _ = known[name]
        if type(value) is not python_type or (python_type is int and value < 0):
            raise refuse(f"parameter `{name}`: expected {json_type}, got {json.dumps(value)[:80]}")
    for name, (_, _, default) in known.items():
        if name not in given and default is None:
            raise refuse(f"parameter `{name}` is missing")
    return given


class Api(ApiBase):
    def describe(self) -> Description:
        methods = [
            Method(name=name, summary=function.__doc__ or "", params_schema=schema(name), result_schema="")
            for name, function in METHODS.items()
        ]
        return Description(name="EchoSkill", summary="Says things back, in Python.", methods=methods)

    def invoke(self, method: str, params: str) -> str:
        function = METHODS.get(method)
        if function is None:
            raise Err(Error_UnknownMethod(method))
        return json.dumps(function(**checked(method, params)))
