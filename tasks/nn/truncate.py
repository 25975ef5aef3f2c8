"""Pass truncate: the first trees of an ensemble."""

from dataclasses import replace

from storage.errors import ConfigError
from tasks.graphs.truncate import truncate_trees
from tasks.nn.candidates import Candidate, Context
from tasks.sections import Truncate


def apply(candidate: Candidate, settings: Truncate, context: Context) -> Candidate:
    """The first `share` of the ensemble's iterations, at least one (an iteration of boosting has a tree for each class)."""
    options = candidate.description["options"]
    if "trees" not in options or candidate.graph is None:
        raise ConfigError(
            f"pass truncate: found family {candidate.description['family']} without trees, wanted a tree ensemble"
        )
    each = options["trees_per_iteration"]
    keep = max(round(options["trees"] / each * settings.share), 1) * each
    graph = truncate_trees(candidate.graph, keep, averaged=options["estimator"] == "random_forest")
    return replace(candidate, graph=graph, description=candidate.description | {"options": options | {"trees": keep}})
