"""The Open Inference Protocol over gRPC: unary calls, on our own HTTP/2."""
