"""`python -m tasks.inference.parity JOB.json`: does the artifact give the golden outputs in a process that only has what serves?

The job is `{"artifact": folder, "golden": {"items", "predictions", "outputs"}, "tolerance": number}`. One JSON line on stdout:
`{"rows", "batches", "max_difference"}`, or `{"error"}` and exit code 1.
"""

import json
import sys
from pathlib import Path
from typing import Any

from storage.errors import MillraceError, ProcessFailed
from tasks.inference.golden import check_golden
from tasks.inference.predictor import Predictor

REACHES = ()  # what is looked for among the loaded modules is to be absent
BATCHES = (1, 32, 17)
ABSENT = ("torch", "pandas", "prefect", "dask", "distributed", "sklearn")


def check_parity(artifact: Path, golden: dict[str, Any], tolerance: float) -> dict[str, Any]:
    """The greatest difference over all golden items in batches of 1, 32 and 17; an error where one disagrees."""
    files = {path.relative_to(artifact).as_posix(): path for path in sorted(artifact.rglob("*")) if path.is_file()}
    predictor, count = Predictor.load(files), len(golden["items"])
    forwards = [[row % count for row in range(size)] for size in (*BATCHES[1:], count)]
    forwards += [[row] for row in range(count)]
    differences = [check_golden(predictor, golden, tolerance, rows) for rows in forwards]
    _check_modules()
    return {"rows": count, "batches": list(BATCHES), "max_difference": max(differences)}


def _check_modules() -> None:
    found = [name for name in ABSENT if name in sys.modules]
    if found:
        raise ProcessFailed(
            f"parity: found {', '.join(found)} loaded; what serves must do without: look at recent imports"
        )


def main(argv: list[str]) -> int:
    """Run the job in the file `argv[0]`; the exit code."""
    job = json.loads(Path(argv[0]).read_bytes())
    try:
        line, code = check_parity(Path(job["artifact"]), job["golden"], job["tolerance"]), 0
    except MillraceError as error:
        line, code = {"error": f"parity: {error}"}, 1
    sys.stdout.write(json.dumps(line) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
