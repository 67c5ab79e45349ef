"""What strangers send: uploads, and addresses of model endpoints."""
