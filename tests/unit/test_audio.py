"""Recordings: every WAV comes to the same samples, and the spectrogram is what the books say."""

import base64
import json

import numpy as np
import pytest
from media import tone, wav
from scipy import signal

from tasks.transforms import ItemError, Transforms
from tasks.transforms.audio import read_wave
from tasks.transforms.items import Refused
from tasks.transforms.resampling import resample
from tasks.transforms.spectrograms import FLOOR, Spectrogram
from tasks.transforms.waves import decode, encode, measure, to_int16

FORM = Spectrogram(rate=8000, samples=4000, mels=40, window=256, hop=96)
TARGET = {"name": "label", "classes": ["high", "low"]}


def transforms() -> Transforms:
    """For half a second of sound, with statistics that are not trivial."""
    form = {"rate": 8000, "samples": 4000, "mels": 40, "window": 256, "hop": 96}
    fitted = {"name": "audio", "spectrogram": form, "mean": [-9.0] * 40, "std": [2.5] * 40}
    data = {"version": 1, "kind": "audio", "task": "classification", "input": fitted, "target": TARGET, "example": None}
    return Transforms.load({"transforms.json": json.dumps(data).encode()})


def refusal(content: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        decode(content, 1)
    return caught.value


@pytest.mark.parametrize(("code", "bits"), [(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)])
@pytest.mark.parametrize("extensible", [False, True])
def test_every_way_of_writing_a_sample_gives_the_same_sound(code: int, bits: int, extensible: bool):
    sound = tone(440)
    found = decode(wav(sound, 8000, code, bits, extensible), 1)
    assert found.rate == 8000
    assert np.abs(found.samples - sound).max() < (0.01 if bits == 8 else 1e-4)


def test_sixteen_bits_come_back_bit_for_bit_also_through_our_own_writer():
    samples = np.random.default_rng(0).integers(-32768, 32768, 999).astype(np.int16)
    content = encode(samples, 16_000)
    assert measure(content) == (16_000, 999)
    assert (to_int16(decode(content, 1).samples) == samples).all()
    assert (read_wave(content, 16_000, 999) == samples).all()


def test_stereo_is_the_mean_of_its_channels_and_length_is_cut_or_filled():
    both = np.stack([np.full(100, 0.5), np.full(100, -0.25)], axis=1)
    assert np.allclose(decode(wav(both), 1).samples, 0.125, atol=1e-4)
    assert read_wave(wav(both), 8000, 150)[[0, 99, 100, 149]].tolist() == [4096, 4096, 0, 0]
    assert len(read_wave(wav(both), 8000, 60)) == 60


def test_what_is_no_whole_wav_is_refused_with_its_reason():
    content = wav(tone(440))
    assert refusal(content[:-100]).rule == "damaged"
    assert refusal(content[:30]).rule == "damaged"
    assert refusal(b"ID3\x03 an MP3").rule == "audio"
    assert "A-law" in str(refusal(content.replace(b"\x10\0\0\0\x01\0", b"\x10\0\0\0\x06\0", 1)))
    assert refusal(wav(np.zeros(0))).rule == "empty"
    assert "wanted finite" in str(refusal(wav(np.array([0.0, np.nan]), code=3, bits=32)))
    assert "1 samples a second" in str(refusal(wav(tone(440), rate=1)))
    streamed = content.replace(len(tone(440) * 2).to_bytes(4, "little"), b"\xff\xff\xff\xff")
    assert len(decode(streamed, 1).samples) == 4000


@pytest.mark.parametrize(
    ("rate", "wanted"), [(44_100, 8000), (48_000, 16_000), (8000, 16_000), (22_050, 16_000), (11_025, 8000)]
)
def test_resampling_keeps_a_tone_and_agrees_with_scipy(rate: int, wanted: int):
    found = resample(tone(1000, rate, 0.25), rate, wanted)
    inner = slice(200, -200)
    assert np.abs(found - tone(1000, wanted, 0.25)[: len(found)])[inner].max() < 2e-4
    assert np.abs(found - signal.resample_poly(tone(1000, rate, 0.25), wanted, rate))[inner].max() < 5e-3


def test_a_tone_above_half_the_new_rate_is_gone_after_resampling():
    assert np.abs(resample(tone(6000, 44_100, 0.25), 44_100, 8000)[200:-200]).max() < 1e-4


def test_the_spectrogram_is_scipys_under_the_filters():
    sound = np.random.default_rng(0).normal(0, 0.1, FORM.samples)
    _, _, spectrum = signal.stft(sound, 8000, "hann", 256, 256 - 96, 512, boundary=None, padded=False)
    wanted = np.log(FORM.bands_BM.T @ np.abs(spectrum) ** 2 + FLOOR)
    assert FORM.compute(sound).shape == (40, FORM.frames)
    assert np.allclose(FORM.compute(sound), wanted)


@pytest.mark.parametrize("hertz", [150, 440, 1000, 3000])
def test_a_pure_tone_is_loudest_in_the_band_whose_middle_is_nearest(hertz: float):
    middles = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 4000 / 700), 42) / 2595) - 1)[1:-1]
    loudest = FORM.compute(tone(hertz)).mean(axis=1).argmax()
    assert loudest == np.abs(middles - hertz).argmin()


def test_twice_the_level_is_four_times_the_power_everywhere():
    sound = np.random.default_rng(0).normal(0, 0.1, FORM.samples)
    assert np.allclose(FORM.compute(2 * sound) - FORM.compute(sound), np.log(4), atol=1e-2)


def test_a_file_a_list_of_samples_and_a_stored_row_give_the_same_features():
    row = to_int16(tone(700, seconds=0.4))
    stored = np.pad(row, (0, 800))
    items = [
        base64.b64encode(wav(tone(700, seconds=0.4) * 32768 / 32767)).decode(),
        row.tolist(),
        {"audio": stored.tolist()},
    ]
    features = transforms().features(transforms().parse(items))
    assert features.shape == (3, 1, 40, FORM.frames)
    trained = transforms().features({"audio": stored[None]})
    assert [feature.tobytes() for feature in features] == [trained[0].tobytes()] * 3
    (again,) = transforms().items({"audio": stored[None]})
    assert transforms().features(transforms().parse([again])).tobytes() == trained.tobytes()


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("no base64!", "found the text 'no base64!', wanted a WAV file in base64"),
        (base64.b64encode(b"PNG").decode(), "found no WAV file"),
        ([], "found list []"),
        ([1, "2"], "no finite numbers"),
        ([[1, 2]], "no finite numbers"),
        ([0, 40_000], "found a sample of 40000"),
        (7, "found int 7"),
    ],
)
def test_a_bad_recording_is_refused_with_what_is_wrong(item: object, words: str):
    with pytest.raises(ItemError) as caught:
        transforms().parse([item])
    assert words in str(caught.value)
