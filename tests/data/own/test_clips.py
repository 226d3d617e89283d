"""`wav(...)`: sounds as SciPy reads and resamples them."""

import contextlib
import json
import struct
from fractions import Fraction

import numpy as np
import pytest
from scipy.io import wavfile
from scipy.signal import resample_poly

from netdsl.cli.main import main
from netdsl.data import DataPlan
from netdsl.data.own.clips import Wav
from netdsl.data.own.resample import resampled
from netdsl.data.own.sound import read_sound, sound_header
from netdsl.source import NetError


def tone(frequency, rate, seconds, seed=0):
    noise = np.random.default_rng(seed).normal(0, 0.05, round(rate * seconds))
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(len(noise)) / rate) + noise


def clips(folder, count, rate=8000, seconds=(0.2, 0.2), tones=(("high", 2000), ("low", 300))):
    rng = np.random.default_rng(0)
    for name, frequency in tones:
        (folder / name).mkdir(parents=True)
        for k in range(count):
            sound = tone(frequency * rng.uniform(0.9, 1.1), rate, rng.uniform(*seconds), k)
            wavfile.write(
                folder / name / f"{k:03}.wav", rate, (sound * 32767).clip(-32768, 32767).astype(np.int16)
            )


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_samples_are_scipys(tmp_path, kind, channels):
    path = tmp_path / "a.wav"
    x = np.random.default_rng(1).uniform(-1, 1, (101, channels))
    if kind == np.uint8:
        stored = np.round(x * 127 + 128).astype(kind)
        wanted = (stored.astype(np.float64) - 128) / 128
    elif np.dtype(kind).kind == "i":
        stored = np.round(x * np.iinfo(kind).max).astype(kind)
        wanted = stored / 2.0 ** (8 * stored.itemsize - 1)
    else:
        stored = wanted = x.astype(kind)
    wavfile.write(path, 22050, stored)
    _, again = wavfile.read(path)
    np.testing.assert_array_equal(again.reshape(101, -1), stored)
    np.testing.assert_array_equal(read_sound(path), wanted.astype(np.float32))
    assert sound_header(path).rate == 22050 and sound_header(path).frames == 101


def wav(data, form=1, bits=16, channels=1, rate=8000, block=None, length=None, extra=b""):
    block = channels * bits // 8 if block is None else block
    fmt = struct.pack("<HHIIHH", form, channels, rate, rate * block, block, bits) + extra
    chunks = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    chunks += b"fmt " + struct.pack("<I", len(fmt)) + fmt
    chunks += b"data" + struct.pack("<I", len(data) if length is None else length) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def test_24_bits_and_the_extensible_header(tmp_path):
    values = np.array([0, 1, -1, 2**23 - 1, -(2**23), 123456])
    data = b"".join(int(v).to_bytes(3, "little", signed=True) for v in values)
    path = tmp_path / "a.wav"
    guid = struct.pack("<HHIH", 22, 24, 4, 1) + bytes.fromhex("000000001000800000aa00389b71")
    for content in (wav(data, bits=24), wav(data, form=0xFFFE, bits=24, extra=guid)):
        path.write_bytes(content)
        np.testing.assert_array_equal(read_sound(path)[:, 0], (values / 2**23).astype(np.float32))
        np.testing.assert_array_equal(wavfile.read(path)[1] >> 8, values)
    path.write_bytes(wav(data, bits=24, length=0xFFFFFFFF))  # written into a pipe
    assert len(read_sound(path)) == 6


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; a sound"),
        (b"RIFF\0\0\0\0WAVE", "ends before its samples begin"),
        (b"\x89PNG\r\n\x1a\n", "is a PNG image; a sound"),
        (wav(bytes(8), form=17), "format 17 with 16 bits"),
        (wav(bytes(8), form=7, bits=8), "mu-law with 8 bits"),
        (wav(bytes(8), channels=0), "is damaged: 0 channels"),
        (wav(bytes(8), block=3), "1 channels of 16 bits in 3 bytes"),
        (wav(bytes(8), rate=0), "1 channels at 0 Hz"),
        (wav(bytes(8), length=800), "792 bytes of its 800 bytes of samples are missing"),
        (wav(b""), "has no samples"),
        (wav(struct.pack("<f", float("nan")), form=3, bits=32), "not finite"),
        (wav(bytes(8)).replace(b"fmt ", b"fmtx"), "before their format"),
    ],
)
def test_files_that_are_none(tmp_path, content, message):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(NetError, match=message):
        read_sound(path)


def test_no_bytes_make_the_reader_crash(tmp_path):
    rng = np.random.default_rng(5)
    whole = bytearray(wav(bytes(40)))
    path = tmp_path / "a.wav"
    for _ in range(400):
        changed = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            changed[place] = rng.integers(256)
        path.write_bytes(changed[: rng.integers(1, len(whole) + 1)])
        with contextlib.suppress(NetError):
            read_sound(path)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("old", "new"),
    [(44100, 16000), (8000, 16000), (48000, 8000), (22050, 22050), (11025, 8000), (16000, 44100)],
)
def test_resampling_is_scipys(old, new, channels):
    x = np.random.default_rng(2).normal(0, 0.3, (old // 5 + 3, channels)).astype(np.float32)
    ratio = Fraction(new, old)
    wanted = resample_poly(x.astype(np.float64), ratio.numerator, ratio.denominator, axis=0)
    found = resampled(x, old, new)
    assert found.shape == wanted.shape and found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=3e-7)
    np.testing.assert_array_equal(resampled(x, old, new, 500), found[:500])


def test_clips_of_a_folder(tmp_path):
    clips(tmp_path / "clips", 3, 8000, (0.1, 0.3))
    split = Wav("clips", rate=16000, seconds=0.2).load(tmp_path)
    assert split["x"].shape == (6, 3200) and split["label"].tolist() == [0, 0, 0, 1, 1, 1]
    assert split.about == (
        "clips: 6 sounds, 0.2 s at 16,000 Hz (some from 8,000 Hz), 2 classes (high 3, low 3)"
    )
    for row, path in zip(split["x"], sorted((tmp_path / "clips").glob("*/*.wav")), strict=True):
        wanted = np.zeros(3200)
        sound = resample_poly(wavfile.read(path)[1] / 32768, 2, 1)[:3200]
        wanted[: len(sound)] = sound
        np.testing.assert_allclose(row, wanted, atol=3e-7)
    plan = DataPlan({"train": Wav("clips", seconds=0.2)}, base=tmp_path)
    np.testing.assert_array_equal(
        plan.evaluation_batches("train", 6).make(0, 0)["x"], Wav("clips", seconds=0.2).load(tmp_path)["x"]
    )


def test_what_differs_is_named(tmp_path):
    clips(tmp_path / "clips", 2, 8000, (0.1, 0.3))
    with pytest.raises(
        NetError, match=r"differ in length: .*000.wav is 0.\d+ s \(.* samples\), .*001.wav 0.\d+ s \("
    ) as caught:
        Wav("clips").outline(tmp_path)
    assert caught.value.diagnostics[0].fix.startswith("seconds = 0.")
    stereo = np.zeros((800, 2), np.int16)
    wavfile.write(tmp_path / "clips" / "low" / "stereo.wav", 16000, stereo)
    with pytest.raises(NetError, match=r"000.wav has 8,000 Hz, .*stereo.wav 16,000 Hz") as caught:
        Wav("clips", seconds=0.1).outline(tmp_path)
    assert caught.value.diagnostics[0].fix == "rate = 8000 resamples all of them"
    assert len(Wav("clips", rate=8000, seconds=0.1).load(tmp_path)["x"]) == 5
    with pytest.raises(NetError, match="has 1 channels, not 2"):
        Wav("clips", rate=8000, seconds=0.1, channels=2).outline(tmp_path)


@pytest.mark.parametrize(
    "given",
    [
        {"folder": ""},
        {"rate": 16000.0},
        {"rate": 7},
        {"seconds": 0},
        {"seconds": "1"},
        {"channels": 0},
        {"broken": 1},
    ],
)
def test_wrong_settings(given):
    with pytest.raises(NetError, match=f"^error.data.: {next(iter(given))} "):
        Wav(**{"folder": "clips"} | given)


def test_other_formats_by_soundfile(tmp_path):
    (tmp_path / "clips" / "a").mkdir(parents=True)
    path = tmp_path / "clips" / "a" / "a.flac"
    try:
        import soundfile
    except ImportError:
        path.write_bytes(b"fLaC")
        with pytest.raises(NetError, match="needs soundfile, which is not installed"):
            read_sound(path)
        return
    x = (tone(400, 8000, 0.1) * 32767).astype(np.int16)
    soundfile.write(path, x, 8000)
    np.testing.assert_array_equal(read_sound(path)[:, 0], (x / 32768).astype(np.float32))
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(NetError, match=r"a.flac"):
        read_sound(path)


NET = """net Tones {
  input x: [1, 800, 1]
  output logits = x -> conv(8, [1, 32], stride = [1, 8]) -> relu -> global_avg_pool -> dense(2)
}
data {
  train = wav("clips", rate = 8000, seconds = 0.1, broken = "skip")
  validation = 0.2
}
train {
  loss = cross_entropy(logits, label)
  metrics = [accuracy(logits, label)]
  optimizer = adam(lr = 0.03)
  epochs = 5
}
"""


def test_three_hundred_clips_train(tmp_path, capsys):
    clips(tmp_path / "clips", 150, 11025, (0.05, 0.15))
    broken = tmp_path / "clips" / "low" / "007.wav"
    broken.write_bytes(broken.read_bytes()[:500])
    (tmp_path / "tones.net").write_text(NET)
    for words in (["check"], ["train", "--out", str(tmp_path / "run")]):
        with pytest.raises(SystemExit) as ended:
            main([words[0], str(tmp_path / "tones.net"), *words[1:]])
        assert not ended.value.code
    said = capsys.readouterr().out
    assert "train: 1 skipped: " in said and "low/007.wav is damaged" in said
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["validation"]["accuracy"] > 0.9
