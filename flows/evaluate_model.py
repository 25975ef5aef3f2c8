"""evaluate: candidates → scores, latencies, choice, verdict."""

from flows import stages
from flows.compress_model import compress_model
from flows.flow import flow
from flows.parameters import Config, Overrides, Preset
from flows.prepare_data import prepare_data
from flows.running import running
from flows.stages import Candidates, Prepared
from tasks.judgement import Judgement


@flow(name="evaluate-model")
def evaluate_model(
    preset: Preset = None,
    config: Config = None,
    overrides: Overrides = None,
    prepared: Prepared | None = None,
    candidates: Candidates | None = None,
) -> Judgement:
    """Score every candidate, choose one on validation rows, judge it on test rows against teacher and champion."""
    with running("evaluate-model", preset, config, overrides) as run:
        prepared = prepared or prepare_data(config=run.config)
        return stages.evaluate(run, prepared, candidates or compress_model(config=run.config, prepared=prepared))
