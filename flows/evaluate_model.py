"""evaluate: candidates → scores, latencies, choice, verdict."""

from flows.compress_model import Candidates, compress_model
from flows.flow import flow
from flows.parameters import Config, Overrides, Preset
from flows.prepare_data import Prepared, prepare_data
from flows.running import running
from flows.steps import ENCODE, MEASURE, SCORE
from infra.machine import processor
from tasks.judgement import Judgement, choose, find_champion, judge
from tasks.recipes import UNCOMPRESSED


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
        candidates = candidates or compress_model(config=run.config, prepared=prepared)
        section = run.config.evaluate
        how = {"confidence": section.confidence, "resamples": section.resamples, "seed": section.seed}
        everyone = {UNCOMPRESSED.name: candidates.baseline, **candidates.artifacts}
        cases = {
            name: {"artifact": artifact, "features": prepared.features, **how} for name, artifact in everyone.items()
        }
        scores = run.each(SCORE, cases, parallel=2)
        latency = run.step(
            MEASURE,
            artifacts=candidates.artifacts,
            baseline=candidates.baseline,
            features=prepared.features,
            processor=processor(),
        )
        choice = choose(section, everyone, scores, latency, prepared.features)
        champion = find_champion(
            run.storage, run.config.name, run.config.release.alias, everyone[choice.name], prepared.dataset
        )
        if champion.to_compare:
            features = run.step(ENCODE, "encode for champion", dataset=prepared.dataset, transforms=champion.transforms)
            rival = run.step(SCORE, "score champion", artifact=champion.artifact, features=features, **how)
            champion = champion.scored(rival)
        return judge(section, choice, everyone, scores, latency, prepared.features, champion)
