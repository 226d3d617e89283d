"""The devices by name: a target is imported when somebody computes on it."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from netdsl.source import Diagnostic, NetError, suggest

if TYPE_CHECKING:
    from netdsl.backend.target import Target

    Device = str | Target[Any]
    """A device by name, or a target with its options."""
else:
    Device = Any

#: the module of each target, in which `TARGET` is its class
TARGETS: Mapping[str, str] = {
    "cpu": "netdsl.cpu.target",
    "cuda": "netdsl.cuda.target",
    "reference": "netdsl.reference.target",
}

#: what other programs call an NVIDIA GPU; by its letters `gpu` is near to `cpu`
_GPU = ("gpu", "gpus", "nvidia", "card")


def find_target(device: Device = "cpu", **options: Any) -> Target[Any]:
    """The target of a name, or the given one, with options such as `threads`; None leaves an option as it is.

    Raises NetError for a device that is not there, and for an option or a value of one that it does not have.
    """
    if isinstance(device, str):
        name, number = parts(device)
        kind = importlib.import_module(TARGETS[name]).TARGET
        if number is not None:
            options = _numbered(kind, device, number, options)
    elif isinstance(device, importlib.import_module("netdsl.backend.target").Target):
        kind = type(device)
    else:
        text = f"a device is a name or what netdsl.device gives, not a {type(device).__name__}"
        raise NetError(Diagnostic("device", text, fix=f"the devices are {', '.join(TARGETS)}"))
    given = {name: value for name, value in options.items() if value is not None}
    fields = [field.name for field in dataclasses.fields(kind)]
    for name in given:
        if name not in fields:
            has = f"its options are {', '.join(fields)}" if fields else "it has no options"
            raise NetError(Diagnostic("device", f"the device {kind.name} has no option {name}: {has}"))
    found = kind(**given) if isinstance(device, str) else dataclasses.replace(cast(Any, device), **given)
    return cast("Target[Any]", found)


def parts(device: str) -> tuple[str, int | None]:
    """The name of a device and its number: of `cuda:1`, "cuda" and 1.  NetError for what is no name of a device."""
    name, colon, number = device.partition(":")
    if name not in TARGETS:
        near = "cuda" if name.lower() in _GPU else suggest(name, TARGETS)
        fix = f"did you mean {near}{colon}{number}?" if near else f"the devices are {', '.join(TARGETS)}"
        raise NetError(Diagnostic("device", f"no device is called {device}", fix=fix))
    if colon and not (number.isascii() and number.isdecimal() and len(number) < 10):
        text = f"{number!r} in {device} is no number of a device"
        raise NetError(Diagnostic("device", text, fix=f"{name}:0 is the first one, {name}:1 the second"))
    return name, int(number) if colon else None


def _numbered(kind: Any, device: str, number: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with the number of the device, which is the option `index` where there can be several."""
    if "index" not in [field.name for field in dataclasses.fields(kind)]:
        text = f"there is one device {kind.name}, which has no number"
        raise NetError(Diagnostic("device", text, fix=f"leave out :{number}"))
    if options.get("index") is not None:
        text = f"{device} has the number {number}, and index = {options['index']!r} is given too"
        raise NetError(Diagnostic("device", text, fix="leave one of the two out"))
    return {**options, "index": number}
