"""Losses of a segmentation, each a function of logits and class indices.

``loss(logits, target, ignore=UNLABELLED)`` takes logits ``(n, classes, y, x)`` of any floating
type, class indices ``(n, y, x)`` of any integer type, and the index of pixels without a label. It
returns a float32 scalar, about 0 for a perfect prediction, and 0 with zero gradients where no
pixel has a label. All compute in float32 whatever the network's precision. Sums run over all
images of the batch at once, so that an image without a muscle is not an exception.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_ssl_muscle.learning.data.image_cache import UNLABELLED


def cross_entropy_per_class(logits: Tensor, target: Tensor, ignore: int = UNLABELLED) -> Tensor:
    r"""Return the cross-entropy averaged per class over all images, as in the published study.

    With :math:`N_c` pixels of class c in all images of the batch together, and C classes present:

    .. math:: L = \frac{1}{C} \sum_{c:\,N_c > 0}
              \frac{1}{N_c} \sum_{i:\,t_i = c} -\log \mathrm{softmax}(z_i)_c

    Each class weighs the same however small it is, the background included. A class that no
    labelled pixel of the batch has does not count: its mean does not exist, and pixels wrongly
    given to it already cost their true class.

    The study says "multiclass cross-entropy averaged per class over all images" and no formula.
    Read as the sum over one-hot channels divided by their number, it would be the ordinary mean
    cross-entropy but for the constant 1/C, and "averaged per class" would say nothing; hence the
    reading above.
    """
    logits, target = logits.float(), target.long()
    classes = logits.shape[1]
    counts = torch.bincount(target[target != ignore], minlength=classes).to(logits.dtype)
    weights = torch.where(counts > 0, 1 / counts.clamp(min=1), 0)
    with torch.autocast(logits.device.type, enabled=False):
        total = F.cross_entropy(logits, target, weights, ignore_index=ignore, reduction="sum")
    return total / (counts > 0).sum().clamp(min=1)


def dice_ce(logits: Tensor, target: Tensor, ignore: int = UNLABELLED) -> Tensor:
    r"""Return 1 − soft Dice of the muscles plus the mean cross-entropy of all labelled pixels.

    With p = softmax(logits), t one-hot and sums over the labelled pixels of all images:

    .. math:: L = 1 - \frac{1}{M} \sum_{c}
              \frac{2 \sum_i p_{ic} t_{ic}}{\sum_i p_{ic} + \sum_i t_{ic}}
              + \frac{1}{N} \sum_i -\log p_{i t_i}

    The first sum runs over the M classes but the background (index 0) that the batch holds. An
    absent class would have a Dice of 0 whatever is predicted, so it is left out; pixels wrongly
    given to it lower the Dice of their own class and raise the cross-entropy. A batch without
    any muscle leaves the cross-entropy alone. (Drozdzal et al. 2016, arXiv:1608.04117; the sum of
    the two as in nnU-Net.)
    """
    logits, target = logits.float(), target.long()
    labelled = target != ignore
    with torch.autocast(logits.device.type, enabled=False):
        log_p = F.log_softmax(logits, dim=1)
        entropy = F.nll_loss(log_p, target, ignore_index=ignore, reduction="sum")
        entropy = entropy / labelled.sum().clamp(min=1)
        # (n, classes, y, x); the unlabelled pixels are zero in both.
        p = log_p.exp() * labelled[:, None]
        classes = torch.arange(logits.shape[1], device=target.device).view(1, -1, 1, 1)
        hot = target[:, None] == classes
        overlap, size = (p * hot).sum((0, 2, 3)), hot.sum((0, 2, 3))
        # Where a class is absent its own p may underflow to 0; 1 keeps the quotient finite.
        present = size[1:] > 0
        either = p.sum((0, 2, 3))[1:] + torch.where(present, size[1:], 1)
        dice = torch.where(present, 2 * overlap[1:] / either, 0).sum()
        muscles = present.sum()
        return entropy + (muscles - dice) / muscles.clamp(min=1)


def balanced(logits: Tensor, target: Tensor, ignore: int = UNLABELLED, *, weight: float) -> Tensor:
    """Return `dice_ce` plus `weight` times `cross_entropy_per_class`.

    Under `dice_ce` alone a thin muscle (gracilis, sartorius) stays unlearned for long: while all
    classes are equally probable, its few pixels pull its probability up less than a tenth as hard
    as all others push it down. The per-class mean gives each class the same pull from the first
    step.
    """
    return dice_ce(logits, target, ignore) + weight * cross_entropy_per_class(
        logits, target, ignore
    )
