"""Flask and Django in one process: what a worker of some size holds in memory."""

import djangojson
import flaskjson


def application(environ, start_response):
    framework = flaskjson if environ["QUERY_STRING"] == "flask" else djangojson
    return framework.application(environ, start_response)
