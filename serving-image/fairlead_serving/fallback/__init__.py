"""A smaller model that answers when too many requests wait for the main one."""
