"""The endpoint over HTTP: routes, requests and answers, as Databricks Model Serving speaks them."""
