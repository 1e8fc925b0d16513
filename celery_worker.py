"""The Celery application: `celery -A celery_worker.celery worker`."""

from server import create_app

celery = create_app().extensions["celery"]
