"""A small convolutional network for 64x64 pictures, with weights that play ImageNet's part.

The synthetic world needs what torchvision's pretrained networks are to real images: a network that
has seen many things of the same sort, but never the classes it is going to be judged on. The
committed weights were trained by `python -m pddm_lite.training.pretrain` on source species only.
"""

from pathlib import Path

from torch import Tensor, nn

WEIGHTS = Path(__file__).parents[1] / "weights" / "smallnet_birds_cars.pt"


class SmallNet(nn.Module):
    """RGB float [B, 3, 64, 64] in [-1, 1] -> features [B, 256], at least 0; 275,000 parameters.

    Four 3x3 convolutions of stride 2, each with batch norm and ReLU as in the field's networks,
    then the mean over the 4x4 positions that are left.
    """

    feature_dim = 256

    def __init__(self):
        super().__init__()
        widths = (3, 24, 48, 96, self.feature_dim)
        layers = []
        for i, o in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(i, o, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(o)]
            layers += [nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).mean(dim=(2, 3))
