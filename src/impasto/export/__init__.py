"""Methods as ONNX files: one file paints every style, at any size and strength."""
