"""scikit-learn estimators as ONNX graphs. Its program runs in a process of its own."""
