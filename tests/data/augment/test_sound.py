"""Sounds and their spectra by formulas, and against librosa and torchaudio where they are installed."""

import numpy as np
import pytest
from scipy import signal, stats

import netdsl
from netdsl.data import (
    Batches,
    Blur,
    DataPlan,
    FrequencyMask,
    Gain,
    MelSpectrogram,
    Mixup,
    Noise,
    OneOf,
    PitchShift,
    Rotate,
    Shift,
    TimeMask,
    TimeStretch,
    from_arrays,
)
from netdsl.data.augment.spectrum import istft, stft, stretched, vocoder
from netdsl.elaborate import elaborate
from netdsl.source import NetError, Source
from netdsl.train import Trainer
from tests.data.augment.running import change, drawn

RATE = 16000
TIME = np.arange(RATE) / RATE


def tone(hertz=440.0, count=4):
    return np.repeat(0.5 * np.sin(2 * np.pi * hertz * TIME)[None], count, 0).astype(np.float32)


def clips(count=6, length=3000):
    return np.random.default_rng(0).standard_normal((count, length)).astype(np.float32) * 0.1


def loudest(sound):
    """The frequency with the most energy, in hertz, in the middle of a sound."""
    middle = sound[len(sound) // 4 : len(sound) // 2] * np.hanning(len(sound) // 4)
    return np.abs(np.fft.rfft(middle, 2**18)).argmax() * RATE / 2**18


def numbers(one, count):
    return drawn(count, one).draws[0][:, 0]


def test_gain_is_in_decibels():
    before = clips()
    factor = 10 ** ((-6 + 12 * numbers(Gain(-6, 6), 6)) / 20)
    np.testing.assert_allclose(change(before, Gain(-6, 6)), before * factor[:, None], rtol=1e-5)


def test_noise_is_normal_and_as_far_below_as_is_drawn():
    before = tone()
    noise = change(before, Noise(10, 40)) - before
    level = 20 * np.log10(before.std(1) / noise.std(1))
    np.testing.assert_allclose(level, 10 + 30 * numbers(Noise(10, 40), 4), atol=0.1)
    assert stats.kstest(noise[0] / noise[0].std(), "norm").pvalue > 0.01
    assert abs(np.corrcoef(noise[0], noise[1])[0, 1]) < 0.03


@pytest.mark.parametrize("border", ["constant", "edge", "wrap", "reflect"])
def test_shift_moves_along_the_time(border):
    before = clips()
    after = change(before, Shift(500, border=border))
    modes = {"constant": "constant", "edge": "edge", "wrap": "wrap", "reflect": "reflect"}
    wide = np.pad(before, ((0, 0), (500, 500)), mode=modes[border])
    for k, u in enumerate(numbers(Shift(500), 6)):
        first = int(u * 1001)
        np.testing.assert_array_equal(after[k], wide[k, first : first + 3000])


def test_there_and_back():
    x = clips(1)[0]
    np.testing.assert_allclose(istft(stft(x, 512, 128), 512, 128, 3000), x, atol=1e-6)
    _, _, expected = signal.stft(x, window="hann", nperseg=512, noverlap=384, boundary="zeros", padded=False)
    found = stft(x, 512, 128).T / (512 / 2)
    np.testing.assert_allclose(found[:, : expected.shape[1]], expected, atol=1e-6)


def test_stretching_keeps_the_pitch_and_shifting_the_time():
    fast = stretched(tone()[0], 1.25)
    assert len(fast) == RATE / 1.25 and abs(loudest(fast) - 440) < 2
    after = change(tone(count=5), TimeStretch(0.8, 1.25))
    assert after.shape == (5, RATE) and all(abs(loudest(x) - 440) < 2 for x in after)
    rates = 0.8 + 0.45 * numbers(TimeStretch(0.8, 1.25), 5)
    for x, rate in zip(after, rates, strict=True):
        if rate > 1.1:
            assert np.abs(x[int(RATE / rate) + 10 :]).max() == 0
    after = change(tone(count=5), PitchShift(4))
    steps = -4 + 8 * numbers(PitchShift(4), 5)
    for x, step in zip(after, steps, strict=True):
        assert abs(loudest(x) / (440 * 2 ** (step / 12)) - 1) < 0.005


def test_masks():
    before = np.random.default_rng(0).standard_normal((200, 30, 12)).astype(np.float32)
    widths = []
    for one, axis in ((TimeMask(10), 1), (FrequencyMask(5), 2)):
        after = change(before, one)
        for k in range(200):
            changed = (after[k] != before[k]).all(axis=2 - axis)
            places = np.nonzero(changed)[0]
            assert len(places) <= one.size and (not len(places) or np.ptp(places) == len(places) - 1)
            np.testing.assert_allclose(after[k][after[k] != before[k]], before[k].mean(), atol=1e-6)
            widths.append(len(places))
    assert set(widths[:200]) == set(range(11)) and set(widths[200:]) == set(range(6))
    sounds = change(clips(), TimeMask(100))
    assert ((sounds != clips()).sum(1) <= 100).all()


@pytest.mark.parametrize(
    "one", [Gain(0, 0), TimeStretch(1, 1), PitchShift(0), TimeMask(0), Noise(10, 20, p=0), Shift(0)]
)
@pytest.mark.parametrize("tail", [(), (1,)])
def test_settings_that_change_nothing_keep_the_bits(one, tail):
    before = clips().reshape(6, 3000, *tail)
    np.testing.assert_array_equal(change(before, one), before)


def test_any_number_of_threads_gives_the_same_bits():
    list_ = [Shift(100), Noise(5, 20), OneOf(PitchShift(2), TimeStretch(0.9, 1.1)), Gain(-3, 3), TimeMask(50)]
    alone = change(clips(12), *list_, threads=1)
    np.testing.assert_array_equal(change(clips(12), *list_, threads=4), alone)
    assert np.isfinite(alone).all()
    short = change(clips(3, 1), Shift(3), Gain(-1, 1), TimeMask(4), TimeStretch(0.5, 2), PitchShift(2))
    assert short.shape == (3, 1) and np.isfinite(short).all()


@pytest.mark.parametrize(
    ("list_", "shape", "message"),
    [
        ([Gain(-6, 6)], (8, 8, 3), r"gain needs sounds \[T\] or \[T, 1\], not \[8, 8, 3\]"),
        ([FrequencyMask(3)], (100,), r"frequency_mask needs spectra \[frames, bands\] or"),
        ([TimeMask(3)], (8, 8, 3), r"time_mask needs sounds .*, or spectra .*, not \[8, 8, 3\]"),
        (
            [Gain(-6, 6), Rotate(3)],
            (100,),
            "rotate changes pictures and gain sounds: a list is for one of them",
        ),
        ([Blur(3)], (100, 1), r"blur needs images of shape \[H, W, C\], not \[100, 1\]"),
    ],
)
def test_what_does_not_fit(list_, shape, message):
    with pytest.raises(NetError, match=message):
        Batches(from_arrays(np.zeros((8, *shape), np.float32), np.zeros(8, int)), 4, augment=list_)


@pytest.mark.parametrize(
    "settings",
    [
        {"high": 9000},
        {"low": 5000, "high": 4000},
        {"mels": 0},
        {"scale": "bark"},
        {"window": 1.5},
        {"norm": "area"},
    ],
)
def test_mel_settings(settings):
    with pytest.raises(NetError, match="mel_spectrogram"):
        MelSpectrogram(RATE, **settings)


def test_a_tone_is_in_its_band():
    """The middle of each triangle by the definition of the scale."""
    for scale, edge in (("htk", lambda f: 2595 * np.log10(1 + f / 700)), ("slaney", None)):
        step = MelSpectrogram(RATE, 40, 1024, 256, scale=scale, log=False)
        found = step(tone(1000))
        assert found.shape == (4, *step.shape((RATE,))) == (4, 63, 40)
        if edge is not None:
            places = np.linspace(0, edge(RATE / 2), 42)[1:-1]
            assert found[0, 30].argmax() == np.abs(places - edge(1000)).argmin()
    loud = MelSpectrogram(RATE, 40, 1024, 256)(tone() * 2) - MelSpectrogram(RATE, 40, 1024, 256)(tone())
    assert loud[..., 5].mean() == pytest.approx(np.log(4), abs=0.05)


def test_a_network_of_sounds_trains_and_its_checkpoint_hears_as_the_training_did(tmp_path):
    text = """
    net Ear { input sound: [31, 16, 1]; output y = sound -> conv(4, 3) -> relu -> global_avg_pool -> dense(2) }
    train { loss = cross_entropy(y, label); batch = 8; epochs = 2 }
    """
    sounds = np.concatenate([tone(300, 8), tone(900, 8)])[:, :5000] + clips(16, 5000)
    steps = [MelSpectrogram(RATE, 16)]
    sets = {"train": from_arrays(sounds, np.arange(16) // 8), "preprocess": steps}
    sets |= {"augment": [TimeMask(4), FrequencyMask(3), Mixup(0.2)], "normalize": "standardize"}
    network = elaborate(Source("ear.net", text.replace("[31, 16, 1]", "[32, 16, 1]")))
    trainer = Trainer(network, tmp_path, data=DataPlan(sets))
    trainer.fit()
    trained = netdsl.restore(tmp_path / "last.safetensors")
    (scores,) = trained.run({"sound": sounds[:5]}).values()
    assert scores.shape == (5, 2)


@pytest.mark.torch
def test_spectra_are_those_of_librosa():
    librosa = pytest.importorskip("librosa", reason="librosa is not installed")
    x = clips(1, 20000)[0] + tone()[0][:1].repeat(20000)
    for scale, norm in (("htk", None), ("slaney", "slaney")):
        step = MelSpectrogram(RATE, 40, 512, 128, low=50, high=7000, scale=scale, norm=norm, log=False)
        expected = librosa.feature.melspectrogram(
            y=x, sr=RATE, n_fft=512, hop_length=128, n_mels=40, fmin=50, fmax=7000, htk=scale == "htk", norm=norm,
            pad_mode="reflect",
        )  # fmt: skip
        np.testing.assert_allclose(step(x[None])[0], expected.T, rtol=2e-4, atol=1e-5)
    spectra = stft(x, 2048, 512)
    np.testing.assert_allclose(spectra, librosa.stft(x).T, atol=1e-3)
    np.testing.assert_allclose(
        vocoder(spectra, 1.3, 512), librosa.phase_vocoder(spectra.T, rate=1.3, hop_length=512).T, atol=1e-6
    )
    np.testing.assert_allclose(stretched(x, 0.8), librosa.effects.time_stretch(x, rate=0.8), atol=2e-3)


@pytest.mark.torch
def test_spectra_are_those_of_torchaudio():
    torch = pytest.importorskip("torch")
    try:
        from torchaudio import transforms
    except (ImportError, OSError) as error:
        pytest.skip(f"torchaudio is not installed, or for another PyTorch: {error}")
    x = clips(1, 20000)
    made = transforms.MelSpectrogram(RATE, n_fft=400, hop_length=160, n_mels=64)
    expected = made(torch.from_numpy(x))[0].T.numpy()
    np.testing.assert_allclose(MelSpectrogram(RATE, log=False)(x)[0], expected, rtol=1e-3, atol=1e-6)
