"""One customer: what is known of them, what the model says, and what would change it."""
