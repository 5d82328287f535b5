"""What a deployment's gateway is made of."""

import pytest

from llm_functions.compose import providers
from llm_gateway.http.client import HttpClient
from llm_gateway.routes import Endpoint


def test_a_provider_of_an_unknown_protocol_stops_the_start() -> None:
    environ = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    endpoints = [Endpoint(name="p", type="gopher", base_url="https://p.example.com")]
    with pytest.raises(ValueError, match="provider 'p' must be one of openai_compatible, anthropic, not 'gopher'"):
        providers(endpoints, HttpClient(), environ)
