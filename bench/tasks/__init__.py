"""Tasks and their scores: classification, retrieval, captions, answers, judges."""
