"""`python tests/benchmarks/bench_loader.py`: the training loader, samples of 1,025 tokens per CPU-second, beside those of others.

One set of tokens (16 bits, from a seed) as each wants it: our token file; a memory map behind torch's plain DataLoader; HF datasets in the formats
`numpy` and `torch`; MosaicML Streaming. Each gives shuffled batches in one process, without workers, and says after each batch where it is, if it can:
ours one integer, Streaming its `state_dict`; the others have no such state. `best_fit`: ours with documents packed; `scattered`: ours with the order
worked out place by place, as it is for very many rows. Turns of some CPU-seconds each, each in a process of its own; one JSON line, with the median
of `--rounds`. Peers are installed into environments of their own, below `--peers`.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[2]), str(HERE.parent)]
CONTEXT, VOCABULARY, SEED = 1024, 32_000, 7
SIDES = ("ours", "best_fit", "scattered", "dataloader", "datasets_numpy", "datasets_torch", "streaming")
PEERS = ("datasets_numpy", "datasets_torch", "streaming")


def main() -> None:
    """Measure, and write the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=60_000, help="in an epoch")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=3.0, help="of the processor, a turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES)
    parser.add_argument("--peers", type=Path, help="where their environments are kept")
    parser.add_argument("--side", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        name, folder = arguments.side
        print(json.dumps(turn(batches_of(name, Path(folder), arguments.batch), arguments.seconds)))  # noqa: T201
        return
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), arguments)))  # noqa: T201


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """The rate of each side, and ours over each."""
    from peers import default_folder, environment_of

    write_tokens(folder, arguments.samples)
    peers = arguments.peers or default_folder()
    pythons = {name: environment_of(peers, "loaders") if name in PEERS else sys.executable for name in arguments.sides}
    rates: dict[str, list[float]] = {name: [] for name in arguments.sides}
    for number in range(arguments.rounds):
        for name in arguments.sides if number % 2 == 0 else reversed(arguments.sides):
            command = [pythons[name], str(HERE), "--side", name, str(folder)]
            command += ["--batch", str(arguments.batch), "--seconds", str(arguments.seconds)]
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_DATASETS_CACHE": str(folder / "hf")}
            ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            rates[name].append(json.loads(ended.stdout.splitlines()[-1])["samples_per_cpu_second"])
    told = {name: round(median(found)) for name, found in rates.items()}
    ratios = {name: round(told["ours"] / rate, 1) for name, rate in told.items() if name != "ours" and "ours" in told}
    sizes = {"tokens_of_a_sample": CONTEXT + 1, "samples": arguments.samples, "batch": arguments.batch}
    return {**sizes, "samples_per_cpu_second": told, "ours_over": ratios}


def turn(batches: Iterator[Any], seconds: float) -> dict[str, float]:
    """Samples per CPU-second of this process, after the first batch."""
    next(batches)
    began, samples = time.process_time(), 0
    while time.process_time() - began < seconds:
        for batch in itertools.islice(batches, 50):
            samples += len(batch)
    return {"samples_per_cpu_second": samples / (time.process_time() - began)}


def write_tokens(folder: Path, samples: int) -> None:
    """The tokens of so many samples as a flat file of them, and as our token files."""
    from tasks.transforms.streams import PACKINGS, write_stream

    random = np.random.default_rng(SEED)
    ids = random.integers(0, VOCABULARY - 1, samples * (CONTEXT + 1), dtype=np.uint16)
    ids.tofile(folder / "flat.bin")
    lengths = random.integers(100, 2000, len(ids) // 1000)
    lengths = lengths[np.cumsum(lengths) <= len(ids)]
    rows_N4 = np.column_stack([lengths, lengths, lengths, np.arange(len(lengths))])
    for packing in PACKINGS:
        (folder / packing).mkdir()
        write_stream(folder / packing, [(ids[: lengths.sum()], rows_N4)], CONTEXT, VOCABULARY - 1, packing)


def batches_of(name: str, folder: Path, batch: int) -> Iterator[Any]:
    """Endless batches of one side."""
    if name in ("ours", "best_fit", "scattered"):
        return ours(folder / ("best_fit" if name == "best_fit" else "concatenate"), batch, name == "scattered")
    flat = np.memmap(folder / "flat.bin", np.uint16, "r").reshape(-1, CONTEXT + 1)
    epochs: dict[str, Callable[[], Iterator[Any]]] = {
        "dataloader": lambda: dataloader(flat, batch),
        "datasets_numpy": lambda: datasets(flat, batch, "numpy"),
        "datasets_torch": lambda: datasets(flat, batch, "torch"),
        "streaming": lambda: streaming(flat, folder / "streaming", batch),
    }
    return itertools.chain.from_iterable(epochs[name]() for _ in itertools.count())


def ours(folder: Path, batch: int, place_by_place: bool) -> Iterator[Any]:
    """Inputs and targets, int32; the state is known after each."""
    from tasks import loading
    from tasks.transforms.streams import open_stream

    loading.WHOLE = 0 if place_by_place else loading.WHOLE
    stream = open_stream(folder)
    loader, consumed = loading.Loader(stream, loading.Sampler(len(stream), batch, SEED)), 0
    for rows, x, y in loader:
        assert x.shape == y.shape == (len(rows), CONTEXT)
        consumed += len(rows)
        assert loader.consumed == consumed
        yield x


def dataloader(flat: np.ndarray, batch: int) -> Iterator[Any]:
    """An epoch as torch's documentation has it: a map-style data set, a sample at a time."""
    import torch
    from torch.utils.data import DataLoader, Dataset

    class Tokens(Dataset):
        def __len__(self) -> int:
            return len(flat)

        def __getitem__(self, row: int) -> torch.Tensor:
            return torch.from_numpy(flat[row].astype(np.int32))

    yield from DataLoader(Tokens(), batch, shuffle=True)


def datasets(flat: np.ndarray, batch: int, form: str) -> Iterator[Any]:
    """An epoch of Hugging Face datasets: a column of lists of fixed length, shuffled, in batches."""
    import datasets as hf
    import pyarrow as pa

    column = pa.FixedSizeListArray.from_arrays(pa.array(np.asarray(flat).ravel()), CONTEXT + 1)
    table = hf.Dataset(hf.table.InMemoryTable(pa.table({"ids": column}))).shuffle(seed=SEED).with_format(form)
    for found in table.iter(batch_size=batch):
        assert found["ids"].shape[1] == CONTEXT + 1
        yield found["ids"]


def streaming(flat: np.ndarray, folder: Path, batch: int) -> Iterator[Any]:
    """An epoch of MosaicML Streaming: shards on this disk, shuffled, its own loader and state."""
    from streaming import MDSWriter, StreamingDataLoader, StreamingDataset

    if not folder.exists():
        with MDSWriter(out=str(folder), columns={"ids": f"ndarray:uint16:{CONTEXT + 1}"}) as writer:
            for row in flat:
                writer.write({"ids": np.asarray(row)})
    dataset = StreamingDataset(local=str(folder), shuffle=True, shuffle_seed=SEED, batch_size=batch)
    loader = StreamingDataLoader(dataset, batch_size=batch)
    for found in loader:
        assert found["ids"].shape[1] == CONTEXT + 1
        assert loader.state_dict()["sample_in_epoch"] >= 0
        yield found["ids"]


if __name__ == "__main__":
    main()
