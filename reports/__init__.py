"""What people read: pages that open without a network, their charts and their words."""
