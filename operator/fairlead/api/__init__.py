"""The custom resources and the frozen types that the layers share."""
