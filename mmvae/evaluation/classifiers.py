"""Classifiers trained on real items only; they predict the class that a value shows."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmvae.data.batches import Batches, training_view
from mmvae.evaluation.cross_generation import arrow
from mmvae.evaluation.items import chunks
from mmvae.foundations.progress import NOBODY, Progress
from mmvae.foundations.randomness import StepDraws, derived_seed, permutation, seeded_global
from mmvae.modalities.codec import Codec

BATCH = 100
LEAST_STEPS, LEAST_EPOCHS = 1000, 5
RATE, WEIGHT_DECAY, SMOOTHING = 1e-3, 1e-2, 0.1


class Classifier(nn.Module):
    """p(class | x_m): the codec's own encoder with a linear head.

    Args:
        codec: The codec of the modality that is classified.
        classes: Number of classes.
    """

    def __init__(self, codec: Codec, classes: int) -> None:
        super().__init__()
        self.codec = codec
        self.encoder = codec.encoder()
        self.head = nn.Linear(codec.feature_dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Model input (b, event…) → logits (b, K)."""
        logits: Tensor = self.head(self.encoder(x))
        return logits

    @torch.no_grad()
    def verdict(self, x: Tensor) -> Tensor:
        """Predict the class of each value, int64 (b,); x is a view as the codec gives it."""
        return self.forward(x).argmax(-1)

    def verdict_on_generated(self, best: Tensor, draws: StepDraws, name: str = "") -> Tensor:
        """Predict the class of each generated value, in the view that real items have.

        Args:
            best: Values of :meth:`mmvae.Codec.point`, (b, event…).
            draws: Randomness of the view, of the same b items.
            name: Distinguishes draws for the same items.
        """
        return self.verdict(draws.resample(f"generated {name}", self.codec.fixed, best))


def train_classifier(
    training: Batches, modality: str, label: str, seed: int, progress: Progress = NOBODY
) -> Classifier:
    """Train a classifier ``modality`` → ``label`` on real training items.

    AdamW with a cosine schedule and smoothed labels, for five epochs or for as many as 1,000 steps
    take if that is more. It has a seed of its own by its name, so neither other classifiers nor
    earlier draws change it.

    Args:
        training: The training split; only its items that have both modalities count.
        modality: The input of the classifier.
        label: A modality with classes.
        seed: Governs weights, order and views.
        progress: Reports progress.
    """
    codec, target = training.codecs[modality], training.codecs[label]
    assert target.classes is not None
    key = derived_seed(seed, "judge", modality, label)
    with seeded_global(key):
        classifier = Classifier(codec, len(target.classes)).to(training.device).train()
        known = training.items_with((modality, label))
        per_epoch = math.ceil(len(known) / BATCH)
        epochs = max(LEAST_EPOCHS, math.ceil(LEAST_STEPS / per_epoch))
        optimizer = torch.optim.AdamW(
            classifier.parameters(), RATE, weight_decay=WEIGHT_DECAY, fused=True
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * per_epoch)
        for epoch in range(epochs):
            progress.part(f"classifier {arrow(modality, label)}", epoch, epochs)
            order = known[permutation(len(known), key, epoch)]
            for i, items in enumerate(torch.split(order, BATCH)):
                n = len(items)
                draws = StepDraws(
                    key, "judge", epoch * per_epoch + i, slice(0, n), n, training.device
                )
                batch = training.batch(items, draws, training_view)
                logits = classifier(batch.x[modality])
                classes = target.class_index(batch.x[label])
                loss = F.cross_entropy(logits, classes, label_smoothing=SMOOTHING)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
        progress.part(f"classifier {arrow(modality, label)}", epochs, epochs)
    return classifier.eval()


def classified(
    classifier: Classifier, batches: Batches, modality: str, label: str, size: int
) -> tuple[Tensor, Tensor]:
    """For each real item of a split that has both: 1 if the classifier is right; its class.

    Returns:
        Float (n,), and int64 (n,).
    """
    target, right, classes = batches.codecs[label], [], []
    for batch, _ in chunks(batches, size, seed=0):  # used for views only, no draws
        true = target.class_index(batch.x[label])
        correct = classifier.verdict(batch.x[modality]) == true
        right.append(batch.counted(correct, (modality, label)))
        classes.append(batch.counted(true, (modality, label)))
    return torch.cat(right).float().cpu(), torch.cat(classes).cpu()


class Classifiers:
    """The classifiers of an evaluation, each trained on its first use.

    Args:
        training: Real training items.
        seed: Governs weights, order and views.
        progress: Reports progress.
    """

    def __init__(self, training: Batches, seed: int, progress: Progress = NOBODY) -> None:
        self._training, self._seed, self._progress = training, seed, progress
        self._trained: dict[tuple[str, str], Classifier] = {}

    def can(self, modality: str, label: str) -> bool:
        """True if some training items have both modalities, so that a classifier can learn."""
        return len(self._training.items_with((modality, label))) > 0

    def of(self, modality: str, label: str) -> Classifier:
        """The classifier from ``modality`` to a class of ``label``."""
        if (modality, label) not in self._trained:
            classifier = train_classifier(
                self._training, modality, label, self._seed, self._progress
            )
            self._trained[modality, label] = classifier
        return self._trained[modality, label]

    def classified(
        self, modality: str, label: str, batches: Batches, size: int
    ) -> tuple[Tensor, Tensor]:
        """For each item of a split that has both: 1 if that classifier is right; its class."""
        return classified(self.of(modality, label), batches, modality, label, size)
