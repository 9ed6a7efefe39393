"""What `streamrnn.train.fit` works with: minibatches, gradients, rules of descent, checkpoints."""
