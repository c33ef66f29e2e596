"""Test-time defences: they change how a model that embeds images treats an image, not its weights.

from radapt.defences.defence import Base, Defended
from radapt.defences.ttc import Ttc

robust = Defended(Ttc(), Base(clip.encode_image))     # images in [0,1] to embeddings
"""
