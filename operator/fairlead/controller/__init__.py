"""One reconcile path: observe, judge, decide, write the intent, apply."""
