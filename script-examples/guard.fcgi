#!/usr/bin/env flupd
#
# A guard that Apache starts: mod_fcgid asks it who may pass. The lines for Apache are
# in apache-examples/mod_fcgid-authorizer.conf.
#
#   chmod +x guard.fcgi
#
# Only where this says so does flupd let a 200 mean "pass":
#
# flupd: --role authorizer

import hmac
from http.cookies import CookieError, SimpleCookie

# Yours come from a database, the passwords as hashes.
SESSIONS = {"0fd1b7c2": "alice"}
PASSWORDS = {"alice": "sesame", "bob": "mellon"}
MEMBERS = {"alice"}


def session(environ):
    try:
        word = SimpleCookie(environ.get("HTTP_COOKIE", "")).get("session")
    except CookieError:
        return None
    return SESSIONS.get(word.value) if word else None


def known(environ):
    user, word = environ.get("REMOTE_USER"), environ.get("REMOTE_PASSWD", "")
    right = hmac.compare_digest(word.encode("latin-1"), PASSWORDS.get(user, "").encode())
    return user if user in PASSWORDS and right else None


def member(environ):
    user = environ.get("REMOTE_USER")
    return user if user in MEMBERS else None


# What FCGI_APACHE_ROLE says, by the directive that names this script.
QUESTIONS = {"ACCESS_CHECKER": session, "AUTHENTICATOR": known, "AUTHORIZER": member}


def application(environ, start_response):
    user = QUESTIONS[environ["FCGI_APACHE_ROLE"]](environ)
    if user:
        # The app behind finds it in MEMBER.
        start_response("200 OK", [("Variable-MEMBER", user)])
        return []
    start_response("401 Unauthorized", [("Content-Type", "text/plain")])
    return [b"members only\n"]
