"""Hyperparameter optimization for multimodal multi-label classification on cached CLIP features."""
