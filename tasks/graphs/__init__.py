"""ONNX graphs: made canonical, counted, truncated, quantised. Neither torch nor scikit-learn."""
