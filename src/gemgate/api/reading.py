"""Query strings and bodies as structs: strict, and every fault by the name of its field."""

from __future__ import annotations

import math
import re
import typing
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Final, TypeVar

import msgspec
from werkzeug.datastructures import MultiDict

from gemgate.api.problems import Problem

S = TypeVar("S", bound=msgspec.Struct)

_AT: Final = re.compile(r" - at `(?:key in )?\$(.*)`$")
_PLACE: Final = re.compile(r"\[\d+\]")
_KINDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "null": "nothing",
    "array": "a list",
    "object": "an object",
}
_NUMBER: Final = re.compile(r"-?\d+")
_LONGEST: Final = 20  # digits; more are no number of ours, and Python takes long over them


def query(shape: type[S], given: MultiDict[str, str]) -> S:
    """The query string as this struct. Raises Problem 400 BAD_QUERY with each field at fault."""
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    types = {field.encode_name: field.type for field in msgspec.structs.fields(shape)}
    for name, texts in given.lists():
        if name not in types:
            errors[name[:60]] = _unknown(types)
        elif len(texts) > 1 and not _is_list(types[name]):
            errors[name] = "Given more than once."
        else:
            try:
                values[name] = _of_text(types[name], texts)
            except ValueError as error:
                errors[name] = str(error)
    return _made(shape, values, errors, "BAD_QUERY", "The query string does not hold what is asked for here.")


def body(shape: type[S], data: bytes) -> S:
    """The JSON body as this struct. Raises Problem 400: NOT_JSON, BAD_BODY with each field at fault."""
    try:
        found = msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Problem(
            400, "NOT_JSON", "The body is no JSON that can be read.", "Send one JSON object."
        ) from None
    if not isinstance(found, dict):
        raise Problem(400, "BAD_BODY", "The body must be a JSON object.", errors={"": "Expected an object."})
    types = {field.encode_name: field.type for field in msgspec.structs.fields(shape)}
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name, value in found.items():
        if name not in types:
            errors[name[:60]] = _unknown(types)
            continue
        try:
            values[name] = msgspec.convert(value, types[name])
        except (msgspec.ValidationError, RecursionError) as error:
            where, said = sentence(str(error), types[name])
            errors[name + where] = said
    return _made(shape, values, errors, "BAD_BODY", "The body does not hold what is asked for here.")


def sentence(message: str, kind: Any = None) -> tuple[str, str]:
    """What msgspec says of a value: the path to it below its field, and a sentence that does not show it."""
    found = _AT.search(message)
    where = found.group(1) if found else ""
    plain = _AT.sub("", message)
    if plain.startswith("Invalid enum value"):
        options = _options(kind if not where else _item(kind) if _PLACE.fullmatch(where) else None)
        plain = f"Expected one of: {', '.join(options)}" if options else "Expected another of its words"
    plain = re.sub(r"`(\w+)`", lambda word: _KINDS.get(word.group(1), word.group(1)), plain)
    plain = plain.replace(" | ", " or ")
    return where, plain.rstrip(".") + "."


def _made(shape: type[S], values: Mapping[str, Any], errors: dict[str, str], code: str, detail: str) -> S:
    for field in msgspec.structs.fields(shape):
        name = field.encode_name
        if field.required and name not in values and name not in errors:
            errors[name] = "Missing."
    if not errors:
        by_name = {field.encode_name: field.name for field in msgspec.structs.fields(shape)}
        try:
            return shape(**{by_name[name]: value for name, value in values.items()})
        except ValueError as error:  # what a struct asks of its fields together
            errors[""] = sentence(str(error))[1]
    raise Problem(
        400, code, detail, "The document at /api/v1/swagger.json says what each field holds.", errors
    )


def _unknown(known: Mapping[str, Any]) -> str:
    return f"There is no such field; known here: {', '.join(known)}." if known else "No field is known here."


def _of_text(kind: Any, texts: list[str]) -> Any:
    """The value that texts of a query string stand for. Raises ValueError with a sentence."""
    if _is_list(kind):
        item = _item(kind)
        try:
            return msgspec.convert([_scalar(item, text) for text in texts], kind)
        except msgspec.ValidationError as error:
            raise ValueError(sentence(str(error), kind)[1]) from None
    value = _scalar(kind, texts[0])
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ValueError(sentence(str(error), kind)[1]) from None


def _scalar(kind: Any, text: str) -> Any:
    bare = _bare(kind)
    if "\0" in text:
        raise ValueError("Expected text without NUL.")
    if bare is bool:
        if text not in ("true", "false"):
            raise ValueError("Expected true or false.")
        return text == "true"
    if bare is int:
        if not _NUMBER.fullmatch(text) or len(text) > _LONGEST:
            raise ValueError("Expected a whole number.")
        return int(text)
    if bare is float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ValueError("Expected a number.")
        return value
    return text


def _bare(kind: Any) -> Any:
    """The type without its notes and without None."""
    while True:
        origin = typing.get_origin(kind)
        if origin is typing.Annotated:
            kind = typing.get_args(kind)[0]
        elif origin in (typing.Union, UnionType):
            kind = next(one for one in typing.get_args(kind) if one not in (NoneType, msgspec.UnsetType))
        else:
            return kind


def _is_list(kind: Any) -> bool:
    return typing.get_origin(_bare(kind)) in (list, tuple) or _bare(kind) in (list, tuple)


def _item(kind: Any) -> Any:
    """What a list holds."""
    return (typing.get_args(_bare(kind)) or (str,))[0]


def _options(kind: Any) -> list[str]:
    bare = _bare(kind)
    return [str(one) for one in typing.get_args(bare)] if typing.get_origin(bare) is typing.Literal else []
