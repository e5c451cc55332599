"""What happens on the server, as events and as figures."""
