"""Pure: what to do next with a rollout, from what was observed."""
