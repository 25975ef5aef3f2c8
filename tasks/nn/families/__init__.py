"""The network families, a file each; a new one is a file and a line here (and its options in `tasks/sections/train.py`).

Shapes: B batch, C channels, H height, W width, T tokens, E embedding, F features or filters, K outputs.
"""

from tasks.nn.families import cnn, gpt, lstm, mlp, resnet, textcnn, transformer
from tasks.nn.families.family import Family

FAMILIES: dict[str, Family] = {
    "mlp": mlp.FAMILY,
    "cnn": cnn.FAMILY,
    "resnet": resnet.FAMILY,
    "textcnn": textcnn.FAMILY,
    "lstm": lstm.FAMILY,
    "transformer": transformer.FAMILY,
    "gpt": gpt.FAMILY,
}
