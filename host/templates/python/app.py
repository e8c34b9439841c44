"""{{name}}: a sandboxed skill."""

import json

from componentize_py_types import Err
from wit_world.exports import Api as ApiBase
from wit_world.exports.api import Description, Method
from wit_world.imports.errors import Error_InvalidParams, Error_UnknownMethod

HELLO = Method(
    name="hello",
    summary="Greets someone.",
    params_schema=json.dumps(
        {
            "type": "object",
            "properties": {"name": {"type": "string", "default": "world", "description": "Whom to greet."}},
            "additionalProperties": False,
        }
    ),
    result_schema=json.dumps({"type": "string"}),
)


def hello(params: dict) -> str:
    name = params.pop("name", "world")
    if params:
        raise Err(Error_InvalidParams(f"unknown parameter `{next(iter(params))}`; known: name"))
    if not isinstance(name, str):
        raise Err(Error_InvalidParams("parameter `name`: expected string"))
    return f"hello, {name}"


class Api(ApiBase):
    def describe(self) -> Description:
        return Description(name="{{name}}", summary="Says hello.", methods=[HELLO])

    def invoke(self, method: str, params: str) -> str:
        if method != "hello":
            raise Err(Error_UnknownMethod(method))
        given = json.loads(params)
        if not isinstance(given, dict):
            raise Err(Error_InvalidParams("the parameters must be one JSON object"))
        return json.dumps(hello(given))
