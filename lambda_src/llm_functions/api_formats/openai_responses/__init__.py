"""The API format of OpenAI's Responses API, without anything that is kept between two requests."""
