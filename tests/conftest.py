"""One thread for every test: the same numbers and the same time on every machine."""

import torch

torch.set_num_threads(1)
