"""A folder of recordings, from WAV files to a served model: high and low tones, told apart by their spectrograms."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from commands import Ended
from media import tone, wav

CONFIG = """
name: tones
data: {kind: audio, sources: [{url: tones}], validation_share: 0.2, test_share: 0.4}
transforms: {spectrogram: {mels: 16}}
train: {family: cnn, cnn: {channels: [8], hidden: 8, dropout: 0.0}, epochs: 3, batch_size: 8, learning_rate: 0.01}
compress: {recipes: [{name: int8, passes: [{kind: quantise}]}]}
# about 80 test rows, of which none may be lost: 0 of 80 leaves 3.7 points of doubt
evaluate: {margin: 0.05, minimum: 0.95, resamples: 200, max_slowdown: 100}
"""


def test_a_folder_of_recordings_ends_in_a_model_that_predicts_a_file(millrace: Callable[..., Ended], tmp_path: Path):
    draw = np.random.default_rng(0)
    for label, hertz in (("low", 300), ("high", 1500)):
        (tmp_path / "tones" / label).mkdir(parents=True)
        for number in range(100):
            sound = tone(hertz * draw.uniform(0.8, 1.25), seconds=0.25) + draw.normal(0, 0.02, 2000)
            (tmp_path / "tones" / label / f"{number}.wav").write_bytes(wav(sound))
    (tmp_path / "tones" / "low" / "broken.wav").write_bytes(wav(tone(300))[:99])
    (tmp_path / "tones.yaml").write_text(CONFIG)
    ended = millrace("run", "--config", "tones.yaml", "--json", home=tmp_path)
    assert ended.code == 0, ended.err
    assert (ended.json["data"]["rows_in"], ended.json["data"]["rows_quarantined"]) == (201, 1)
    (tmp_path / "new.wav").write_bytes(wav(tone(1500, 44_100, 1.0), 44_100))
    answer = millrace("predict", "tones", "--input", "new.wav", home=tmp_path)
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["prediction"] == "high"
