"""The process around the controller: settings, logs, leadership, watches, health and metrics. The only user of kopf."""
