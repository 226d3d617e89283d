"""Executes PTX on NumPy lanes, with the checks of compute-sanitizer: kernels are tested without a GPU."""

from netdsl.cuda.emulator.errors import (
    BarrierDivergence,
    DataRace,
    EmulatorError,
    Endless,
    HostAccessError,
    InactiveLane,
    KernelFault,
    LaunchError,
    Misaligned,
    OutOfBounds,
    OutOfMemory,
    PTXError,
    ReadOnlyWrite,
    Trap,
    UnfinishedCopy,
    UninitialisedRead,
    UseAfterFree,
)
from netdsl.cuda.emulator.lanes import Statistics
from netdsl.cuda.emulator.launch import Emulator, Kernel, Module
from netdsl.cuda.emulator.memory import DeviceMemory
from netdsl.cuda.emulator.parse import Parameter

__all__ = [
    "BarrierDivergence",
    "DataRace",
    "DeviceMemory",
    "Emulator",
    "EmulatorError",
    "Endless",
    "HostAccessError",
    "InactiveLane",
    "Kernel",
    "KernelFault",
    "LaunchError",
    "Misaligned",
    "Module",
    "OutOfBounds",
    "OutOfMemory",
    "PTXError",
    "Parameter",
    "ReadOnlyWrite",
    "Statistics",
    "Trap",
    "UnfinishedCopy",
    "UninitialisedRead",
    "UseAfterFree",
]
