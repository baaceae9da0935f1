"""Precision and compilation of training steps: repeatable, scored in float32, or refused."""

import functools
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from training_samples import CONFIG, make_trainer, open_session, same_bits, train

from hpo.errors import InputError
from hpo.features import Bundle
from hpo.models import CHOICES, Dropout, asymmetric_loss
from hpo.training import COMPILERS, PRECISIONS, Arithmetic, RunSpec, Trainer, forward

BF16 = Arithmetic(precision="bf16")
COMPILED = Arithmetic(compiler="default")


@pytest.fixture
def no_inductor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``torch.compile`` trace and cut the graph, but not call a C++ compiler."""
    compile = functools.partial(torch.compile, backend="aot_eager")

    def without_mode(module: torch.nn.Module, *, mode: str, dynamic: bool) -> object:
        assert mode in COMPILERS[1:]
        return compile(module, dynamic=dynamic)

    monkeypatch.setattr(torch, "compile", without_mode)
    torch.compiler.reset()


def trainer_with(folder: Path, bundle: Bundle, arithmetic: Arithmetic) -> Trainer:
    return make_trainer(folder, bundle, arithmetic=arithmetic)


def test_bf16_is_not_float32(tmp_path: Path, bundle: Bundle) -> None:
    exact = train(open_session(make_trainer(tmp_path / "a", bundle)), 2)
    mixed = train(open_session(trainer_with(tmp_path / "b", bundle, BF16)), 2)
    assert mixed != exact


def test_bf16_keeps_weights_and_scores_in_float32(tmp_path: Path, bundle: Bundle) -> None:
    trainer = trainer_with(tmp_path, bundle, BF16)
    session = open_session(trainer)
    record = train(session, 3)[-1]
    weights = session.weights()
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    module = trainer.build(session.spec, torch.Generator())
    module.load_state_dict(weights)
    val = trainer.data.run_data("none", "train").val
    assert val is not None
    logits = forward(module, val.inputs, 50)
    loss = asymmetric_loss(logits, val.targets, 0, 0, 0).double() / val.targets.numel()
    assert record["val_loss"] == loss.item()


@pytest.mark.parametrize("head", ["mlp", "gmlp"])
@pytest.mark.parametrize("fusion", list(CHOICES["fusion"]))
def test_every_fusion_and_head_trains_in_bf16(
    tmp_path: Path, bundle: Bundle, fusion: str, head: str
) -> None:
    dropped = {"dropout": 0.2, "input_dropout": 0.2, "modality_dropout": 0.2}
    config = CONFIG.replace(fusion=fusion, head=head, batch_size=60, ema_decay=0.9, **dropped)
    model = trainer_with(tmp_path, bundle, BF16).model(config, 0)
    first, *_, last = train(model, 4)
    assert last["train_loss"] < first["train_loss"]
    assert last["micro_f1"] > 0


def test_batches_and_masks_are_bf16_then(tmp_path: Path, bundle: Bundle) -> None:
    """Held and mapped rows alike, with the same bits."""
    config = CONFIG.replace(batch_size=60, input_dropout=0.3, dropout=0.3)
    records = {}
    for memory_gb in (1.0, 0.0):
        arithmetic = {"arithmetic": BF16, "memory_gb": memory_gb}
        trainer = make_trainer(tmp_path / str(memory_gb), bundle, **arithmetic)
        seen: set[torch.dtype] = set()
        build = trainer.build

        def noting(
            spec: RunSpec,
            generator: torch.Generator,
            build: Callable[..., torch.nn.Module] = build,
            seen: set[torch.dtype] = seen,
        ) -> torch.nn.Module:
            module = build(spec, generator)
            for layer in module.modules():
                if isinstance(layer, Dropout):
                    layer.register_forward_hook(
                        lambda layer, given, found: (
                            seen.update((given[0].dtype, found.dtype)) if layer.training else None
                        )
                    )
            return module

        trainer.build = noting  # type: ignore[method-assign]
        records[memory_gb] = train(open_session(trainer, config), 2)
        assert seen == {torch.bfloat16}
    assert records[0.0] == records[1.0]


@pytest.mark.parametrize("changes", [{}, {"batch_size": 60, "ema_decay": 0.9}], ids=str)
@pytest.mark.usefixtures("no_inductor")
def test_compiled_runs_are_resumed_with_the_same_bits(
    tmp_path: Path, bundle: Bundle, changes: dict[str, object]
) -> None:
    config = CONFIG.model_copy(update=changes)
    whole = open_session(trainer_with(tmp_path / "a", bundle, COMPILED), config)
    records = train(whole, 6)
    first = open_session(trainer_with(tmp_path / "b", bundle, COMPILED), config)
    train(first, 2)
    first.finish()
    second = open_session(trainer_with(tmp_path / "b", bundle, COMPILED), config)
    assert second.known == 2
    assert train(second, 6) == records
    assert same_bits(second.weights(), whole.weights())


@pytest.mark.usefixtures("no_inductor")
def test_compiled_steps_are_those_of_the_module(tmp_path: Path, bundle: Bundle) -> None:
    """Masks included, which must go on from one micro-batch to the next."""
    exact = train(open_session(make_trainer(tmp_path / "a", bundle)), 4)
    found = train(open_session(trainer_with(tmp_path / "b", bundle, COMPILED)), 4)
    for mine, other in zip(found, exact, strict=True):
        assert mine == pytest.approx(dict(other), rel=1e-5)


@pytest.mark.usefixtures("no_inductor")
def test_more_shapes_than_pytorch_would_compile(tmp_path: Path, bundle: Bundle) -> None:
    """At its own limit of 8 it would go on uncompiled, with no more than a warning."""
    trainer = make_trainer(tmp_path, bundle, arithmetic=COMPILED, micro_batch=220)
    graphs = torch._dynamo.utils.counters["stats"]
    before = [graphs["unique_graphs"]]
    for width in range(2, 22, 2):
        open_session(trainer, CONFIG.model_copy(update={"hidden": (width,)})).advance()
        before.append(graphs["unique_graphs"])
    assert all(a < b for a, b in itertools.pairwise(before))


def test_each_arithmetic_has_its_own_runs(tmp_path: Path, bundle: Bundle) -> None:
    addresses = {
        trainer_with(tmp_path, bundle, arithmetic).model(CONFIG, 0).specs[0].address
        for arithmetic in (Arithmetic(), BF16, COMPILED)
    }
    assert len(addresses) == 3


@pytest.mark.parametrize(
    ("arithmetic", "device", "message"),
    [
        (
            Arithmetic(precision="bf61"),
            "cpu",
            r"^--precision is 'bf61' \(did you mean 'bf16'\?\), but must be one of: float32, "
            r"tf32, bf16\.$",
        ),
        (
            Arithmetic(compiler="on"),
            "cuda",
            r"^--compile is 'on', but must be one of: off, default, reduce-overhead, "
            r"max-autotune\.$",
        ),
        (
            Arithmetic(precision="tf32"),
            "cpu",
            r"^--precision is tf32, which needs cuda, but must be float32 or bf16 on cpu\.$",
        ),
        (
            Arithmetic(compiler="reduce-overhead"),
            "cpu",
            r"^--compile is reduce-overhead, which captures CUDA graphs, but must be off, "
            r"default or max-autotune on cpu\.$",
        ),
    ],
)
def test_what_a_device_cannot_do_is_refused(
    arithmetic: Arithmetic, device: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        arithmetic.check(device)


def test_a_gpu_can_do_it_all() -> None:
    for precision in PRECISIONS:
        for compiler in COMPILERS:
            Arithmetic(1, precision, compiler).check("cuda")
