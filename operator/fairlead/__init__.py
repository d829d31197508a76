"""Fairlead: puts machine-learning models into service and replaces them safely."""
