"""Random changes keep image and target together, and repeat from their seed."""

import torch

from napari_ssl_muscle.learning.data.augment import augment
from napari_ssl_muscle.learning.settings import AugmentSettings


def blobs(rows: int = 48, columns: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    target = torch.zeros(3, rows, columns, dtype=torch.uint8)
    target[:, 10:26, 8:30] = 1
    target[:, 28:40, 36:56] = 2
    return target[:, None].float() * 2 - 1, target


def test_off_changes_nothing() -> None:
    images, targets = blobs()
    got, moved = augment(images, targets, AugmentSettings.off(), torch.Generator())
    assert torch.equal(got, images)
    assert moved is not None
    assert torch.equal(moved, targets)


def test_targets_move_with_their_images() -> None:
    images, targets = blobs()
    settings = AugmentSettings(contrast=0, noise=0, blur=0, rotate=40, bend=5)
    got, moved = augment(images, targets, settings, torch.Generator().manual_seed(3))
    assert moved is not None
    assert not torch.equal(moved, targets)
    # The image is the target's classes, so brightness must still tell the class after moving.
    for image, target in zip(got[:, 0], moved, strict=True):
        means = [image[target == value].mean() for value in (0, 1, 2)]
        spreads = [image[target == value].std() for value in (0, 1, 2)]
        assert means[0] + spreads[0] < means[1] - spreads[1]
        assert means[1] + spreads[1] < means[2] - spreads[2]


def test_same_seed_same_images_other_seed_others() -> None:
    images, targets = blobs()
    first, again, other = (
        augment(images, targets, AugmentSettings(), torch.Generator().manual_seed(seed))[0]
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_rotation_of_an_oblong_image_is_rigid() -> None:
    """A circle must stay a circle, or muscles would be sheared in every image that is no square."""
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(100.0), indexing="ij")
    disc = (((y - 19.5) ** 2 + (x - 49.5) ** 2) < 12**2).to(torch.uint8)
    bar = ((y - 19.5).abs() < 2) & ((x - 49.5).abs() < 15)
    settings = AugmentSettings.off().model_copy(update={"rotate": 90.0})
    images = torch.stack([disc, bar.to(torch.uint8)])[:, None].float()
    for seed in range(5):
        _, moved = augment(
            images,
            torch.stack([disc, bar.to(torch.uint8)]),
            settings,
            torch.Generator().manual_seed(seed),
        )
        assert moved is not None
        assert (moved[0] != disc).sum() < 0.1 * disc.sum()
        area = moved[1].sum() / bar.sum()
        assert 0.85 < area < 1.15


def test_images_come_back_normalised() -> None:
    images, targets = blobs()
    got, _ = augment(images, targets, AugmentSettings(), torch.Generator().manual_seed(0))
    assert torch.allclose(got.mean(dim=(-2, -1)), torch.zeros(3, 1), atol=1e-5)
    assert torch.allclose(got.std(dim=(-2, -1), correction=0), torch.ones(3, 1), atol=1e-4)


def test_flip_mirrors_about_half_of_the_images() -> None:
    images, targets = blobs()
    settings = AugmentSettings.off().model_copy(update={"flip": True})
    generator = torch.Generator().manual_seed(0)
    mirrored = 0
    for _ in range(20):
        _, moved = augment(images, targets, settings, generator)
        assert moved is not None
        for target in moved:
            assert torch.equal(target, targets[0]) or torch.equal(target, targets[0].flip(-1))
            mirrored += int(torch.equal(target, targets[0].flip(-1)))
    assert 15 < mirrored < 45
