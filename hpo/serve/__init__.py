"""A model behind HTTP: pictures, captions or embeddings in, labels with probabilities out."""
