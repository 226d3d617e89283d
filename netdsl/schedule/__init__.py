"""From a graph of primitives to an ordered list of calls over buffers, and a static plan of their memory."""

from netdsl.schedule.memory_plan import Lifetime, MemoryPlan, aligned, check_plan, plan_memory
from netdsl.schedule.order import execution_order
from netdsl.schedule.schedule import Buffer, Call, Schedule, make_schedule
from netdsl.schedule.view import Accepts, Layout, Side, View, dense_strides, takes_dense

__all__ = [
    "Accepts",
    "Buffer",
    "Call",
    "Layout",
    "Lifetime",
    "MemoryPlan",
    "Schedule",
    "Side",
    "View",
    "aligned",
    "check_plan",
    "dense_strides",
    "execution_order",
    "make_schedule",
    "plan_memory",
    "takes_dense",
]
