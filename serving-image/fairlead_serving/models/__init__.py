"""Model formats behind one port, `base.Model`."""
