"""Train the demo's tiny CLIP encoder and write it to hpo/features/demo_clip/.

    python scripts/train_demo_encoder.py            # about 10 minutes on one CPU core

Scenes are rendered as training goes, from random streams that the demo's own rows never use, and
no scene is seen twice. The loss is CLIP's (Radford et al. 2021, section 2.3 and figure 3). One
thread and fixed seeds: the same versions on the same kind of CPU write the same bytes.
"""

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.loss import ClipLoss
from safetensors.torch import save
from torch import Tensor, nn

from hpo.demo._scenes import CLASS_NAMES, Recipe, make_scene
from hpo.files import atomic_write, write_json

OUT = Path(__file__).resolve().parents[1] / "hpo" / "features" / "demo_clip"
SEED = 20230905
BATCH = 256  # scenes
PEAK_LR = 2e-3
WARMUP = 60  # steps
NORM = 10.0  # mean L2 norm of the embeddings, about that of CLIP ViT-L/14 before normalising

# The image tower is CLIP's ResNet: after 100 steps its loss was where a vision transformer of the
# same cost came after 300. The token table, 49408 x 40, is most of the weights; width 40 keeps the
# file under 6 MB in float16.
CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 64,
        "vision_cfg": {
            "image_size": 64,
            "layers": [1, 1, 1, 1],
            "width": 12,
            "head_width": 64,
        },
        "text_cfg": {
            "context_length": 32,
            "vocab_size": 49408,
            "width": 40,
            "heads": 4,
            "layers": 2,
        },
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
}

TOKENIZER = open_clip.SimpleTokenizer(
    context_length=CONFIG["model_cfg"]["text_cfg"]["context_length"]
)

# Rare objects are as frequent here as common ones, and little is hidden: the encoder is to know
# them all, as CLIP knows more than any one data set shows.
RECIPE = Recipe(
    rates=(0.4,) + (0.12,) * (len(CLASS_NAMES) - 1),
    hidden=0.08,
    unnamed=0.12,
    vague=0.05,
    poster=0.02,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=900, help=f"batches of {BATCH} scenes")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    model = open_clip.CLIP(**CONFIG["model_cfg"], output_dict=True)
    seen = train(model, arguments.steps)
    finish(model, seen)
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_json(arguments.out / "open_clip_config.json", CONFIG)
    weights = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in model.state_dict().items()
    }
    with atomic_write(arguments.out / "open_clip_model.safetensors") as file:
        file.write(save(weights, metadata={"format": "pt"}))
    print(f"wrote {arguments.out}")


def train(model: Any, steps: int) -> Tensor:
    """Train ``model`` in place; return which tokens the captions used, bool [vocabulary]."""
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}],
        lr=PEAK_LR,
        betas=(0.9, 0.98),
    )
    loss_function = ClipLoss()
    seen = torch.zeros(CONFIG["model_cfg"]["text_cfg"]["vocab_size"], dtype=torch.bool)
    start = time.monotonic()
    for step in range(steps):
        pixels, tokens = batch(step)
        seen[tokens.flatten()] = True
        for group in optimizer.param_groups:
            group["lr"] = PEAK_LR * schedule(step, steps)
        outputs = model(pixels, tokens)
        loss = loss_function(**outputs)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))  # CLIP, section 2.5
        if step % 25 == 0 or step == steps - 1:
            logits = outputs["image_features"] @ outputs["text_features"].T
            recall = (logits.argmax(1) == torch.arange(len(logits))).float().mean()
            print(
                f"step {step}/{steps}  loss {loss.item():.3f}  recall@1 {recall:.3f}  "
                f"{time.monotonic() - start:.0f} s",
                flush=True,
            )
    return seen


def batch(step: int) -> tuple[Tensor, Tensor]:
    """Return the images [BATCH, 3, 64, 64] and tokens [BATCH, 32] of one step."""
    scenes = [make_scene(np.random.default_rng([SEED, step, row]), RECIPE) for row in range(BATCH)]
    pixels = torch.from_numpy(np.stack([scene.pixels for scene in scenes]))
    mean = torch.tensor(CONFIG["preprocess_cfg"]["mean"])
    std = torch.tensor(CONFIG["preprocess_cfg"]["std"])
    images = ((pixels.float() / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()
    return images, TOKENIZER([scene.caption for scene in scenes])


def schedule(step: int, steps: int) -> float:
    """Return the share of the peak rate at ``step``: linear warm-up, then half a cosine."""
    if step < WARMUP:
        return (step + 1) / WARMUP
    return 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / max(1, steps - WARMUP)))


@torch.no_grad()
def finish(model: Any, seen: Tensor) -> None:
    """Scale the embeddings to a mean norm of `NORM`, and clear the tokens never trained.

    CLIP's loss normalises, so the scale is free. A token that no caption used would add the noise
    of its initialisation; a row of zeros says nothing and compresses to nothing.
    """
    model.eval()
    model.token_embedding.weight[~seen] = 0
    pixels, tokens = batch(step=10_000_000)
    image_scale = NORM / model.encode_image(pixels).norm(dim=1).mean()
    model.visual.attnpool.c_proj.weight *= image_scale
    model.visual.attnpool.c_proj.bias *= image_scale
    model.text_projection *= NORM / model.encode_text(tokens).norm(dim=1).mean()


if __name__ == "__main__":
    main()
