"""What the service and its clients share: schemas, client, states, scopes."""
