"""A state dict that PyTorch wrote as the weights to start from: the same outputs as PyTorch's network."""

import numpy as np
import pytest

import netdsl
from netdsl.elaborate import elaborate
from netdsl.runtime.weight_file import open_weights
from netdsl.source import NetError, Source
from netdsl.train import Trainer, restored_program

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

TEXT = """
net Twin {
  input x: [9, 8, 3]
  output logits = x -> conv(6, 3, pad = 1, bias = false) -> batch_norm -> relu
    -> conv_transpose(4, 2, stride = 2) -> conv(8, 3, groups = 2) -> relu -> max_pool(2)
    -> flatten -> dense(16) -> relu -> dense(16) -> prelu -> dense(4)
}
train { loss = cross_entropy(logits, label) }
"""


def model():
    nn = torch.nn
    torch.manual_seed(0)
    made = nn.Sequential(
        *(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU()),
        *(nn.ConvTranspose2d(6, 4, 2, 2), nn.Conv2d(4, 8, 3, groups=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(448, 16), nn.ReLU(), nn.Linear(16, 16), nn.PReLU(16), nn.Linear(16, 4)),
    )
    for _ in range(3):  # running statistics of its own
        made(torch.randn(8, 3, 9, 8))
    return made.eval()


@pytest.mark.parametrize("form", ["state dict", "checkpoint", "parameters", "half", "module.", "safetensors"])
def test_outputs_are_those_of_pytorch(tmp_path, form):
    made = model()
    state = made.half().float().state_dict() if form == "half" else made.state_dict()
    path = tmp_path / "w.pth"
    setting = '"w.pth"'
    if form == "checkpoint":
        optimizer = torch.optim.Adam(made.parameters())
        torch.save({"epoch": 3, "state_dict": state, "optimizer": optimizer.state_dict(), "lr": 0.1}, path)
    elif form == "parameters":
        buffers = dict(made.named_buffers())
        torch.save({**dict(made.named_parameters()), **buffers}, path)
    elif form == "half":
        torch.save({n: a.half() if a.is_floating_point() else a for n, a in state.items()}, path)
    elif form == "module.":
        torch.save({f"module.{n}": a for n, a in state.items()}, path)
    elif form == "safetensors":
        from safetensors.torch import save_file

        save_file({n: a.contiguous() for n, a in state.items()}, tmp_path / "w.safetensors")
        setting = '"w.safetensors"'
    else:
        torch.save(state, path)
    net = elaborate(Source(str(tmp_path / "t.net"), TEXT), 1, {"train.start": setting})
    trainer = Trainer(net)
    trainer._start()
    x = np.random.default_rng(1).normal(size=(5, 9, 8, 3)).astype(np.float32)
    weights = {n: a for n, a in trainer.program.state_dict().items() if "/" not in n}
    ours = restored_program(net.graph, weights, 5).run({"x": x})["logits"]
    with torch.no_grad():
        theirs = made(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)


def test_bfloat16_and_views_of_larger_tensors(tmp_path):
    whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    state = {"a": whole.T, "b": whole[1:3, ::2], "c": whole.bfloat16(), "n": torch.tensor(3)}
    torch.save(state, tmp_path / "w.pth")
    found = netdsl.load_weights(tmp_path / "w.pth")
    assert list(found) == ["a", "b", "c"]
    for name, array in found.items():
        np.testing.assert_array_equal(array, state[name].float().numpy())
    from safetensors.torch import save_file

    save_file({"c": whole.bfloat16()}, tmp_path / "w.safetensors")
    np.testing.assert_array_equal(netdsl.load_weights(tmp_path / "w.safetensors")["c"], whole.numpy())


def test_a_whole_module_is_code_and_refused(tmp_path):
    torch.save(model(), tmp_path / "m.pth")
    with pytest.raises(NetError, match="holds more than tensors"):
        open_weights(tmp_path / "m.pth")
    torch.save(model().state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(NetError, match="pickle"):
        open_weights(tmp_path / "old.pth")
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "s.pth")
    with pytest.raises(NetError):
        open_weights(tmp_path / "s.pth")
