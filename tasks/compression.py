"""Stage compress: one candidate from a trained model and a recipe, in a process of its own, as an artifact that can be served."""

import json
import sys

from infra.launcher import launch
from storage.manifests import put_files, read_manifest
from storage.objects import open_store
from storage.refs import ArtifactRef, FeaturesRef, ModelRef, TransformsRef
from storage.root import scratch_folder
from tasks.policies import step
from tasks.progress import reporter
from tasks.sections import Recipe, TrainSection
from tasks.stored import collect, lay_out, read_files

MARKS = ("continued",)  # what a model bears, its candidates bear too


@step("compress")
def compress(
    recipe: Recipe,
    train: TrainSection,
    device: str,
    model: ModelRef,
    features: FeaturesRef,
    transforms: TransformsRef,
    storage: str,
) -> ArtifactRef:
    """Run the recipe's passes on the model and export it; no pass: the fp32 model as it is."""
    from tasks.arrays import lay_out_arrays

    store = open_store(storage)
    with scratch_folder(f"compress-{recipe.name}") as folder:
        manifest, trained = read_manifest(store, features.digest), read_manifest(store, model.digest)
        job = {
            "recipe": recipe.model_dump(mode="json"),
            "train": train.model_copy(update={"device": device}).model_dump(mode="json"),
            "model": str(lay_out(store, trained, folder / "model")),
            "features": str(lay_out_arrays(store, features.digest, folder / "features")),
            "meta": dict(manifest.meta),
            "output": str(folder / "output"),
        }
        job_file = folder / "job.json"
        job_file.write_text(json.dumps(job))
        report = reporter(f"compress {recipe.name}")
        argv = [sys.executable, "-m", "tasks.nn.compressor", str(job_file)]
        launch(argv, on_line=report, log=folder / "compress.log", threads=train.threads)
        facts = json.loads((folder / "output" / "facts.json").read_bytes())
        fitted = read_files(store, read_manifest(store, transforms.digest))
        files = collect(folder / "output", leave_out={"facts.json"})
        files |= {f"transforms/{name}": content for name, content in fitted.items()}
        meta = {
            "family": train.family,
            "recipe": recipe.name,
            "task": manifest.meta["task"],
            "classes": manifest.meta.get("classes"),
            "transforms": transforms.digest,
            **facts,
            **{mark: trained.meta[mark] for mark in MARKS if mark in trained.meta},
        }
        return ArtifactRef(storage, put_files(store, "artifact", files, meta))
