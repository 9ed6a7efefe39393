"""Rules of descent, in PyTorch's names, definitions and defaults."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.kernels.training import optim

Array = NDArray[np.float32]
f = np.float32


@dataclass(frozen=True)
class SGD:
    """Gradient descent with momentum, as torch.optim.SGD(lr, momentum)."""

    lr: float = 1e-3
    momentum: float = 0.0
    memory = 1  # vectors that it remembers, zeros at first

    def update(self, p: Array, g: Array, memory: Sequence[Array], lr: float, step: int) -> None:
        """Move the parameters p (P,) by their gradient g, for the step-th time, from 1."""
        optim.sgd(p, g, memory[0], f(lr), f(self.momentum))


@dataclass(frozen=True)
class Adagrad:
    """Duchi et al. 2011, as torch.optim.Adagrad(lr, eps=eps)."""

    lr: float = 1e-2
    eps: float = 1e-10
    memory = 1

    def update(self, p: Array, g: Array, memory: Sequence[Array], lr: float, step: int) -> None:
        """As `SGD.update`."""
        optim.adagrad(p, g, memory[0], f(lr), f(self.eps))


@dataclass(frozen=True)
class RMSprop:
    """Hinton 2012, as torch.optim.RMSprop(lr, alpha, eps)."""

    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    memory = 1

    def update(self, p: Array, g: Array, memory: Sequence[Array], lr: float, step: int) -> None:
        """As `SGD.update`."""
        optim.rmsprop(p, g, memory[0], f(lr), f(self.alpha), f(self.eps))


@dataclass(frozen=True)
class Adam:
    """Kingma and Ba 2015, as torch.optim.Adam(lr, betas, eps)."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    memory = 2

    def update(self, p: Array, g: Array, memory: Sequence[Array], lr: float, step: int) -> None:
        """As `SGD.update`."""
        beta1, beta2 = self.betas
        first, second = 1 / (1 - beta1**step), 1 / (1 - beta2**step)
        numbers = (lr, beta1, beta2, self.eps, first, second)
        optim.adam(p, g, *memory, *(f(number) for number in numbers))


Optimizer = SGD | Adagrad | RMSprop | Adam
OPTIMIZERS: dict[str, Any] = {kind.__name__.lower(): kind for kind in (SGD, Adagrad, RMSprop, Adam)}
