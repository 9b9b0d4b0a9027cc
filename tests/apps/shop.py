"""A shop for the picture of the dashboard: most of it answers soon, one report does not."""

import random
import time

SOURCE = '''\
import time


def totals(year):
    rows = list(range(2_000))
    while True:
        rows.sort(key=lambda row: -row)


def wait_for_payment(order):
    time.sleep(3600)


def report(environ):
    return totals(2026)


def checkout(environ):
    return wait_for_payment(7)


def application(environ):
    return {"/report": report, "/checkout": checkout}[environ["PATH_INFO"]](environ)
'''

# As if it stood where an administrator would have put it.
shop = {}
exec(compile(SOURCE, "/srv/shop/shop.py", "exec"), shop)


def application(environ, start_response):
    if environ["PATH_INFO"] in ("/report", "/checkout"):
        shop["application"](environ)
    time.sleep(random.expovariate(1 / 0.02))
    status = "500 Oops" if random.random() < 0.02 else "200 OK"
    start_response(status, [("Content-Type", "text/plain")])
    return [b"thank you\n"]
