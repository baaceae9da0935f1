"""Models for programs that know nothing of this package: one ONNX file."""

from hpo.export._encoders import caption_notes, encoders_inside
from hpo.export._onnx import TOLERANCE, export_onnx

__all__ = ["TOLERANCE", "caption_notes", "encoders_inside", "export_onnx"]
