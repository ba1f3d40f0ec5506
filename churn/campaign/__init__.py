"""From predictions to a campaign: who is contacted, who is the control group, and what that is worth."""
