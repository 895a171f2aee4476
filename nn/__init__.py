"""Neurons, layers and training will stand here, on the public interface of autograd."""
