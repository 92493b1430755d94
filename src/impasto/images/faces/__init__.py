"""Faces in a content image: found by a small network, and the masks that cover them."""
