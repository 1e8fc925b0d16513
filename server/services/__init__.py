"""What the system does. Each service opens its own transactions and knows nothing of HTTP or Celery."""
