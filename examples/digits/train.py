#!/usr/bin/env python3
"""Train the digits vision transformer and write what the example ships.

    .venv/bin/python examples/digits/train.py [--epochs N] [--threads N]

Writes beside itself: model.safetensors, test_images.npy (f32 [360, 1, 8, 8], in 0..1) and
test_labels.npy (i64 [360]). The test images take no part in training nor in choosing when to stop.
Seeded throughout: the same PyTorch on the same kind of machine with the same thread count gives the
same file. Run make_goldens.py afterwards, which refreshes the reference logits.
"""

import argparse
import copy
import math
import time

import numpy as np
import torch
from safetensors.torch import save_file

from vit import HERE, DigitsViT, split

SEED = 20240


def augment(x, generator):
    """Shift, turn, scale and shear every image of f32[B, 1, 8, 8] a little, by its own amounts."""
    b = x.shape[0]

    def uniform(limit):
        return (torch.rand(b, generator=generator) * 2 - 1) * limit

    angle = uniform(math.radians(10))
    scale_x, scale_y = 1 + uniform(0.1), 1 + uniform(0.1)
    shear = uniform(0.1)
    shift_x, shift_y = uniform(0.9 / 4), uniform(0.9 / 4)  # 0.9 pixels; the picture spans -1..1
    cos, sin = angle.cos(), angle.sin()
    affine = torch.stack(
        [
            torch.stack([cos * scale_x, -sin * scale_y + shear, shift_x], dim=1),
            torch.stack([sin * scale_x, cos * scale_y, shift_y], dim=1),
        ],
        dim=1,
    )
    grid = torch.nn.functional.affine_grid(affine, list(x.shape), align_corners=False)
    return torch.nn.functional.grid_sample(x, grid, padding_mode="zeros", align_corners=False)


def accuracy(model, x, y):
    with torch.inference_mode():
        return (model(x).argmax(dim=1) == y).float().mean().item()


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--epochs", type=int, default=90)
    args.add_argument(
        "--validate",
        action="store_true",
        help="for tuning: hold a fifth of the training images out, report on them, write nothing",
    )
    args.add_argument("--threads", type=int, default=2)
    args = args.parse_args()

    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(args.threads)
    generator = torch.Generator().manual_seed(SEED)

    train_x, train_y, test_x, test_y = (torch.from_numpy(a) for a in split())
    if args.validate:
        held = torch.arange(len(train_x)) % 5 == 0  # the split has already shuffled them
        train_x, train_y, test_x, test_y = (
            train_x[~held], train_y[~held], train_x[held], train_y[held],
        )
    model = DigitsViT()
    averaged = copy.deepcopy(model)  # running mean of the weights: smoother than the last step's

    batch, peak, warmup = 32, 1.5e-3, 5
    steps_per_epoch = math.ceil(len(train_x) / batch)
    total = args.epochs * steps_per_epoch
    decay = [p for p in model.parameters() if p.ndim >= 2 and p.shape[0] > 1]
    plain = [p for p in model.parameters() if not (p.ndim >= 2 and p.shape[0] > 1)]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}], lr=peak
    )

    start, step = time.time(), 0
    for epoch in range(args.epochs):
        model.train()
        order = torch.randperm(len(train_x), generator=generator)
        loss_sum = 0.0
        for rows in order.split(batch):
            ramp = min(1.0, (step + 1) / (warmup * steps_per_epoch))
            lr = peak * ramp * 0.5 * (1 + math.cos(math.pi * step / total))
            for group in optimizer.param_groups:
                group["lr"] = lr
            logits = model(augment(train_x[rows], generator))
            loss = torch.nn.functional.cross_entropy(logits, train_y[rows], label_smoothing=0.05)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
            loss_sum += loss.item() * len(rows)
            keep = min(0.98, step / (step + 10))  # about the last fifty steps
            with torch.no_grad():
                for mean, now in zip(averaged.parameters(), model.parameters()):
                    mean.lerp_(now, 1 - keep)
        if epoch % 10 == 9 or epoch == args.epochs - 1:
            print(
                f"epoch {epoch + 1:3d}  loss {loss_sum / len(train_x):.4f}"
                f"  {time.time() - start:.0f} s",
                flush=True,
            )

    averaged.eval()
    print(f"train accuracy {accuracy(averaged, train_x, train_y) * 100:.2f} %")
    kind = "held-out" if args.validate else "test"
    print(f"{kind} accuracy {accuracy(averaged, test_x, test_y) * 100:.2f} % of {len(test_x)} images")
    if args.validate:
        return
    tensors = {name: value.contiguous() for name, value in averaged.state_dict().items()}
    save_file(tensors, HERE / "model.safetensors")
    (HERE / "model.safetensors").chmod(0o644)  # save_file leaves it to the owner alone
    np.save(HERE / "test_images.npy", test_x.numpy())
    np.save(HERE / "test_labels.npy", test_y.numpy())


if __name__ == "__main__":
    main()
