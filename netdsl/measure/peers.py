"""Other programs that run the same network, exported as ONNX with the same weights."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netdsl.arrays import Array
from netdsl.extras import need
from netdsl.interop.export import inference_model
from netdsl.measure.subject import Subject
from netdsl.source import Diagnostic, NetError, brief

Results = list[Array]
"""The outputs, in the order of the network."""
Runner = Callable[[], Results]
Maker = Callable[[bytes, Mapping[str, Array], int], Runner]


def onnx_of(subject: Subject, peer: str) -> bytes:
    """The network of a prediction as an ONNX model; NetError without the library, and where ONNX lacks an op."""
    need("onnx", "onnx", f"the comparison with {peer}", "peer")
    return bytes(inference_model(subject.ops, subject.program.state_dict()).SerializeToString())


def runner_of(peer: str, subject: Subject, threads: int) -> tuple[Runner, Results]:
    """A peer, ready to run, and what it computes; NetError where it is not installed, or cannot run the network."""
    model = onnx_of(subject, peer)
    try:
        run = PEERS[peer](model, subject.feeds, threads)
        return run, run()
    except NetError:
        raise
    except Exception as error:  # each has its own kinds
        line = brief(str(error).strip().partition("\n")[0], 300)
        raise NetError(Diagnostic("peer", f"{peer} cannot run the network: {line}")) from error


def onnxruntime_peer(model: bytes, feeds: Mapping[str, Array], threads: int) -> Runner:
    """ONNX Runtime on the CPU, as it optimises models by itself."""
    session = _session(model, threads)
    return lambda: list(session.run(None, feeds))


def openvino_peer(model: bytes, feeds: Mapping[str, Array], threads: int) -> Runner:
    """OpenVINO on the CPU in float32, one request at a time."""
    openvino = need("openvino", "openvino", "the comparison", "peer")
    core = openvino.Core()
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = core.compile_model(core.read_model(model), "CPU", options)
    request = compiled.create_infer_request()
    return lambda: list(request.infer(feeds, share_inputs=True).values())


PEERS: Mapping[str, Maker] = {"onnxruntime": onnxruntime_peer, "openvino": openvino_peer}


@dataclass(frozen=True)
class NodeTimes:
    """Mean seconds of a run, and of each node of it by its name."""

    seconds: float
    nodes: Mapping[str, float]


def onnxruntime_nodes(model: bytes, feeds: Mapping[str, Array], threads: int, runs: int) -> NodeTimes:
    """The times that ONNX Runtime's own profiler finds in so many runs, after some that do not count."""
    with tempfile.TemporaryDirectory() as folder:
        session = _session(model, threads, str(Path(folder) / "profile"))
        warm = max(2, runs // 4)
        for _ in range(warm + runs):
            session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return _times(events, warm, runs)


def _times(events: list[dict[str, Any]], warm: int, runs: int) -> NodeTimes:
    """Means of the runs after the first; times are in microseconds."""
    ends = [e["ts"] + e["dur"] for e in events if e.get("name") == "model_run"]
    begin = sorted(ends)[warm - 1]
    nodes: Counter[str] = Counter()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time") and event["ts"] >= begin:
            nodes[event["name"].removesuffix("_kernel_time")] += event["dur"]
    total = sum(e["dur"] for e in events if e.get("name") == "model_run" and e["ts"] >= begin)
    return NodeTimes(1e-6 * total / runs, {name: 1e-6 * us / runs for name, us in nodes.items()})


def _session(model: bytes, threads: int, profile: str | None = None) -> Any:
    runtime = need("onnxruntime", "onnxruntime", "the comparison", "peer")
    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = threads
    if profile is not None:
        settings.enable_profiling, settings.profile_file_prefix = True, profile
    return runtime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
