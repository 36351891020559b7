"""What turns a picture into f: backbones, smallnet, the network that reads latents, the head, and
the pixels and features that are kept so that none is computed twice.

May import `data`, `store` and the paper's core; training and what is above it may import it.
"""
