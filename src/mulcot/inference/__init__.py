"""What a trained model answers: one prefill, then the label scored on one branch and the chain written on another."""

from mulcot.inference.settings import Decoding

__all__ = ["Decoding"]
