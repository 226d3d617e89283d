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


def find_target(device: Device = "cpu", **options: Any) -> Target[Any]:
    """The target of a name, or the given one, with options such as `threads`; None leaves an option as it is.

    Raises NetError for a device that is not there, and for an option or a value of one that it does not have.
    """
    if isinstance(device, str):
        if device not in TARGETS:
            near = suggest(device, TARGETS)
            fix = f"did you mean {near}?" if near else f"the devices are {', '.join(TARGETS)}"
            raise NetError(Diagnostic("device", f"no device is called {device}", fix=fix))
        kind = importlib.import_module(TARGETS[device]).TARGET
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
