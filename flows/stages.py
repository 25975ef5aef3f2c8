"""The chain, said once: which step follows which. A run carries it out (`flows.running`), a plan only looks (`flows.planning`).

No Prefect here: the flows beside this file give each stage its place in Prefect.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from flows.settings import PipelineConfig
from flows.steps import CHOOSE, COMPRESS, ENCODE, FIT, JUDGE, MEASURE, PREPARE, RELEASE, SCORE, TRAIN, Step
from infra.machine import processor, resolve_device
from storage.refs import ArtifactRef, DatasetRef, FeaturesRef, ModelRef, ReleaseRef, ScoresRef, TransformsRef
from tasks.frames.identity import source_identity, tokenizer_identity
from tasks.judgement import ALREADY_CHAMPION, Champion, Judgement, find_champion
from tasks.pinning import pinned_transforms
from tasks.recipes import UNCOMPRESSED, recipes_for
from tasks.results import read_choice, read_verdict
from tasks.scoring.decisions import Verdict


class Steps(Protocol):
    """What carries a chain out, or looks at it."""

    config: PipelineConfig

    @property
    def storage(self) -> str:
        """The store's URL."""
        ...

    def step(self, step: Step, label: str = "", **inputs: Any) -> Any:
        """The step's output."""
        ...

    def each(self, step: Step, cases: Mapping[str, Mapping[str, Any]], parallel: int) -> dict[str, Any]:
        """The outputs of the same step for several sets of inputs, by label."""
        ...

    def read(self, function: Callable[..., Any], *values: Any) -> Any:
        """What `function` makes of outputs, for what has to be known before the next step."""
        ...


@dataclass(frozen=True)
class Prepared:
    """What the stage prepare hands on."""

    dataset: DatasetRef
    transforms: TransformsRef
    features: FeaturesRef


@dataclass(frozen=True)
class Candidates:
    """What the stage compress hands on: artifacts by recipe name, and the uncompressed model exported to the same runtime."""

    baseline: ArtifactRef
    artifacts: dict[str, ArtifactRef]


def prepare(run: Steps) -> Prepared:
    """Raw rows → checked, split data set → fitted transforms → features."""
    dataset = run.step(PREPARE, identity=source_identity(run.config.data))
    config = run.config
    pinned = pinned_transforms(config.transforms.pin, run.storage, config.name, config.release.alias)
    transforms = run.step(FIT, dataset=dataset, pinned=pinned, tokenizer=tokenizer_identity(config.transforms))
    features = run.step(ENCODE, dataset=dataset, transforms=transforms)
    return Prepared(dataset, transforms, features)


def train(run: Steps, prepared: Prepared) -> ModelRef:
    """Features → model."""
    return run.step(TRAIN, device=resolve_device(run.config.train.device), features=prepared.features)


def compress(run: Steps, prepared: Prepared, model: ModelRef) -> Candidates:
    """Model → candidates, the fp32 model among them."""
    common = {
        "device": resolve_device(run.config.train.device),
        "model": model,
        "features": prepared.features,
        "transforms": prepared.transforms,
    }
    recipes = recipes_for(run.config.compress, run.config.train)
    cases = {recipe.name: {"recipe": recipe, **common} for recipe in recipes}
    artifacts = run.each(COMPRESS, cases, parallel=run.config.compress.parallel)
    return Candidates(artifacts.pop(UNCOMPRESSED.name), artifacts)


def evaluate(run: Steps, prepared: Prepared, candidates: Candidates) -> Judgement:
    """Candidates → scores, latencies → the one to judge → verdict, beside the model that serves today."""
    features = prepared.features
    everyone = {UNCOMPRESSED.name: candidates.baseline, **candidates.artifacts}
    cases = {name: {"artifact": artifact, "features": features, **_how(run)} for name, artifact in everyone.items()}
    scores = run.each(SCORE, cases, parallel=2)
    latency = run.step(
        MEASURE,
        artifacts=candidates.artifacts,
        baseline=candidates.baseline,
        features=features,
        processor=processor(),
    )
    chosen = run.step(CHOOSE, everyone=everyone, scores=scores, latency=latency, features=features)
    choice = run.read(read_choice, chosen)
    artifact = everyone[choice.name]
    champion = find_champion(run.storage, run.config.name, run.config.release.alias, artifact, prepared.dataset)
    return Judgement(
        artifact=artifact,
        scores=scores[choice.name],
        metric=run.config.evaluate.metric,
        choice=choice,
        verdict=ALREADY_CHAMPION if champion.same else _judged(run, prepared, choice.name, scores, champion),
        champion_version=champion.version,
        everyone=everyone,
        all_scores=scores,
        latency=latency,
    )


def release(run: Steps, prepared: Prepared, judgement: Judgement) -> ReleaseRef | None:
    """A promoted candidate → a signed, numbered version behind an alias; what is not promoted is not released."""
    if judgement.verdict.decision != "promote":
        return None
    return run.step(
        RELEASE,
        name=run.config.name,
        artifact=judgement.artifact,
        dataset=prepared.dataset,
        scores=judgement.scores,
        expected_version=judgement.champion_version,
    )


def _judged(
    run: Steps, prepared: Prepared, chosen: str, scores: Mapping[str, ScoresRef], champion: Champion
) -> Verdict:
    """The gate's verdict on the chosen candidate, beside the champion where there is one to compare with."""
    if champion.to_compare:
        champion = champion.scored(_score_champion(run, prepared, champion))
    verdict = run.step(
        JUDGE,
        scores=scores[chosen],
        teacher=scores[UNCOMPRESSED.name],
        features=prepared.features,
        champion=champion.facts,
    )
    return run.read(read_verdict, verdict)


def _score_champion(run: Steps, prepared: Prepared, champion: Champion) -> ScoresRef:
    """The champion's answers to this run's test rows, made features by its own transforms."""
    features = run.step(ENCODE, "encode for champion", dataset=prepared.dataset, transforms=champion.transforms)
    return run.step(SCORE, "score champion", artifact=champion.artifact, features=features, **_how(run))


def _how(run: Steps) -> dict[str, Any]:
    section = run.config.evaluate
    return {"confidence": section.confidence, "resamples": section.resamples, "seed": section.seed}
