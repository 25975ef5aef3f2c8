"""Stage prepare on Dask, killed in mid-work: what `make soak-workers` does at fifty drawn moments."""

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worker_kills import Kill, Rows, tried, undisturbed, wrong_origins

from storage.manifests import put_files
from storage.objects import open_store

FILES, ROWS, SHARD_ROWS = 16, 20_000, 4_000


def test_killed_workers_a_killed_scheduler_and_a_killed_run_leave_the_same_bytes_and_every_row_once(
    prefect_api: str, tmp_path: Path
):
    rows, settings = Rows(tmp_path / "rows", FILES, ROWS, SHARD_ROWS), {"PREFECT_API_URL": prefect_api}
    rows.write()
    wanted = undisturbed(tmp_path / "undisturbed", rows, settings)
    told = [json.loads(line) for line in (tmp_path / "undisturbed" / "events.jsonl").read_text().splitlines()]
    assert [one["stage"] for one in told if one.get("event") == "cluster"] == ["prepare"]  # encode works on the same
    kills = [Kill("worker", 2, 0), Kill("scheduler", 20, 0), Kill("run", 40, 0)]
    trial = tried(0, kills, tmp_path / "killed", rows, settings, wanted)
    assert trial.faults == []
    assert [kill["whom"] for kill in trial.kills] == ["worker", "scheduler", "run"]
    assert all(kill["done"] < kill["total"] for kill in trial.kills)
    assert trial.starts == 2


@pytest.mark.parametrize(
    ("clean", "refused", "said"),
    [
        ([1, 2, 4], [3], []),
        ([1, 2, 3, 4], [3], ["origin 000.csv row 3: found 2 times, wanted 1"]),
        ([1, 2, 4], [], ["origin 000.csv row 3: found 0 times, wanted 1"]),
        ([1, 2, 4, 5], [3], ["origin 000.csv row 5: found 1 times, wanted 0"]),
    ],
)
def test_the_check_by_origin_sees_a_single_row(clean: list[int], refused: list[int], said: list[str], tmp_path: Path):
    store = open_store(str(tmp_path))
    files = {"rows/part-00000.parquet": table(clean), "quarantine/part-00000.parquet": table(refused)}
    assert wrong_origins(store, put_files(store, "dataset", files, {}), Rows(tmp_path, 1, 4, 4)) == said


def table(numbers: list[int]) -> bytes:
    buffer = io.BytesIO()
    columns = {"_file": pa.array(["000.csv"] * len(numbers), pa.string()), "_row": pa.array(numbers, pa.int64())}
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()
