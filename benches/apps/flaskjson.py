"""Flask answers a small JSON object."""

from flask import Flask, jsonify

application = Flask(__name__)


@application.get("/json")
def json():
    return jsonify(message="hello")
