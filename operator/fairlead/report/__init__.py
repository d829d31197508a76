"""The report of a rollout: a ModelRollout as one page that explains itself."""
