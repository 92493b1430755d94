"""The web app: a server of jobs with an HTTP API, and its page."""
