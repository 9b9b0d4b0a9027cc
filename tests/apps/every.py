"""All the other apps at once: a path is looked for in each; echo takes what is left."""

import answers
import echo
import waiting
import wrong


def application(environ, start_response):
    name = environ["PATH_INFO"].strip("/").replace("-", "_")
    for module in (answers, waiting, wrong):
        if name != "application" and callable(getattr(module, name, None)):
            return module.application(environ, start_response)
    return echo.application(environ, start_response)
