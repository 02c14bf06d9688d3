"""Judges: classifiers trained on real items alone; they say what class a value shows."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmvae.codec import Codec
from mmvae.data.batches import Batches, training_view
from mmvae.evaluation.items import chunks
from mmvae.randomness import StepDraws, derived_seed, permutation

BATCH = 100
LEAST_STEPS, LEAST_EPOCHS = 1500, 5
RATE, WEIGHT_DECAY = 1e-3, 1e-2


class Judge(nn.Module):
    """p(class | x_m): the codec's own encoder with a linear head.

    Args:
        codec: The codec of the modality that is judged.
        classes: Number of classes.
    """

    def __init__(self, codec: Codec, classes: int) -> None:
        super().__init__()
        self.encoder = codec.encoder()
        self.head = nn.Linear(codec.feature_dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Model input (b, event…) → logits (b, K)."""
        logits: Tensor = self.head(self.encoder(x))
        return logits

    @torch.no_grad()
    def verdict(self, x: Tensor) -> Tensor:
        """The class that each value shows, int64 (b,)."""
        return self.forward(x).argmax(-1)


def train_judge(training: Batches, modality: str, label: str, seed: int) -> Judge:
    """Train a classifier ``modality`` → ``label`` on real training items.

    AdamW with a cosine schedule, five epochs or as many more as 1,500 steps take. Seeded by its
    own name, so neither other judges nor what was drawn before change it.

    Args:
        training: The training split.
        modality: What it looks at.
        label: A modality with classes.
        seed: Governs weights, order and views.
    """
    codec, target = training.codecs[modality], training.codecs[label]
    assert target.classes is not None
    key = derived_seed(seed, "judge", modality, label)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key)
        judge = Judge(codec, len(target.classes)).to(training.device).train()
        per_epoch = math.ceil(len(training) / BATCH)
        epochs = max(LEAST_EPOCHS, math.ceil(LEAST_STEPS / per_epoch))
        optimizer = torch.optim.AdamW(judge.parameters(), RATE, weight_decay=WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * per_epoch)
        for epoch in range(epochs):
            order = permutation(len(training), key, epoch)
            for i, items in enumerate(torch.split(order, BATCH)):
                step, n = epoch * per_epoch + i, len(items)
                draws = StepDraws(key, "judge", step, slice(0, n), n, training.device)
                batch = training.batch(items, draws, training_view)
                loss = F.cross_entropy(
                    judge(batch.x[modality]), target.class_index(batch.x[label])
                )
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
    return judge.eval()


def judge_accuracy(
    judge: Judge, batches: Batches, modality: str, label: str, size: int, seed: int
) -> Tensor:
    """Whether the judge is right about each real item of a split, float (n,)."""
    target = batches.codecs[label]
    right = [
        judge.verdict(batch.x[modality]) == target.class_index(batch.x[label])
        for batch, _ in chunks(batches, size, seed)
    ]
    return torch.cat(right).float().cpu()
