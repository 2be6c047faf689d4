"""What a model server says of itself: its OpenAPI document and the page `/docs`."""
