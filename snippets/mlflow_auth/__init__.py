"""Signs you in to an MLflow server behind single sign-on, and keeps you signed in."""
