"""Neurons, layers and training, built on the public interface of autograd."""
