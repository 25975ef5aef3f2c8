"""Load a verified artifact and predict with it: ONNX Runtime on one thread. Evaluation, the parity check and the service share this."""
