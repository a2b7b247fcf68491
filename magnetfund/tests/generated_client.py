"""A client generated from the house's own OpenAPI schema: its calls, and a class for each answer.

It is strict where a code generator is silent: an object without named fields, a field that the
schema does not name, one that it requires and that is missing, or another kind of value raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, make_dataclass
from functools import cached_property
from typing import Any

Send = Callable[[str, str, Any], tuple[int, Any]]
KINDS: Mapping[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "boolean": (bool,),
}


class SchemaBroken(AssertionError):
    """What came is not what the schema says."""


class GeneratedClient:
    """Calls by ``operationId``; ``send`` takes method, path and body, answers status and JSON."""

    def __init__(self, schema: Mapping[str, Any], send: Send) -> None:
        self._components: Mapping[str, Any] = schema["components"]["schemas"]
        self._paths: Mapping[str, Any] = schema["paths"]
        self._send = send

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in self._operations:
            raise AttributeError(name)
        method, path, operation = self._operations[name]

        def call(body: Any = None, **of_path: Any) -> Any:
            status, plain = self._send(method, path.format(**of_path), body)
            if str(status) not in operation["responses"]:
                raise SchemaBroken(f"{name} answered {status}: {plain}")
            content = operation["responses"][str(status)]["content"]["application/json"]
            return self._read(content["schema"], plain, name)

        return call

    @cached_property
    def _operations(self) -> dict[str, tuple[str, str, Any]]:
        return {
            operation["operationId"]: (method, path, operation)
            for path, methods in self._paths.items()
            for method, operation in methods.items()
        }

    def _read(self, schema: Mapping[str, Any], value: Any, where: str) -> Any:
        """The value as the schema names it; raises :class:`SchemaBroken`."""
        if value is None and schema.get("nullable"):
            return None
        parts = schema.get("allOf") or schema.get("oneOf")
        if parts:
            return self._read_one_of(parts, value, where)
        name = "Answer"
        while "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            schema = self._components[name]
        if "enum" in schema and value not in schema["enum"]:
            raise SchemaBroken(f"{where}: {value!r} is none of {schema['enum']}")
        kind = schema.get("type")
        if kind == "array" and isinstance(value, list):
            return [self._read(schema["items"], item, f"{where}[]") for item in value]
        if kind == "object" and isinstance(value, dict):
            return self._read_object(name, schema, value, where)
        if kind not in KINDS or not isinstance(value, KINDS[kind]):
            raise SchemaBroken(f"{where}: {value!r} is no {kind}")
        if isinstance(value, bool) != (kind == "boolean"):
            raise SchemaBroken(f"{where}: {value!r} is no {kind}")
        return value

    def _read_one_of(self, parts: list[Mapping[str, Any]], value: Any, where: str) -> Any:
        reasons = []
        for part in parts:
            try:
                return self._read(part, value, where)
            except SchemaBroken as reason:
                reasons.append(str(reason))
        raise SchemaBroken("; ".join(reasons))

    def _read_object(
        self, name: str, schema: Mapping[str, Any], value: dict[str, Any], where: str
    ) -> Any:
        fields = schema.get("properties")
        if fields is None:
            entry = schema.get("additionalProperties")
            if not entry:
                raise SchemaBroken(f"{where}: an object without named fields")
            return {key: self._read(entry, item, f"{where}.*") for key, item in value.items()}
        missing = set(schema.get("required", ())) - value.keys()
        if missing or value.keys() - fields.keys():
            raise SchemaBroken(
                f"{where}: missing {sorted(missing)}, unknown {sorted(value.keys() - fields)}"
            )
        kind = make_dataclass(name, [(key, Any, field(default=None)) for key in fields])
        return kind(
            **{key: self._read(fields[key], item, f"{where}.{key}") for key, item in value.items()}
        )
