"""The benchmark of the serving image beside other servers."""
