"""The benchmark of the judge: simulated and real rollouts, judged by Fairlead and by the rules of other tools."""
