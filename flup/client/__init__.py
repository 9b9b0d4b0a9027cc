"""WSGI apps that hand their requests to a server behind them."""
