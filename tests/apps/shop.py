"""A shop for the picture of the dashboard: most of it answers soon, one report does not."""

SOURCE = '''\
import random
import time


def totals(year):
    rows = list(range(2_000))
    while True:
        rows.sort(reverse=True)


def wait_for_payment(order):
    time.sleep(3600)


def report(environ):
    return totals(2026)


def checkout(environ):
    return wait_for_payment(7)


def page(environ):
    time.sleep(random.expovariate(1 / 0.02))
    return "500 Oops" if random.random() < 0.02 else "200 OK"


def application(environ, start_response):
    view = {"/report": report, "/checkout": checkout}.get(environ["PATH_INFO"], page)
    start_response(view(environ), [("Content-Type", "text/plain")])
    return [b"thank you\\n"]
'''

# As if it stood where an administrator would have put it.
exec(compile(SOURCE, "/srv/shop/shop.py", "exec"))
