"""Query strings and bodies as structs: strict, and every fault by the name of its field."""

from __future__ import annotations

import enum
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
_QUOTED: Final = re.compile(r"`([\w |]+)`")
_MOST_SAID: Final = 20  # faults of one body that are told
_KINDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "null": "null",
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
        wrong = _faults(types[name], value, name)
        if wrong:
            errors.update(wrong)
        else:
            values[name] = msgspec.convert(value, types[name])
    errors = dict(list(errors.items())[:_MOST_SAID])
    return _made(shape, values, errors, "BAD_BODY", "The body does not hold what is asked for here.")


def sentence(message: str, kind: Any = None) -> tuple[str, str]:
    """What msgspec says of a value: the path to it below its field, and a sentence that does not show it."""
    found = _AT.search(message)
    where = found.group(1) if found else ""
    plain = _AT.sub("", message)
    inner = _item(kind) if where.startswith("[") and kind is not None else kind
    if plain.startswith("Invalid enum value"):
        plain = f"Expected one of: {', '.join(_options(inner))}"
    elif "matching regex" in plain:
        plain = _form(inner)
    plain = _QUOTED.sub(
        lambda words: " or ".join(_KINDS.get(one, one) for one in words[1].split(" | ")), plain
    )
    return where, plain.rstrip(".") + "."


def _faults(kind: Any, value: Any, where: str) -> dict[str, str]:
    """Everything that is wrong with a value of JSON, by its place: of objects and lists, each part for itself."""
    bare = _bare(kind)
    found: dict[str, str] = {}
    if isinstance(value, list) and _is_list(kind):
        for at, one in enumerate(value):
            if len(found) < _MOST_SAID:
                found.update(_faults(_item(kind), one, f"{where}[{at}]"))
    elif isinstance(value, dict) and isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        types = {field.encode_name: field.type for field in msgspec.structs.fields(bare)}
        for name, one in value.items():
            if name in types:
                found.update(_faults(types[name], one, f"{where}.{name}"))
            elif bare.__struct_config__.forbid_unknown_fields:
                found[f"{where}.{name[:60]}"] = _unknown(types)
        for field in msgspec.structs.fields(bare):
            if field.required and field.encode_name not in value:
                found[f"{where}.{field.encode_name}"] = "Missing."
    if not found:
        try:
            msgspec.convert(value, kind)
        except (msgspec.ValidationError, RecursionError) as error:
            inside, said = sentence(str(error), kind)
            found[where + inside] = said
    return found


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
    """The words that a type of words has."""
    bare = _bare(kind)
    if isinstance(bare, type) and issubclass(bare, enum.Enum):
        return [str(one.value) for one in bare]
    return [str(one) for one in typing.get_args(bare)]


def _form(kind: Any) -> str:
    """What a text of a certain form looks like: by its examples, else by its description."""
    notes = [one for part in _parts(kind) for one in getattr(part, "__metadata__", ())]
    examples = [str(one) for note in notes for one in note.examples or ()]
    described = [note.description for note in notes if note.description]
    if examples:
        return f"Expected text like {' or '.join(examples)}"
    return f"Expected: {described[0]}" if described else "Expected text of another form"


def _parts(kind: Any) -> list[Any]:
    """A type and those that it is made of, as far as notes on its form may stand there."""
    origin = typing.get_origin(kind)
    inner = typing.get_args(kind) if origin in (typing.Union, UnionType) else ()
    inner = typing.get_args(kind)[:1] if origin is typing.Annotated else inner
    return [kind, *(one for part in inner for one in _parts(part))]
