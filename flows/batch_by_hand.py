"""`python -m flows.batch_by_hand`: one batch prediction in this process, for the command: told on standard input, shown as it goes.

Standard input is one JSON object: `{"name": …, "wanted": alias or number, "batch": …, "cluster": …, "storage": URL, "settings": how
it is reached, as `storage.surroundings.told` gives it, "json": …, "debug": …}`.
No flow is started for it, so no Prefect server: its parts are cached, retried and resumed by the store alone.
"""

import json
import sys
from typing import Any

from flows.batch import predict_batch
from flows.display import Display
from flows.failing import failed
from storage.root import keep_inside
from storage.surroundings import surrounded
from tasks.batch.on_cluster import predict_on_cluster
from tasks.sections import BatchSection, ClusterSection

INTERRUPTED = 130


def main(order: dict[str, Any]) -> int:
    """Predict, and tell how it went; the exit code."""
    try:
        keep_inside()
        batch = BatchSection.model_validate(order["batch"])
        cluster = ClusterSection.model_validate(order["cluster"])
        with surrounded(order["settings"]), Display(sys.stderr):
            summary = predict_batch(
                order["name"], order["wanted"], batch, cluster, order["storage"], predict_on_cluster
            )
    except Exception as error:  # noqa: BLE001  what nobody foresaw: still one line; --debug shows the rest
        return failed(error, order["debug"], "predict")
    sys.stdout.write(json.dumps(summary) + "\n" if order["json"] else told(summary))
    return 0


def told(summary: dict[str, Any]) -> str:
    """The summary for people."""
    parts, computed = len(summary["parts"]), summary["parts_computed"]
    refused = summary["rows_in"] - summary["rows_out"]
    lines = [
        f"{summary['model']} version {summary['version']}: {summary['rows_out']:,} of {summary['rows_in']:,} rows predicted "
        f"in {summary['seconds']:.1f} s",
        f"  parts      {parts:,}, {computed:,} computed and {parts - computed:,} found",
        f"  output     {summary['output']}",
    ]
    if refused:
        rules = ", ".join(f"{count:,} {rule}" for rule, count in summary["rules"].items())
        lines.append(f"  refused    {refused:,} ({rules}), in _quarantine; for instance:")
        lines += [f"             {example}" for example in summary["examples"].values()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    try:
        sys.exit(main(json.load(sys.stdin)))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
