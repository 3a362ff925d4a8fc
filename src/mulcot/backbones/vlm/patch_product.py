"""The first layer of the vision tower as what it is: one matrix product.

Stock code cuts a picture into patches beforehand, and then runs a three-dimensional convolution whose kernel is exactly
one patch. On the CPU that takes up to six times as long as multiplying every patch by the kernel.

Letters: N patches, C colours, T frames, H height and W width of a patch.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import linear


class PatchProduct(nn.Conv3d):
    """A convolution over single patches; its weight has the usual name and shape."""

    def forward(self, patches_NCTHW: Tensor) -> Tensor:
        """The same as the convolution, up to rounding."""
        product_ND = linear(patches_NCTHW.flatten(1), self.weight.flatten(1), self.bias)
        return product_ND[:, :, None, None, None]


def multiply_patches(model: Any) -> None:
    """Makes the vision tower of a loaded model multiply, with the weights it has."""
    embedding = model.model.visual.patch_embed
    stock = embedding.proj
    product = PatchProduct(
        stock.in_channels, stock.out_channels, stock.kernel_size, stock.stride, bias=False, device="meta"
    )
    product.weight, product.bias = stock.weight, stock.bias
    embedding.proj = product
