"""Whatever a caller, another thread or a cluster has set: the same bits, and all as it was."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.state import GradientState
from PIL import Image, ImageFile
from torch import Tensor
from toys import toy_items, toy_registry
from trainings import config, metrics, registry, resume, train

import mmvae
from mmvae.data.in_memory import as_split
from mmvae.foundations.errors import TrainingError
from mmvae.foundations.progress import Progress
from mmvae.foundations.surroundings import exclusive, undisturbed
from mmvae.inference.imputation import imputations
from mmvae.inference.model_folder import load_model
from mmvae.inference.retrieval import retrieve

ITEMS = toy_items(20, seed=3)


def digest(values: Any) -> str:
    """The bits of tensors, arrays or what holds them, with their types."""
    if isinstance(values, dict):
        values = [digest(values[name]) for name in sorted(values)]
    if isinstance(values, Tensor):
        values = values.numpy()
    content = repr(values).encode() if not isinstance(values, np.ndarray) else values.tobytes()
    kind = str(getattr(values, "dtype", ""))
    return hashlib.sha256(kind.encode() + content).hexdigest()[:12]


def all_results(folder: Path, precision: str = "float32") -> dict[str, Any]:
    """What a training, its resumption, an evaluation and every use of the model come to."""
    settings = config(train={"precision": precision, "ema": 0.9, "clip_norm": 1.0})
    train(folder, settings, max_steps=7)
    ended = resume(folder)
    figures = mmvae.evaluate(
        folder,
        overrides=["evaluate.coherence=false"],
        registry=registry(),
        progress=Progress(),
    )
    loaded = load_model(folder, registry())
    found = {
        "weights": dict(loaded.model.state_dict()),
        "returned": dict(ended.model.model.state_dict()),
        "embedded": loaded.embed(ITEMS),
        "given": loaded.embed(ITEMS, ["c"]),
        "generated": loaded.generate(given={"c": [0, 1]}, count=3, sample=True, seed=1),
        "prior": loaded.generate(count=4, temperature=0.5),
        "reconstructed": loaded.reconstruct(ITEMS),
        "score": loaded.score(ITEMS, samples=5),
        "elbo": loaded.elbo(ITEMS),
        "found": retrieve(loaded, as_split(ITEMS, "items"), "v", "c", 3).distances,
        "filled": imputations(loaded, as_split({"v": ITEMS["v"]}, "items"), "sample")["c"].cells,
    }
    told = {k: v for k, v in figures.items() if k not in ("data", "weights")}
    return {name: digest(value) for name, value in found.items()} | {
        "metrics": metrics(folder),
        "figures": told,
    }


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
        assert torch.get_default_dtype() == dtype
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device(device: str) -> Iterator[None]:
    torch.set_default_device(device)
    try:
        yield
        assert torch.get_default_device().type == device
    finally:
        torch.set_default_device(None)


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def precision_of(operation: Any, precision: str) -> Iterator[None]:
    before = operation.fp32_precision
    operation.fp32_precision = precision
    try:
        yield
        assert operation.fp32_precision == precision
    finally:
        operation.fp32_precision = before


@contextmanager
def attribute(module: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
        assert getattr(module, name) == value
    finally:
        setattr(module, name, before)


@contextmanager
def deterministic_algorithms() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def autocast(enabled: bool = True) -> Iterator[None]:
    with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
        yield
        assert torch.is_autocast_enabled("cpu") == enabled
        assert torch.is_autocast_cache_enabled()


@contextmanager
def unfinished_accumulation() -> Iterator[None]:
    """What the caller's own loop leaves, if it ends between two updates."""
    GradientState()._set_sync_gradients(False)
    yield
    GradientState._reset_state()


@contextmanager
def another_state_of_randomness() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        before = torch.get_rng_state()
        yield
        assert torch.equal(torch.get_rng_state(), before)


@contextmanager
def numpy_errors() -> Iterator[None]:
    with np.errstate(all="raise"):
        yield
        assert np.geterr()["under"] == "raise"


@contextmanager
def variables(**values: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
        assert {name: os.environ.get(name) for name in values} == values
        assert os.environ.keys() == before.keys() | values.keys()
    finally:
        for name in values:
            os.environ.pop(name, None)
        os.environ.update(before)


ACCELERATE = {
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4",
    "ACCELERATE_MIXED_PRECISION": "bf16",
    "ACCELERATE_USE_CPU": "maybe",
    "ACCELERATE_DYNAMO_BACKEND": "EAGER",
    "ACCELERATE_DYNAMO_MODE": "reduce-overhead",
    "ACCELERATE_USE_FSDP": "true",
    "ACCELERATE_USE_DEEPSPEED": "true",
    "ACCELERATE_USE_MEGATRON_LM": "true",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "true",
    "ACCELERATE_TORCH_DEVICE": "meta",
    "ACCELERATE_DEBUG_MODE": "yes",
}

LEFT_BEHIND = {
    "WORLD_SIZE": "1",
    "RANK": "0",
    "LOCAL_RANK": "0",
    "PMI_SIZE": "1",
    "PMI_RANK": "0",
    "OMPI_COMM_WORLD_SIZE": "1",
    "MV2_COMM_WORLD_RANK": "3",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "2",
}

SURROUNDINGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "another device": lambda: default_device("meta"),
    "a device around": lambda: torch.device("meta"),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": autocast,
    "coarse products": lambda: matmul_precision("medium"),
    "products in bfloat16": lambda: precision_of(torch.backends.mkldnn.matmul, "bf16"),
    "everything in bfloat16": lambda: precision_of(torch.backends, "bf16"),
    "no oneDNN": lambda: attribute(torch.backends.mkldnn, "enabled", False),
    "deterministic algorithms": deterministic_algorithms,
    "accumulation": unfinished_accumulation,
    "randomness": another_state_of_randomness,
    "numpy errors": numpy_errors,
    "accelerate": lambda: variables(**ACCELERATE),
    "left behind": lambda: variables(**LEFT_BEHIND),
}


@pytest.fixture(scope="module")
def undisturbed_results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return all_results(tmp_path_factory.mktemp("runs") / "alone")


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_surroundings_change_no_result(name: str, undisturbed_results, tmp_path: Path) -> None:
    with SURROUNDINGS[name]():
        found = all_results(tmp_path / "run")
    assert found == undisturbed_results


@pytest.mark.parametrize("enabled", [True, False])
def test_autocast_around_a_training_in_bfloat16_keeps_no_old_weights(
    enabled: bool, tmp_path: Path
) -> None:
    alone = all_results(tmp_path / "alone", "bfloat16")
    with autocast(enabled):
        assert all_results(tmp_path / "within", "bfloat16") == alone


def test_threads_that_train_at_once_get_what_one_alone_gets(
    undisturbed_results, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(3) as pool:
        runs = [tmp_path / str(i) for i in range(3)]
        assert all(found == undisturbed_results for found in pool.map(all_results, runs))


def test_a_training_and_samples_drawn_in_another_thread_leave_each_other_alone(
    undisturbed_results, tmp_path: Path, toy_run: Path
) -> None:
    def drawn() -> str:
        loaded = load_model(toy_run, toy_registry())
        return digest(loaded.generate(given={"c": [0, 1]}, count=50, sample=True, seed=1))

    alone, over, others = drawn(), threading.Event(), list[str]()

    def draw() -> None:
        while not over.is_set():
            others.append(drawn())

    thread = threading.Thread(target=draw)
    before = torch.get_rng_state()
    thread.start()
    try:
        found = all_results(tmp_path / "run")
    finally:
        over.set()
        thread.join()
    assert found == undisturbed_results
    assert set(others) == {alone}
    assert torch.equal(torch.get_rng_state(), before)


def test_threads_within_at_once_put_back_what_there_was_before_the_first() -> None:
    here, there = threading.Event(), threading.Event()

    def stay() -> None:
        with undisturbed():
            here.set()
            there.wait(10)

    with default_dtype(torch.float64):
        thread = threading.Thread(target=stay)
        with undisturbed():
            thread.start()
            assert here.wait(10)
        assert torch.get_default_dtype() == torch.float32, "the other thread is still within"
        there.set()
        thread.join()
        assert torch.get_default_dtype() == torch.float64


def test_settings_of_pillow_are_those_of_a_fresh_process() -> None:
    cut = io.BytesIO()
    Image.effect_noise((32, 32), 50).save(cut, "PNG")
    half = cut.getvalue()[: len(cut.getvalue()) // 2]
    with attribute(ImageFile, "LOAD_TRUNCATED_IMAGES", True), undisturbed():
        with pytest.raises(OSError, match="truncated"):
            Image.open(io.BytesIO(half)).load()
    with attribute(Image, "MAX_IMAGE_PIXELS", 10), undisturbed():
        assert Image.open(io.BytesIO(cut.getvalue())).size == (32, 32)


def test_the_settings_are_the_defaults() -> None:
    """In a fresh process, so that nothing else has changed them."""
    code = (
        "from mmvae.foundations.process_settings import SETTINGS\n"
        "assert [s.get() for s in SETTINGS] == [s.fresh for s in SETTINGS]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))


def test_threads_of_a_training_end_with_it(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    train(tmp_path / "run", config(train={"threads": before + 1}), max_steps=1)
    assert torch.get_num_threads() == before


def test_an_error_leaves_surroundings_as_they_were() -> None:
    with default_dtype(torch.float64), variables(ACCELERATE_USE_CPU="true"):
        with pytest.raises(KeyError), exclusive():
            os.environ["ACCELERATE_USE_CPU"]
        assert torch.get_default_dtype() == torch.float64


@pytest.mark.parametrize("settings", [undisturbed, exclusive])
@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")]
)
def test_a_lack_of_memory_is_told_once_by_the_outermost(settings, error):
    def computing():
        with undisturbed():
            raise error

    def within() -> None:
        with settings():
            with pytest.raises(type(error)):  # whoever lies between may know more
                computing()
            computing()

    with pytest.raises(TrainingError, match="Out of memory.*count="):
        within()
    with pytest.raises(TrainingError, match="Out of memory"):
        computing()


def test_other_errors_stay_as_they_are():
    with pytest.raises(RuntimeError, match="^other$"), undisturbed():
        raise RuntimeError("other")
