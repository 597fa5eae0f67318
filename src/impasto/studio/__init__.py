"""The studio: durable jobs, an HTTP service, and a page."""
