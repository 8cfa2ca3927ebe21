"""The U-Net as a drawing, with the parts shaded that a freeze mode keeps fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from napari_ssl_muscle.experiments.report.figures import FRAME, INK, draw
from napari_ssl_muscle.learning.network.flops import FROZEN
from napari_ssl_muscle.learning.settings import FreezeMode

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEARNS = "#2f8fd0"


def unet_figure(mode: FreezeMode, depth: int) -> Markup:
    """Draw the blocks of a U-Net: frozen ones grey and hatched, learning ones in colour.

    Parameters
    ----------
    mode
        Freeze mode. The lowest block belongs to the encoder, as in `learning.network.unet`.
    depth
        Number of poolings.
    """
    frozen = FROZEN[mode]

    def drawing(axes: Axes) -> None:
        from matplotlib.patches import Rectangle

        def block(x: float, level: int, part: str, width: float = 0.55) -> None:
            height = 1.5 * 0.72**level
            fixed = part in frozen
            axes.add_patch(
                Rectangle(
                    (x, -level * 1.15 - height / 2),
                    width,
                    height,
                    facecolor="none" if fixed else LEARNS,
                    edgecolor=FRAME if fixed else LEARNS,
                    hatch="////" if fixed else None,
                    linewidth=1,
                )
            )

        def arrow(start: tuple[float, float], end: tuple[float, float], style: str = "-") -> None:
            line = {"arrowstyle": "->", "color": INK, "linewidth": 0.8, "linestyle": style}
            axes.annotate("", xy=end, xytext=start, arrowprops=line)

        end = 2.0 * depth
        for level in range(depth + 1):
            y = -level * 1.15
            block(level, level, "encoder")
            if level < depth:
                right = end - level
                block(right, level, "decoder")
                arrow((level + 0.6, y), (right - 0.05, y), ":")
                half = 1.5 * 0.72**level / 2
                below = y - 1.15 + 1.5 * 0.72 ** (level + 1) / 2
                arrow((level + 0.4, y - half), (level + 1.15, below))
                arrow((right - 0.6, below), (right + 0.15, y - half))
        block(end + 0.85, 0, "head", 0.18)
        arrow((end + 0.58, 0), (end + 0.85, 0))
        axes.set_xlim(-0.3, end + 1.3)
        axes.set_ylim(-depth * 1.15 - 0.7, 1.35)
        for x, text in ((0, "encoder"), (end - 1.9, "decoder"), (end + 0.15, "head")):
            axes.text(x - 0.1, 0.95, text, fontsize=9)
        axes.axis("off")

    return draw(f"unet-{mode}", f"U-Net, frozen: {mode}", drawing, (3.0, 2.0))
