"""Progress, as people read it."""

import io

import pytest

from flows.display import Display
from tasks import progress
from tasks.progress import describe, remaining, reporter


class Log:
    """A logger that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, _level: int, pattern: str, line: str) -> None:
        self.lines.append(pattern % line)


def test_a_training_event_reads_like_a_sentence():
    event = {"stage": "train", "event": "progress", "epoch": 3, "epochs": 15, "step": 12, "steps": 17}
    assert describe({**event, "train_loss": 0.04121, "rows_per_second": 480.4}) == (
        "train: epoch 3/15, step 12/17, loss 0.0412, 480 rows/s"
    )


def test_what_has_no_word_of_its_own_is_still_said():
    assert describe({"stage": "release", "event": "alias moved", "alias": "champion"}) == (
        "release: alias moved, alias champion"
    )


def test_the_share_that_is_left_follows_epochs_and_steps():
    assert remaining({"epoch": 2, "epochs": 4, "step": 5, "steps": 10}) == pytest.approx(0.625)
    assert remaining({"done": 1, "total": 4}) == pytest.approx(0.75)
    assert remaining({"event": "export"}) is None


def test_the_log_gets_an_epochs_end_at_once_and_steps_only_now_and_then():
    log = Log()
    report = reporter("train", log)
    for step in range(5):
        report({"event": "progress", "epoch": 1, "epochs": 1, "step": step, "steps": 5, "train_loss": 1.0})
    report({"event": "progress", "epoch": 1, "epochs": 1, "step": 5, "steps": 5, "validation_loss": 0.5})
    assert len(log.lines) == 2
    assert "validation loss 0.5000" in log.lines[-1]


def test_epochs_of_milliseconds_do_not_flood_the_log_and_the_last_is_in_it():
    log = Log()
    report = reporter("train", log)
    for epoch in range(1, 401):
        report({"event": "progress", "epoch": epoch, "epochs": 400, "step": 8, "steps": 8, "validation_loss": 1.0})
    assert len(log.lines) < 20
    assert "epoch 400/400" in log.lines[-1]


def test_a_piped_display_writes_plain_lines_without_control_characters():
    stream = io.StringIO()
    with Display(stream):
        reporter("train", Log())({"event": "start", "family": "cnn"})
        reporter("train", Log())({"event": "cached", "seconds": 0.25})
    assert "  train: start, family cnn\n" in stream.getvalue()
    assert "= train" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_a_stages_line_is_in_the_log_of_the_whole_run_too_once(monkeypatch: pytest.MonkeyPatch):
    stage, whole = Log(), Log()
    stage.extra, whole.extra = {"flow_run_id": "2"}, {"flow_run_id": "1"}  # type: ignore[attr-defined]
    monkeypatch.setattr(progress, "_run_log", whole)
    reporter("train", stage)({"event": "done"})
    reporter("pipeline", whole)({"event": "done"})
    assert (stage.lines, whole.lines) == (["train: done"], ["train: done", "pipeline: done"])


def test_what_is_done_piece_by_piece_tells_its_pace_and_the_time_left(monkeypatch: pytest.MonkeyPatch):
    clock = [100.0]
    monkeypatch.setattr("tasks.progress.time.monotonic", lambda: clock[0])
    seen: list[progress.Event] = []
    stop, report = progress.listen(seen.append), reporter("prepare", Log())
    try:
        for seconds, done in ((0, 20), (0.5, 21), (10, 40), (20, 100)):
            clock[0] = 100 + seconds
            report({"done": done, "total": 100, "rows": 1000 * done})
    finally:
        stop()
    assert [(one.get("rows_per_second"), one.get("time_left")) for one in seen] == [
        (None, None),
        (None, None),
        (2000, "30 s"),
        (4000, None),
    ]
    assert describe(seen[2]) == "prepare: shard 40/100, 40,000 rows, 2,000 rows/s, 30 s left"


@pytest.mark.parametrize(("seconds", "said"), [(119, "119 s"), (600, "10 min"), (9000, "2.5 h")])
def test_a_long_time_is_said_in_minutes_and_hours(seconds: float, said: str, monkeypatch: pytest.MonkeyPatch):
    clock = [0.0]
    monkeypatch.setattr("tasks.progress.time.monotonic", lambda: clock[0])
    seen: list[progress.Event] = []
    stop, report = progress.listen(seen.append), reporter("prepare", Log())
    try:
        report({"done": 0, "total": 2})
        clock[0] = seconds
        report({"done": 1, "total": 2})
    finally:
        stop()
    assert seen[1]["time_left"] == said
