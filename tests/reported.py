"""A run as the report and the terminal are told of it."""

from typing import Any

EVIL = "<script>alert('x')</script>"
DIGEST = "0123456789abcdef" * 4


def entry(value: float, width: float = 0.01) -> dict[str, float]:
    return {"value": value, "low": value - width, "high": min(1.0, value + width), "n": 540}


def cost(seconds: float) -> dict[str, float | None]:
    """A step's cost on a processor that was busy for nearly all of the time."""
    return {
        "wall_seconds": seconds, "cpu_seconds": 0.95 * seconds, "peak_memory_bytes": 512_000_000,
        "bytes_in": 2_300_000, "bytes_out": 0, "gpu_seconds": None,
    }  # fmt: skip


def summary(decision: str = "promote") -> dict[str, Any]:
    released = decision == "promote"
    return {
        "run_id": "20260801-101500-a1b2c3",
        "pipeline": "digits",
        "steps": [
            {"name": "prepare", "state": "cached", "seconds": 0.02, "key": DIGEST, "cost": cost(192.0)},
            {"name": "train", "state": "computed", "seconds": 18.4, "key": DIGEST, "cost": cost(18.2)},
        ],
        "data": {"digest": DIGEST, "rows_in": 1800, "rows_out": 1797, "rows_quarantined": 3},
        "metrics": {
            "accuracy": entry(0.987),
            "macro_f1": entry(0.986),
            "log_loss": entry(0.06),
            "roc_auc": entry(0.99),
        },
        "compression": {
            "recipe": "small",
            "model_bytes_before": 431_000,
            "model_bytes_after": 35_300,
            "size_ratio": 12.2,
            "latency_ratio_b1": 4.6,
            "latency_ratio_b32": 0.8,
        },
        "verdict": {
            "decision": decision,
            "reasons": ["accuracy 98.7 % against the champion's 98.9 %: at worst 1.5 points lower"],
        },
        "release": {
            "model": "digits",
            "version": 3 if released else None,
            "alias": "champion" if released else None,
            "digest": DIGEST,
        },
        "report": "/data/reports/run.html",
    }


def view(decision: str = "promote") -> dict[str, Any]:
    candidates = [
        {"name": name, "bytes": size, "latency_ratio_b1": speed, "latency_ratio_b32": speed, "metric": "accuracy",
         **entry(0.98), "chosen": name == "small", "why": f"because of {name}"}
        for name, size, speed in (("fp32", 431_000, 1.0), ("middle", 120_000, 2.0), ("small", 35_300, 4.6))
    ]  # fmt: skip
    return {
        "summary": summary(decision),
        "config": {"name": "digits", "evaluate": {"metric": "accuracy"}},
        "dataset": {
            "task": "classification",
            "target": "label",
            "splits": {"train": 990, "validation": 267, "test": 540},
            "quarantine": [{"rule": "type", "count": 3}],
            "profile": {"label": {"type": "category", "counts": {"cat": 500, EVIL: 490, "$5 or $6": 1}, "other": 0}},
        },
        "quarantine": [{"_file": "a.csv", "_row": 17, "rule": "type", "reason": EVIL, "raw": EVIL}],
        "history": [
            {
                "epoch": n,
                "train_loss": 2 / n,
                "validation_loss": 2.2 / n,
                "validation_metric": 0.9,
                "learning_rate": 1e-3,
            }
            for n in range(1, 6)
        ],
        "confusion": {"classes": ["cat", EVIL], "matrix": [[260, 4], [3, 273]]},
        "candidates": candidates,
        "lineage": [{"step": step["name"], "output": DIGEST, **step} for step in summary(decision)["steps"]],
        "serve": {"model": "digits", "command": "millrace serve digits --no-auth", "item": [[0.0, 1.5], [3.0, 16.0]]},
        "started": "2026-08-01 10:15 UTC",
        "machine": "a processor",
    }
