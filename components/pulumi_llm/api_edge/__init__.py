"""API Gateway's edge, which REST, WebSocket and jobs share: keys, authorizer, usage plans, gateway responses."""
