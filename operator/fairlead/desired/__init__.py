"""Pure: from a ModelDeployment and the pods each revision is to have to Kubernetes manifests."""
