"""Kernels of training: products of matrices, each cell forward and backward, losses, optimizers."""
