"""Features of users and of items as of a night: activity, spread of interests, popularity."""
