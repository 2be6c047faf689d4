"""A loaded model compiled to array work: the same answers, bit for bit, without a frame; or else it is not used.

Whatever reads private attributes of scikit-learn belongs here, and nothing else does: `compiler` proves every compiled
model against the frame path before it answers anybody. What the compiled model does not know, the frame path answers.
"""
