"""What kind of model a file is, by its content and never by its name. What runs its maker's code when it is loaded is refused."""

import pickletools
import zipfile
from pathlib import Path

from storage.errors import NotFound, Untrusted
from tasks.inference.formats import describe, is_onnx, is_safetensors

ONNX, SAFETENSORS, SKOPS = "ONNX", "safetensors", "skops"
WEIGHTS, DESCRIPTION = "weights.safetensors", "model.json"
RUNS_CODE = "loading it runs whatever code its maker put into it, so it is never loaded here"
OTHER_RUNTIME = "this format is not read here"
FROM_TORCH = (
    'torch.onnx.export(model.eval(), (x,), "model.onnx", dynamo=True, external_data=False, '
    'dynamic_shapes=({0: torch.export.Dim("batch")},))'
)
FROM_SKLEARN = 'import skops.io; skops.io.dump(model, "model.skops")'
FROM_KERAS = 'pip install tf2onnx, then: python -m tf2onnx.convert --saved-model FOLDER --output model.onnx  (model.export("FOLDER") writes it)'
FROM_OUR_FAMILIES = "one of millrace's own families: safetensors.torch.save_file(model.state_dict(), 'weights.safetensors'), model.json beside it"
PICKLES = (f"scikit-learn: {FROM_SKLEARN}", f"torch: {FROM_TORCH}", FROM_OUR_FAMILIES)
COMPRESSED = (
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
    b"\x04\x22\x4d\x18",
    b"\x78\x01",
    b"\x78\x5e",
    b"\x78\x9c",
    b"\x78\xda",
    b"ZF",
)
MAGIC = {
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file, as Keras writes (it may hold pickled Python code)", RUNS_CODE, (FROM_KERAS,)),
    b"CBM1": ("a CatBoost model", OTHER_RUNTIME, ('model.save_model("model.onnx", format="onnx")',)),
    b"GGUF": ("a GGUF file", OTHER_RUNTIME, ("language models of others are not served",)),
    b'{"learner"': ("an XGBoost model", OTHER_RUNTIME, ("onnxmltools.convert_xgboost(model, initial_types=[('x', FloatTensorType([None, F]))])",)),
    b"tree\n": ("a LightGBM model", OTHER_RUNTIME, ("onnxmltools.convert_lightgbm(model, initial_types=[('x', FloatTensorType([None, F]))])",)),
}  # fmt: skip


def tell_kind(path: Path) -> tuple[str, Path]:
    """ONNX, safetensors or skops, and the file that holds the model; of a folder the weights in it.

    NotFound where there is none; Untrusted for everything else, with the reason and the lines that convert it.
    """
    if path.is_dir():
        path = _in_folder(path)
    if not path.is_file():
        raise NotFound(f"{path}: no such file; give an ONNX, skops or safetensors file, or a folder with {WEIGHTS}")
    with path.open("rb") as file:
        head = file.read(16)
    _refuse_magic(path, head)
    if head[:2] == b"PK":
        return _zip(path), path
    data = path.read_bytes()
    if _is_pickle(data):
        raise refused(path, "a pickle of the oldest kind", RUNS_CODE, PICKLES)
    if is_onnx(data) or _is_onnx_elsewhere(data):
        return ONNX, path
    if is_safetensors(data):
        return SAFETENSORS, path
    raise refused(path, describe(path), "it is no whole ONNX, safetensors or skops file", PICKLES)


def refused(path: Path, found: str, reason: str, ways: tuple[str, ...]) -> Untrusted:
    """The refusal of a file, with the ways to convert it."""
    lines = "\n".join(f"  {way}" for way in ways)
    return Untrusted(f"{path}: found {found}; {reason}. Where it was made, convert it:\n{lines}")


def _in_folder(folder: Path) -> Path:
    if (folder / WEIGHTS).exists():
        return folder / WEIGHTS
    if (folder / "saved_model.pb").exists():
        raise refused(folder, "a TensorFlow SavedModel", OTHER_RUNTIME, (FROM_KERAS,))
    raise NotFound(
        f"{folder}: found a folder without {WEIGHTS}, wanted a file, or a folder that holds {WEIGHTS} and {DESCRIPTION}"
    )


def _refuse_magic(path: Path, head: bytes) -> None:
    for magic, (found, reason, ways) in MAGIC.items():
        if head.startswith(magic):
            raise refused(path, found, reason, ways)
    if head[4:8] == b"TFL3":
        raise refused(
            path,
            "a TensorFlow Lite model",
            OTHER_RUNTIME,
            ("python -m tf2onnx.convert --tflite FILE --output model.onnx",),
        )
    if describe(path) == "a pickle":
        raise refused(path, "a pickle (so are joblib's files, and torch's old ones)", RUNS_CODE, PICKLES)
    if head.startswith(COMPRESSED):
        raise refused(path, "a compressed file (joblib writes pickles so)", RUNS_CODE, PICKLES)


def _zip(path: Path) -> str:
    """skops; other archives are refused by what is in them."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except zipfile.BadZipFile as error:
        raise refused(
            path, f"a zip archive that is damaged ({error})", "nothing can be read from it", PICKLES
        ) from None
    if "schema.json" in names:
        return SKOPS
    if any(name.endswith(".pkl") or name.endswith(("/version", "/archive_format")) for name in names):
        raise refused(
            path, "a torch file, a zip archive of pickles", RUNS_CODE, (f"torch: {FROM_TORCH}", FROM_OUR_FAMILIES)
        )
    if "model.weights.h5" in names:
        raise refused(path, "a Keras file (its configuration may hold Python code)", RUNS_CODE, (FROM_KERAS,))
    raise refused(
        path,
        f"a zip archive of {', '.join(sorted(names)[:4]) or 'nothing'}",
        "it is no model that is read here",
        PICKLES,
    )


def _is_pickle(data: bytes) -> bool:
    """Whether all of it is a pickle's operations, which are only read here; protocol 0 has no mark at its beginning."""
    try:
        return any(operation.name == "STOP" for operation, _, _ in pickletools.genops(data))
    except Exception:  # noqa: BLE001  it raises almost anything on other bytes
        return False


def _is_onnx_elsewhere(data: bytes) -> bool:
    """Whether it is an ONNX file whose weights lie in other files: refused later, with the way to join them."""
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        return False
    return bool(model.ir_version and model.opset_import and len(model.graph.node))
