"""Measurements: ratios to a baseline that is measured in the same run, side by side.

``python -m benchmarks`` runs all of them and writes ``results.md`` and ``results.json`` beside
this file; ``python -m benchmarks.epoch`` and the like run one and print it.
"""
